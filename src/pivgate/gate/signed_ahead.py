# SPDX-License-Identifier: Apache-2.0
"""Server certificates that Caddy's internal authority signed while the clock was ahead of time.

When the clock is right again they are not valid yet, and no visitor accepts them. Caddy renews what is about
to end; what has not begun it keeps, for as long as the clock was ahead. So they are removed from where Caddy
keeps them, and a Caddy that has not read them yet makes new ones.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from pivgate.errors import StorageError
from pivgate.files import read_file
from pivgate.gate import process
from pivgate.gate.proven import recall
from pivgate.gate.sever import intend
from pivgate.gate.tree import Folder
from pivgate.settings import Home

# Where Caddy keeps an authority, and what it has signed (caddypki/ca.go, certmagic/storage.go). The asterisk
# is any one folder.
_AUTHORITIES: Final = ("caddy", "pki", "authorities", "*")
_SIGNED: Final = ("caddy", "certificates")

# What begins so soon needs no mending.
_TOLERANCE: Final = timedelta(minutes=5)


def forget_signed_ahead(home: Home, now: datetime) -> int:
    """Remove them, so that Caddy makes new ones. Callers hold the lock.

    When a gate serves, it is noted that a fresh Caddy has to take over: severing does that, which the caller
    has to finish.

    Returns:
        How many were removed; 0 if the authority's root itself is not valid yet. Then the clock is wrong now,
        or it was when the root was made, and people have to be given another.

    Raises:
        StorageError: One of them could not be removed, or Caddy's folder cannot be read.
    """
    count = 0
    storage = Folder.open_root(home.caddy_storage)
    if storage is None:
        return 0
    with storage:
        for folder, name in _signed_ahead(storage, now):
            # Before the first is gone: killed after that, the next command could not tell any more.
            if count == 0 and (serving := process.running(home)) and recall(home, serving.pid):
                intend(home)
            folder.remove(name)
            count += 1
    return count


def _signed_ahead(storage: Folder, now: datetime) -> Iterator[tuple[Folder, str]]:
    for authority in _below(storage, *_AUTHORITIES):
        if _begins_later(authority, "root.crt", now):
            continue
        for folder in _below(storage, *_SIGNED, authority.path.name, "*"):
            for name, is_file in folder.files():
                if is_file and name.endswith(".crt") and _begins_later(folder, name, now):
                    yield folder, name
        if _begins_later(authority, "intermediate.crt", now):
            yield authority, "intermediate.crt"


def _below(folder: Folder, *names: str) -> Iterator[Folder]:
    """Open what is below a folder by these names, one in the other; never through a link."""
    if not names:
        yield folder
        return
    for name, is_folder in folder.children():
        if is_folder and names[0] in ("*", name):
            with folder.open(name) as inner:
                yield from _below(inner, *names[1:])


def _begins_later(folder: Folder, name: str, now: datetime) -> bool:
    """Return whether any certificate of a chain is not valid yet; a file that is none is Caddy's business."""
    try:
        chain = x509.load_pem_x509_certificates(read_file(folder.path / name))
    except (StorageError, ValueError):
        return False
    return any(one.not_valid_before_utc > now + _TOLERANCE for one in chain)
