# SPDX-License-Identifier: Apache-2.0
"""Write the units, and remove them: each in steps that can be repeated, whatever step was the last.

The file of Caddy's user is the first thing that is written and the last that is removed: where it is, there
is something to complete or to undo.
"""

from contextlib import suppress

from pivgate.errors import RefusedError
from pivgate.files import (
    PUBLIC_FILE,
    left_beside,
    make_public_directory,
    read_file,
    remove_file,
    write_atomic,
)
from pivgate.settings import Home
from pivgate.systemctl import call, enable, read_units_anew
from pivgate.systemd.places import Places
from pivgate.systemd.units import Kept, care_text, service_text, sysusers_text, timer_text, written_by_us


def create_user(home: Home, places: Places) -> None:
    """Create Caddy's user, now and at each boot at which it is missing.

    Raises:
        RefusedError: There is no systemd, a file of our name is somebody else's, or another home is kept.
        StorageError: A file cannot be written.
    """
    if not places.has_systemd:
        raise RefusedError(
            f"There is no systemd on this machine: {places.units} is missing",
            "`pivgate up` starts the gate; have it run at boot by what this machine has.",
        )
    if is_begun(places) and not is_of(home, places):
        raise RefusedError(
            "A service keeps the gate of another home already", "For that home, run `pivgate down --systemd`."
        )
    make_public_directory(places.user.parent)
    write_atomic(places.user, sysusers_text(home).encode(), PUBLIC_FILE)
    call("systemd-sysusers", str(places.user))


def install(kept: Kept, places: Places) -> None:
    """Write the units and enable them; systemd, where it runs, reads them. Nothing is started.

    Raises:
        RefusedError: systemd does not do it.
        StorageError: A file cannot be written.
    """
    for path, text in (
        (places.service, service_text(kept)),
        (places.care, care_text(kept)),
        (places.timer, timer_text()),
    ):
        write_atomic(path, text.encode(), PUBLIC_FILE)
    for link, unit in places.links.items():
        enable(link, unit)
    _sweep(places)
    read_units_anew(places.root)


def disable(places: Places) -> None:
    """Have nothing started at boot any more.

    Raises:
        StorageError: A link cannot be removed.
    """
    for link in places.links:
        remove_file(link)


def remove(places: Places) -> None:
    """Remove the units. Caddy's user stays.

    A number that is free again may be given to another user, and rules of a firewall may still admit it.

    Raises:
        RefusedError: systemd does not read its units anew.
        StorageError: A file cannot be removed.
    """
    disable(places)
    for path in (places.service, places.timer, places.care):
        remove_file(path)
    _sweep(places)
    read_units_anew(places.root)
    remove_file(places.user)
    for folder in (*(link.parent for link in places.links), places.user.parent):
        with suppress(OSError):  # There may be files of others in it, or no such folder.
            folder.rmdir()


def is_begun(places: Places) -> bool:
    """Return whether there is something of ours, whole or in part.

    Raises:
        RefusedError: A file of our name is somebody else's.
        StorageError: It cannot be read.
    """
    for path in (places.service, places.care, places.timer, places.user):
        if path.exists() and not written_by_us(read_file(path)):
            raise RefusedError(
                f"{path} was not written by pivgate", "Move it away, then run the command again."
            )
    return places.user.exists()


def is_of(home: Home, places: Places) -> bool:
    """Return whether what there is of ours is for this home.

    Raises:
        StorageError: It cannot be read.
    """
    return places.user.exists() and read_file(places.user) == sysusers_text(home).encode()


def _sweep(places: Places) -> None:
    """Remove what a write that was cut short left behind."""
    for path in (places.service, places.care, places.timer, places.user, *places.links):
        for left in left_beside(path):
            remove_file(left)
