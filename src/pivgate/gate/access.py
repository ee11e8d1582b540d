# SPDX-License-Identifier: Apache-2.0
"""The access tree: ``<group>/<fingerprint>`` exists exactly when the gate is to let that certificate in.

Caddy looks a file up on every request, so each change here takes effect at once. Removals come before
additions, and whatever interrupts the work leaves a tree that admits nobody who was not admitted before
or is not wanted now. Callers hold the home's lock.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import InputError, StorageError
from pivgate.gate.tree import Folder

Entry = tuple[str, str]
"""A group and the SHA-256 fingerprint of a certificate, 64 lower-case hexadecimal digits."""

# What Caddy puts in place of the fingerprint when the client showed no certificate at all.
NO_CERTIFICATE = hashlib.sha256(b"").hexdigest()

_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Drift:
    """How the tree differs from what is wanted. It is false when it does not.

    Attributes:
        extra: Entries that admit somebody who is not wanted.
        missing: Wanted entries that are not there.
        foreign: Paths, relative to the tree, that are no entries at all; ``.`` for the tree itself.
    """

    extra: frozenset[Entry]
    missing: frozenset[Entry]
    foreign: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.extra or self.missing or self.foreign)


def synchronise(tree: Path, wanted: Iterable[Entry]) -> None:
    """Bring the tree to what is wanted: first everything else goes, then what is missing comes.

    Args:
        tree: The access tree; created when missing. Its parent must exist.
        wanted: Every entry that is to be there.

    Raises:
        InputError: An entry has a name that must never be in the tree. What is not wanted has been removed,
            nothing has been added.
        StorageError: Something could not be removed (the other removals are done, nothing has been added), or
            could not be added (what has been added is wanted).
    """
    entries = frozenset(wanted)
    sound = frozenset(entry for entry in entries if _is_sound(*entry))
    with Folder.make_root(tree) as root:
        present, removals = _keep_only(root, sound)
        removals.raise_failure()
        for entry in sorted(entries - sound):
            raise _unsound(*entry)
        _add(root, sound - present)


def withdraw(tree: Path, fingerprints: Iterable[str], only: str | None = None) -> int:
    """Take certificates out of their groups, durably. The gate refuses them from the next request on.

    Args:
        tree: The access tree; created when missing. A link in its place is removed, which closes the gate.
        fingerprints: SHA-256 fingerprints, 64 lower-case hexadecimal digits.
        only: The group out of which to take them; every group when None.

    Returns:
        How many entries were removed.

    Raises:
        InputError: One of them is not a fingerprint. Nothing was removed.
        StorageError: An entry could not be removed and still admits; all the others are gone.
    """
    names = frozenset(fingerprints)
    for name in sorted(names):
        if not _FINGERPRINT.fullmatch(name):
            raise InputError(
                f"{name!r} is not the fingerprint of a certificate", "A fingerprint has 64 of 0-9 and a-f."
            )
    removals = _Removals()
    count = 0
    with Folder.make_root(tree) as root:
        for group, folder in _groups(root, removals):
            here = [name for name in names if only in (None, group) and folder.holds(name)]
            for name in here:
                removals.remove(folder, name)
            if here:
                folder.sync()
                count += len(here)
        root.sync()
    removals.raise_failure()
    return count


def withdraw_group(tree: Path, group: str) -> None:
    """Take a group's folder out, durably. Sites of the group refuse everybody from the next request on.

    Args:
        tree: The access tree; created when missing. A link in its place is removed, which closes the gate.
        group: Its name.

    Raises:
        InputError: That is not the name of a group. Nothing was removed.
        StorageError: An entry could not be removed and still admits.
    """
    if not _GROUP.fullmatch(group):
        raise InputError(f"{group!a} is not the name of a group", "A group is made of a-z, 0-9, - and _.")
    removals = _Removals()
    with Folder.make_root(tree) as root:
        removals.remove(root, group)
        root.sync()
    removals.raise_failure()


def drift(tree: Path, wanted: Iterable[Entry]) -> Drift:
    """Compare the tree with what is wanted, changing nothing.

    Raises:
        StorageError: The tree cannot be read.
    """
    entries = frozenset(wanted)
    present: set[Entry] = set()
    foreign: set[str] = set()
    root = Folder.open_root(tree)
    if root is None:
        something = tree.is_symlink() or tree.exists()
        return Drift(frozenset(), entries, frozenset({"."} if something else ()))
    with root:
        for group, is_folder in root.children():
            if not is_folder or not _GROUP.fullmatch(group):
                foreign.add(_shown(group))
                continue
            with root.open(group) as folder:
                for name, is_entry in folder.files():
                    if is_entry and _is_sound(group, name):
                        present.add((group, name))
                    else:
                        foreign.add(_shown(group, name))
    return Drift(frozenset(present - entries), entries - present, frozenset(foreign))


class _Removals:
    """Goes on after a failure, so that one stubborn entry does not keep the others in force."""

    def __init__(self) -> None:
        self._failure: StorageError | None = None

    def remove(self, folder: Folder, name: str) -> None:
        try:
            folder.remove(name)
        except StorageError as error:
            self.fail(error)

    def fail(self, error: StorageError) -> None:
        self._failure = self._failure or StorageError(
            f"{error.message}; while it is there, the gate may let its holder in",
            f"{error.hint} To close the gate meanwhile: `pivgate down`.",
        )

    def raise_failure(self) -> None:
        if self._failure:
            raise self._failure


def _groups(root: Folder, removals: _Removals) -> Iterator[tuple[str, Folder]]:
    """Yield the folders of the tree, opened; whatever else is there is removed.

    A link in the place of a group would lead Caddy to files that nobody watches over.
    """
    for group, is_folder in root.children():
        if not is_folder:
            removals.remove(root, group)
            continue
        try:
            folder = root.open(group)
        except StorageError as error:
            removals.fail(error)
            continue
        with folder:
            yield group, folder


def _keep_only(root: Folder, wanted: frozenset[Entry]) -> tuple[frozenset[Entry], _Removals]:
    by_group: dict[str, set[str]] = {}
    for group, fingerprint in wanted:
        by_group.setdefault(group, set()).add(fingerprint)
    removals = _Removals()
    present: set[Entry] = set()
    for group, folder in _groups(root, removals):
        names = by_group.get(group, set())
        narrowed = False
        for name, is_entry in folder.files():
            if is_entry and name in names:
                present.add((group, name))
            else:
                removals.remove(folder, name)
                narrowed = True
        if not names:
            removals.remove(root, group)
        elif narrowed:
            folder.sync()
    root.sync()
    return frozenset(present), removals


def _add(root: Folder, entries: frozenset[Entry]) -> None:
    for group in sorted({group for group, _ in entries}):
        with root.open(group, create=True) as folder:
            for name in sorted(fingerprint for of, fingerprint in entries if of == group):
                folder.create(name)
            folder.sync()
    root.sync()


def _is_sound(group: str, fingerprint: str) -> bool:
    if fingerprint == NO_CERTIFICATE:
        return False
    return bool(_GROUP.fullmatch(group) and _FINGERPRINT.fullmatch(fingerprint))


def _unsound(group: str, fingerprint: str) -> InputError:
    if fingerprint == NO_CERTIFICATE:
        return InputError(
            f"The fingerprint {fingerprint[:8]}… stands for no certificate at all and would admit everybody",
            "No registry written by pivgate holds it: run `pivgate audit verify`.",
        )
    return InputError(
        f"{group!r} / {fingerprint!r} cannot be an entry of the access tree",
        "A group is made of a-z, 0-9, - and _; a fingerprint has 64 of 0-9 and a-f.",
    )


def _shown(*names: str) -> str:
    """A path for messages. Names found on the disk may hold anything, so all but plain ASCII is escaped."""
    return "/".join(ascii(name)[1:-1] for name in names)
