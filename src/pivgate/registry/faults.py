# SPDX-License-Identifier: Apache-2.0
"""The registry's own refusals, and what a failure of SQLite means to the user."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from pivgate.errors import BusyError, HomeError, PivgateError, StorageError


class UnknownError(HomeError):
    """What was named (a user, a group, a key, a certificate) is not in the registry."""


class KnownError(HomeError):
    """What was to be added is in the registry already."""


class DamagedError(StorageError):
    """The registry's file is not what was written."""


class BehindError(StorageError):
    """The registry has the tables of an older pivgate, and whoever asked may not change it."""


class NewerError(StorageError):
    """The registry has the tables of a newer pivgate."""


# Primary result codes (sqlite.org/rescode.html) for which the file is whole but cannot be used now.
_UNREACHABLE: Final = {
    sqlite3.SQLITE_READONLY: "the disk is full or read-only, or the file or its folder may not be written",
    sqlite3.SQLITE_CANTOPEN: "the file or its folder cannot be opened",
    sqlite3.SQLITE_PERM: "permission is denied",
    sqlite3.SQLITE_AUTH: "permission is denied",
    sqlite3.SQLITE_IOERR: "the disk gave an error, or a limit on file sizes was reached",
}


@contextmanager
def sqlite_faults(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into an error for the user.

    Raises:
        BusyError: Another process holds the registry.
        StorageError: Full disk, read-only home, or a damaged registry.
    """
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error.orig, sqlite3.Error):
            raise
        raise _explained(error.orig, path) from error
    except sqlite3.Error as error:
        raise _explained(error, path) from error


def damaged(path: Path | str, what: str) -> DamagedError:
    """Say that the content of the registry makes no sense."""
    return DamagedError(
        f"The registry {path} is damaged: {what}",
        "Restore it from a backup; until then nothing is changed, and the gate keeps its access tree.",
    )


def _explained(error: sqlite3.Error, path: Path) -> PivgateError:
    # Python sets no code on errors of its own, such as a text that is not UTF-8.
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    code = extended & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BusyError(
            f"Another program is at work on the registry {path}",
            "Wait until it has finished and run the command again.",
        )
    if code == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StorageError(
            f"Cannot write the registry {path}: the disk is full",
            "Free some space and run the same command again; nothing was changed in it.",
        )
    if code in _UNREACHABLE:
        return StorageError(
            f"Cannot use the registry {path}: {_UNREACHABLE[code]} ({error})",
            "Run the command as the user who owns the home, with the home writable and space on its disk; "
            "nothing was changed in it.",
        )
    return damaged(path, str(error))
