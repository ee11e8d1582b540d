# SPDX-License-Identifier: Apache-2.0
"""Atomic writes, private modes and the lock of a home."""

import errno
import fcntl
import glob
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pivgate.errors import BusyError, StorageError

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
PUBLIC_FILE = 0o644
_PUBLIC_DIRECTORY = 0o755

# What no file of anybody else ends with: it is removed when it was left.
UNFINISHED = ".unfinished"

_HINTS = {
    errno.ENOSPC: "The disk is full. Free some space and run the same command again; nothing was changed.",
    errno.EDQUOT: "The disk quota is used up. Free some space and run the same command again.",
    errno.EROFS: "The file system is read-only. Remount it writable, or choose another home with --home.",
    errno.EACCES: "Run the command as the user who owns the home, or choose another home with --home.",
    errno.EPERM: "Run the command as the user who owns the home, or choose another home with --home.",
}


def storage_error(action: str, path: Path, error: OSError) -> StorageError:
    """Say which file could not be read or written, and what to do about it."""
    reason = error.strerror or str(error)
    return StorageError(
        f"Cannot {action} {path}: {reason}",
        _HINTS.get(error.errno or 0, "Check the path and the state of the disk, then run the command again."),
    )


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never a part.

    Args:
        path: The file. Its directory must exist.
        data: The whole new content.
        mode: Permission bits, in force before the first byte is written.

    Raises:
        StorageError: The file could not be written; the old one is untouched.
    """
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise storage_error("write", path, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what commands that were killed have left of files they were about to replace.

    Callers hold the lock of all who write there. What cannot be removed does no harm.
    """
    for left in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            left.unlink()


def left_beside(path: Path) -> list[Path]:
    """Return what commands that were killed while they replaced a file have left beside it."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.*{UNFINISHED}"))


def read_file(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        StorageError: It is missing or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_error("read", path, error) from error


def make_private_directory(path: Path) -> None:
    """Create a directory, and its parents, that only its owner can enter; an existing one is tightened.

    Raises:
        StorageError: It could not be created.
    """
    try:
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        path.chmod(PRIVATE_DIRECTORY)
    except OSError as error:
        raise storage_error("create", path, error) from error


def make_public_directory(path: Path) -> None:
    """Create a directory that everybody may look into, with those above it; one that is there stays as it is.

    Raises:
        StorageError: It cannot be created.
    """
    try:
        path.mkdir(mode=_PUBLIC_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("create", path, error) from error


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        StorageError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error("remove", path, error) from error


@contextmanager
def exclusive_lock(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Hold the lock of a home, so that two commands never change it at the same time.

    The kernel releases the lock when the process ends, however it ends.

    Args:
        path: The lock file; created when missing.
        patience: Seconds to wait for another holder.

    Raises:
        BusyError: Another process still holds it after that time.
        StorageError: The lock file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        raise storage_error("open", path, error) from error
    try:
        _acquire(descriptor, path, time.monotonic() + patience)
        # Only for the words of whoever waits; the lock holds on a full disk as well.
        with suppress(OSError):
            os.pwrite(descriptor, f"{os.getpid():<19}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                raise BusyError(
                    f"Another pivgate command (process {holder}) is at work on {path.parent}",
                    "Wait until it has finished and run the command again.",
                ) from None
            time.sleep(0.02)
