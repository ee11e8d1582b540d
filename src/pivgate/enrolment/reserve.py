# SPDX-License-Identifier: Apache-2.0
"""Space on the disk that is kept for taking access away, so that a full disk keeps nobody in.

Removing an entry from the access tree needs no space, but SQLite cannot even be opened without some, and
severing starts another Caddy. So a file lies in the home that is worth nothing but its size: a withdrawal on
a full disk removes it first, and puts it back when it has ended.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pivgate.errors import StorageError
from pivgate.files import left_beside, sync_directory, write_atomic
from pivgate.settings import Home

SIZE = 4 << 20
"""Bytes that are kept. The registry takes about 0.2 MB for a withdrawal, severing about 0.5 MB."""

NEEDED = 1 << 20
"""Bytes without which taking access away is not safe."""


def keep(home: Home) -> None:
    """Put the reserve there, unless it is; a smaller one where there is no space for it, or none.

    Callers hold the home's lock.
    """
    there = home.reserve.stat().st_size if home.reserve.is_file() else 0
    for size in (SIZE, SIZE // 2, NEEDED):
        if there >= size:
            return
        # Half a reserve that a command was killed at would be in the way of the next one.
        for left in left_beside(home.reserve):
            with suppress(OSError):
                left.unlink()
        with suppress(StorageError):
            # Neither a hole nor zeros, which some file systems store as one.
            write_atomic(home.reserve, os.urandom(size))
            return


@contextmanager
def spent_when_full(home: Home) -> Iterator[bool]:
    """Make room for what takes access away; the reserve is back at the end, if there is space for it then.

    Yields:
        Whether the disk is full, and the reserve was spent.
    """
    full = spent = not _has_room(home)
    if full:
        try:
            home.reserve.unlink()
            # Some file systems give the space back only when the removal is on the disk.
            sync_directory(home.root)
        except OSError:
            spent = False
    try:
        yield spent
    finally:
        if full:
            keep(home)


def _has_room(home: Home) -> bool:
    # Tried, not asked for: a quota is found that way as well.
    try:
        with tempfile.TemporaryFile(dir=home.root) as file:
            os.posix_fallocate(file.fileno(), 0, NEEDED)
    except OSError:
        return False
    return True
