# SPDX-License-Identifier: Apache-2.0
"""Apply the rules, and undo them: each in steps that can be repeated, whatever step was the last.

The file of the rules is the first thing that is written and the last that is removed. Where it is, the table
is ours, so a command that finds it completes or undoes what another began.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import RefusedError
from pivgate.files import (
    PUBLIC_FILE,
    exclusive_lock,
    left_beside,
    make_public_directory,
    read_file,
    remove_file,
    storage_error,
    write_atomic,
)
from pivgate.firewall.boot import Places, drop_in_text, unit_text, written_by_us
from pivgate.firewall.nft import Nft
from pivgate.firewall.rules import FAMILY, TABLE, removal
from pivgate.systemctl import enable, read_units_anew


@dataclass(frozen=True)
class State:
    """What there is of an applied firewall.

    Attributes:
        recorded: The rules are kept for the next boot.
        loaded: Our table is in the kernel.
        intact: The table is what was loaded, not changed by anybody since.
    """

    recorded: bool
    loaded: bool
    intact: bool


def apply(text: str, nft: Nft, places: Places) -> None:
    """Load rules now and at every boot, in the place of those applied before.

    Args:
        text: The rules, as ``rules.render`` writes them.
        nft: The program.
        places: Where the files go.

    Raises:
        RefusedError: nft or systemd does not do it, or a table or a unit of our name is somebody else's.
        StorageError: A file cannot be written; what was in force before still is.
        BusyError: Another command is changing the firewall.
    """
    nft.check(text)
    with exclusive_lock(places.lock):
        _check_ours(nft, places)
        make_public_directory(places.folder)
        remove_file(places.applied)
        write_atomic(places.rules, text.encode(), PUBLIC_FILE)
        if places.has_systemd:
            for path, content in _unit_files(nft, places).items():
                make_public_directory(path.parent)
                write_atomic(path, content, PUBLIC_FILE)
            enable(places.wanted, places.unit)
        nft.load(text)
        read_units_anew(places.root)
        write_atomic(places.applied, (nft.listing() or "").encode(), PUBLIC_FILE)
        _sweep(places)


def undo(nft: Nft, places: Places) -> bool:
    """Remove the rules, from the kernel and from the boot; nothing else is touched.

    Returns:
        Whether there was anything to remove.

    Raises:
        RefusedError: nft or systemd does not do it, or a table or a unit of our name is somebody else's.
        StorageError: A file cannot be removed.
        BusyError: Another command is changing the firewall.
    """
    with exclusive_lock(places.lock):
        _check_ours(nft, places)
        if not places.folder.exists():
            return False
        for path in (places.wanted, places.drop_in, places.unit):
            remove_file(path)
        _sweep(places)
        for folder in (places.wanted.parent, places.drop_in.parent):
            with suppress(OSError):  # There may be files of others in it, or no such folder.
                folder.rmdir()
        nft.load(removal())
        read_units_anew(places.root)
        remove_file(places.applied)
        _sweep(places)
        remove_file(places.rules)
        try:
            places.folder.rmdir()
        except OSError as error:
            raise storage_error("remove", places.folder, error) from error
        return True


def state(nft: Nft, places: Places) -> State:
    """Look at what is applied.

    Raises:
        RefusedError: nft cannot be asked.
        StorageError: A file cannot be read.
    """
    listing = nft.listing()
    recorded = places.rules.exists() and (not places.has_systemd or _is_enabled(nft, places))
    intact = listing is not None and places.applied.exists() and read_file(places.applied).decode() == listing
    return State(recorded, listing is not None, intact)


def _check_ours(nft: Nft, places: Places) -> None:
    if not places.rules.exists() and nft.has_table():
        raise RefusedError(
            f"There is a table `{FAMILY} {TABLE}` that pivgate did not load, or its file "
            f"{places.rules} was removed by hand",
            f"Look at it with `nft list table {FAMILY} {TABLE}`; if nobody needs it, "
            f"`nft delete table {FAMILY} {TABLE}`, then run the command again.",
        )
    for path in (places.unit, places.drop_in):
        if path.exists() and not written_by_us(read_file(path)):
            raise RefusedError(
                f"{path} was not written by pivgate", "Move it away, then run the command again."
            )


def _unit_files(nft: Nft, places: Places) -> dict[Path, bytes]:
    return {
        places.unit: unit_text(nft.path, places.rules).encode(),
        places.drop_in: drop_in_text(nft.path, places.rules).encode(),
    }


def _is_enabled(nft: Nft, places: Places) -> bool:
    files = _unit_files(nft, places)
    there = all(path.exists() and read_file(path) == content for path, content in files.items())
    return there and places.wanted.is_symlink()


def _sweep(places: Places) -> None:
    """Remove what a write that was cut short left behind."""
    for path in (places.rules, places.applied, places.unit, places.drop_in, places.wanted):
        for left in left_beside(path):
            remove_file(left)
