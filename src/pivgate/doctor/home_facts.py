# SPDX-License-Identifier: Apache-2.0
"""The home as a part of the file system: whose its files are, who may read them, how much room is left."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.errors import PivgateError
from pivgate.settings import Home, Settings, load_settings

# Looking at one takes some 10 microseconds; a home of 1,000 keys has 3,000.
_MOST_ENTRIES: Final = 20_000


@dataclass(frozen=True)
class Entry:
    """A file or a folder.

    Attributes:
        path: Where it is.
        owner: Number of its user.
        mode: Kind and permissions (inode(7)).
    """

    path: Path
    owner: int
    mode: int


@dataclass(frozen=True)
class Room:
    """What is left on the file system, for those who are not root.

    Attributes:
        bytes: Bytes that can be written.
        files: Files that can be made; None where the file system does not count them.
        all_files: How many it has in all.
        read_only: Nothing can be written at all.
    """

    bytes: int
    files: int | None
    all_files: int
    read_only: bool


@dataclass(frozen=True)
class HomeFacts:
    """The home on its disk.

    Attributes:
        home: Where it is.
        root: The home itself.
        above: The folders that lead to it, from the root of the file system.
        entries: Everything in it.
        complete: Whether that is really everything.
        hidden: Folders in it that this user may not look into.
        settings: The settings, or why they cannot be read.
        path: Why its path is too long; None if it is not.
        room: What is left on its disk.
        busy: Process number of the command that is at work on it; empty if there is none.
        reserve: Bytes of the space that is kept for taking access away.
        keeper: Owner of the folders that Caddy writes to: in a root's home, it may be a user of its own.
    """

    home: Home
    root: Entry
    above: tuple[Entry, ...]
    entries: tuple[Entry, ...]
    complete: bool
    hidden: tuple[Path, ...]
    settings: Settings | Trouble
    path: Trouble | None
    room: Room
    busy: str
    reserve: int
    keeper: int

    @property
    def is_shared(self) -> bool:
        """Whether it is root's and a group may enter it, that of Caddy's own user."""
        return self.root.owner == 0 and bool(self.root.mode & stat.S_IXGRP)


def is_there(home: Home) -> bool:
    """Say whether something of a home is there, however damaged.

    Raises:
        PermissionError: This user may not look.
    """
    os.stat(home.root.parent)  # noqa: PTH116 - Path.exists() hides that it may not be looked at
    if not home.root.is_dir():
        return False
    names = set(os.listdir(home.root))  # noqa: PTH208 - raises where the folder is hidden
    parts = (home.settings, home.registry, home.access, home.caddyfile.parent)
    return any(path.name in names for path in parts)


def gather_home(place: Place) -> HomeFacts:
    """Look at the home's files."""
    home = place.home
    hidden: list[Path] = []
    entries: list[Entry] = []
    complete = True
    root = _entry(home.root)
    for entry in _walk(home.root, hidden):
        if len(entries) == _MOST_ENTRIES:
            complete = False
            break
        entries.append(entry)
    return HomeFacts(
        home=home,
        root=root,
        above=tuple(_entry(path) for path in reversed(home.root.parents)),
        entries=tuple(entries),
        complete=complete,
        hidden=tuple(hidden),
        settings=_settings(home),
        path=_path(home),
        room=_room(home.root),
        busy=_busy(home),
        reserve=home.reserve.stat().st_size if home.reserve.is_file() else 0,
        keeper=_entry(home.run).owner if root.owner == 0 and home.run.is_dir() else root.owner,
    )


def _entry(path: Path) -> Entry:
    found = path.lstat()
    return Entry(path, found.st_uid, found.st_mode)


def _walk(folder: Path, hidden: list[Path]) -> Iterator[Entry]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone
    except OSError:
        hidden.append(folder)
        return
    for name in names:
        path = folder / name
        # It may go in between: a running gate and other commands are at work.
        with suppress(FileNotFoundError):
            entry = _entry(path)
            yield entry
            if stat.S_ISDIR(entry.mode):
                yield from _walk(path, hidden)


def _settings(home: Home) -> Settings | Trouble:
    try:
        return load_settings(home)
    except PivgateError as error:
        return Trouble.of(error)


def _path(home: Home) -> Trouble | None:
    try:
        home.check_socket_paths()
    except PivgateError as error:
        return Trouble.of(error)
    return None


def _room(path: Path) -> Room:
    found = os.statvfs(path)
    return Room(
        bytes=found.f_bavail * found.f_frsize,
        files=found.f_favail if found.f_files else None,
        all_files=found.f_files,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def _busy(home: Home) -> str:
    try:
        descriptor = os.open(home.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        # Let go at once, and shared: a command that comes in this moment tries again (files.exclusive_lock).
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "of unknown number"
    finally:
        os.close(descriptor)
    return ""
