# SPDX-License-Identifier: Apache-2.0
"""Changes what browsers read, one target at a time, so that it can be taken back: plan, apply, undo.

A plan holds every byte that is going to be written. Applying it writes the record first, then each file in
one step. Undoing puts back what was there. Where a file says something else than what we wrote, somebody used
it since: then only what is ours is taken out.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from pivgate.browser.record import Entry, FileRecord, Record
from pivgate.files import left_beside, storage_error, sync_directory, write_atomic

Files = dict[Path, bytes | None]
"""What is in files; None where there is none."""


class Target(Protocol):
    """Something that a browser reads: files which belong together."""

    @property
    def kind(self) -> str:
        """Which kind of target."""
        ...

    @property
    def place(self) -> Path:
        """What it is known by."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        ...

    @property
    def modes(self) -> tuple[int, int]:
        """Permission bits for a file and for a folder that we make."""
        ...

    def content(self, path: Path, data: bytes | None) -> str:
        """Return a digest of what a file says, the same for two that say the same."""
        ...

    def missing(self, files: Files, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of the wanted is not there yet; empty when all is."""
        ...

    def add(self, files: Files, wanted: Mapping[str, Any]) -> Files:
        """Return the files with what is wanted in them."""
        ...

    def remove(self, files: Files, own: Mapping[str, Any]) -> Files:
        """Return the files without what is ours."""
        ...

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return what two wishes want together; where they differ the second counts."""
        ...


class State(Enum):
    """How a target stands to what is recorded about it."""

    UNKNOWN = "not in the record"
    BEFORE = "as it was"
    AFTER = "as we wrote it"
    BETWEEN = "a change was cut short"
    USED = "changed by somebody since"


@dataclass(frozen=True)
class Plan:
    """What is going to be written.

    Attributes:
        target: Where.
        before: What undo puts back.
        now: What is there.
        after: What is going to be there.
        own: What is ours in it.
        adds: What is new in this run; empty when nothing is to be done.
    """

    target: Target
    before: Files
    now: Files
    after: Files
    own: Mapping[str, Any]
    adds: Mapping[str, Any]

    @property
    def changes(self) -> list[Path]:
        """The files that are going to be written."""
        return [path for path in self.target.paths if self.now[path] != self.after[path]]


def read(paths: tuple[Path, ...]) -> Files:
    """Read files, of which some may not exist.

    Raises:
        StorageError: One cannot be read.
    """
    found: Files = {}
    for path in paths:
        try:
            found[path] = path.read_bytes()
        except FileNotFoundError:
            found[path] = None
        except OSError as error:
            raise storage_error("read", path, error) from error
    return found


def digest(data: bytes | None) -> str:
    """Return what tells a file from any other; one that is not there has none."""
    return "absent" if data is None else hashlib.sha256(data).hexdigest()


def state(target: Target, entry: Entry | None, now: Files) -> State:
    """Tell how a target stands to its entry in the record."""
    if entry is None:
        return State.UNKNOWN
    pairs = [
        (target.content(path, now[path]), entry.files[str(path)]) for path in now if str(path) in entry.files
    ]
    if all(said == each.after_contents[-1] for said, each in pairs):
        return State.AFTER
    if all(said == each.before_content for said, each in pairs):
        return State.BEFORE
    if all(said in (each.before_content, *each.after_contents) for said, each in pairs):
        return State.BETWEEN
    return State.USED


def plan(target: Target, wanted: Mapping[str, Any], record: Record) -> Plan:
    """Work out a change, without changing anything.

    Args:
        target: Where.
        wanted: What is to be there.
        record: What was done before.
    """
    entry = record.find(str(target.place))
    now = read(target.paths)
    how = state(target, entry, now)
    missing = target.missing(now, wanted)
    if not missing and how is not State.BETWEEN:
        return Plan(target, now, now, now, entry.own if entry else {}, {})
    if entry is None:
        return Plan(target, now, now, target.add(now, missing), missing, missing)
    base = target.remove(now, entry.own) if how is State.USED else {**now, **_before(entry, now, record)}
    own = target.merge(entry.own, target.missing(base, target.merge(entry.own, wanted)))
    return Plan(target, base, now, target.add(base, own), own, missing or entry.own)


def apply(change: Plan, record: Record) -> None:
    """Do what a plan says. Nothing is written before the record is.

    Raises:
        StorageError: A file could not be written; run the same command again, or undo.
    """
    if not change.adds:
        return
    entry = _entry(change, record)
    record.put(entry)
    _make_folders(entry, change.target.modes[1])
    sweep(change.target)
    for path in change.target.paths:
        write(path, change.after[path], entry.files[str(path)].mode)


class Undone(Enum):
    """What undo could do with a target."""

    RESTORED = "restored byte for byte"
    CLEANED = "changed by somebody since: only what pivgate added was taken out"


def undo(target: Target, entry: Entry, record: Record) -> Undone:
    """Put back what was there before; drop the entry when it is done.

    Raises:
        StorageError: A file could not be written; run the same command again.
    """
    now = read(target.paths)
    used = state(target, entry, now) is State.USED
    wanted = target.remove(now, entry.own) if used else {**now, **_before(entry, now, record)}
    for path in target.paths:
        if now[path] != wanted[path]:
            known = entry.files.get(str(path))
            write(path, wanted[path], known.mode if known else target.modes[0])
    sweep(target)
    for folder in reversed(entry.folders):
        _remove_if_empty(Path(folder))
    record.drop(entry.place)
    return Undone.CLEANED if used else Undone.RESTORED


def write(path: Path, data: bytes | None, mode: int) -> None:
    """Make a file say this, or be gone.

    Raises:
        StorageError: It could not be done.
    """
    # A link stays a link: what it leads to is written.
    path = Path(os.path.realpath(path))
    if data is not None:
        write_atomic(path, data, mode)
        return
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_directory(path.parent)
    except OSError as error:
        raise storage_error("remove", path, error) from error


def _before(entry: Entry, now: Files, record: Record) -> Files:
    return {
        path: None if each.before is None else record.copy(each.before)
        for path in now
        if (each := entry.files.get(str(path)))
    }


def _entry(change: Plan, record: Record) -> Entry:
    target, known = change.target, record.find(str(change.target.place))
    files = dict(known.files) if known else {}
    for path in target.paths:
        data = change.before[path]
        before_content = target.content(path, data)
        same = (
            known is not None
            and str(path) in known.files
            and known.files[str(path)].before_content == before_content
        )
        earlier = known.files[str(path)].after_contents if known and same else ()
        files[str(path)] = FileRecord(
            before=None if data is None else record.keep(data),
            mode=_mode(path) if change.now[path] is not None else target.modes[0],
            before_content=before_content,
            after_contents=(*earlier, target.content(path, change.after[path])),
        )
    folders = known.folders if known else ()
    made = tuple(str(each) for each in _missing_folders(target.paths) if str(each) not in folders)
    return Entry(target.kind, str(target.place), files, folders + made, change.own)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except OSError as error:
        raise storage_error("read", path, error) from error


def _missing_folders(paths: tuple[Path, ...]) -> list[Path]:
    missing = {folder for path in paths for folder in path.parents if not folder.exists()}
    return sorted(missing, key=lambda folder: len(folder.parts))


def _make_folders(entry: Entry, mode: int) -> None:
    for folder in map(Path, entry.folders):
        try:
            folder.mkdir(mode=mode, exist_ok=True)
        except OSError as error:
            raise storage_error("create", folder, error) from error


def sweep(target: Target) -> None:
    """Remove what a write that was cut short left beside the files (``files.write_atomic``)."""
    for path in target.paths:
        real = Path(os.path.realpath(path))
        try:
            for stray in left_beside(real):
                stray.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error("tidy", real.parent, error) from error


def _remove_if_empty(folder: Path) -> None:
    try:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            sync_directory(folder.parent)
    except OSError as error:
        raise storage_error("remove", folder, error) from error
