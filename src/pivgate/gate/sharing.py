# SPDX-License-Identifier: Apache-2.0
"""What Caddy may read of a home that is root's while Caddy runs as a user of its own.

Such a home may be entered by that user's group. What the gate needs is opened to the group and nothing else:
neither the registry nor any authority's key. Files that are written later take this from their folder, or are
opened before the next configuration is loaded.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pivgate.files import storage_error
from pivgate.gate.upstream_block import folders
from pivgate.settings import Home

_ENTER = stat.S_IXGRP
_READ = stat.S_IRGRP
_FOLDER = _READ | _ENTER | stat.S_ISGID


def is_shared(home: Home) -> bool:
    """Return whether the home is root's, and a group may enter it."""
    return os.geteuid() == 0 and bool(home.root.stat().st_mode & _ENTER)


def share(home: Home) -> None:
    """Open what the gate needs to the group of the home. A home of its owner alone stays as it is.

    Raises:
        StorageError: A mode cannot be changed.
    """
    if not is_shared(home):
        return
    group = home.root.stat().st_gid
    for path, bits in _beside_the_tree(home):
        _change(path, group, bits, opened=True)
    there = home.access.stat()
    if there.st_gid != group or there.st_mode & _FOLDER != _FOLDER:
        for path, bits in _tree(home):
            _change(path, group, bits, opened=True)


def close(home: Home) -> None:
    """Take that back, from the home itself, too.

    Raises:
        StorageError: A mode cannot be changed.
    """
    for path, bits in (*_beside_the_tree(home), *_tree(home), (home.root, _ENTER)):
        _change(path, os.getegid(), bits, opened=False)


def _beside_the_tree(home: Home) -> Iterator[tuple[Path, int]]:
    yield home.authority_certificate.parent, _ENTER
    folder = home.caddyfile.parent
    # With root's usual umask everybody may enter it, as far as they come. It is where Caddy works.
    if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH:
        yield folder, _READ | _ENTER
    yield home.upstreams, _ENTER
    for upstream in folders(home):
        yield upstream.path, _ENTER
        yield upstream.authority, _READ
        yield upstream.gate, _READ


def _tree(home: Home) -> Iterator[tuple[Path, int]]:
    for folder, _, names in os.walk(home.access, topdown=False):
        yield from ((Path(folder, name), _READ) for name in names)
        # Last: by its mode what is created in it is opened, too, and a walk cut short is done again.
        yield Path(folder), _FOLDER


def _change(path: Path, group: int, bits: int, *, opened: bool) -> None:
    try:
        there = path.lstat()
        mode = stat.S_IMODE(there.st_mode)
        wanted = mode | bits if opened else mode & ~bits
        if stat.S_ISLNK(there.st_mode) or (there.st_gid, mode) == (group, wanted):
            return
        os.chown(path, -1, group, follow_symlinks=False)
        # After it: a change of owner takes the bit away by which a folder's group is inherited (chown(2)).
        path.chmod(wanted)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error("change", path, error) from error
