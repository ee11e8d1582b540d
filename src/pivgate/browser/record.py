# SPDX-License-Identifier: Apache-2.0
"""The record of what we changed, written before each change: what was there, what we put there, what is ours.

One JSON file and, beside it, a copy of every file as it was, named by its SHA-256. A change that was cut
short leaves files that are each as before or as after; the next command completes it or takes it back.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pivgate.errors import StorageError
from pivgate.files import make_private_directory, read_file, storage_error, write_atomic

VERSION = 1


@dataclass(frozen=True)
class FileRecord:
    """One file of a target.

    Attributes:
        before: SHA-256 of the copy of what was there; None where there was no file.
        mode: Permission bits that it had, or was made with.
        before_content: Digest of what it said, see ``change.Target.content``.
        after_contents: The same of what we wrote, the latest last: a run that was cut short may have left
            what an earlier one wrote.
    """

    before: str | None
    mode: int
    before_content: str
    after_contents: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One target, which is an NSS database or a policy file.

    Attributes:
        kind: Which kind of target.
        place: Its path.
        files: Path → what was there and what we wrote.
        folders: The folders that we made, outermost first.
        own: What we put in, in the terms of the kind of target.
    """

    kind: str
    place: str
    files: Mapping[str, FileRecord]
    folders: tuple[str, ...]
    own: Mapping[str, Any]


class Record:
    """The record in one folder.

    Args:
        folder: Where it is kept; created when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "record.json"
        self._made = folder / "folders"

    @property
    def folder(self) -> Path:
        """Where the record is kept."""
        return self._folder

    @property
    def lock(self) -> Path:
        """Held by every command that changes what browsers read."""
        return self._folder / "lock"

    def entries(self) -> list[Entry]:
        """Return what is recorded, oldest first.

        Raises:
            StorageError: The record is damaged.
        """
        try:
            if not self._file.exists():
                return []
        except OSError as error:
            raise storage_error("read", self._file, error) from error
        try:
            value = json.loads(read_file(self._file))
            if value["version"] != VERSION:
                raise StorageError(
                    f"{self._file} was written by another version of pivgate", "Use that version to undo."
                )
            return [
                Entry(
                    kind=item["kind"],
                    place=item["place"],
                    files={path: _file(each) for path, each in item["files"].items()},
                    folders=tuple(item["folders"]),
                    own=item["own"],
                )
                for item in value["entries"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                f"{self._file} is damaged: {error}",
                f"Restore it; the copies of what browsers had are beside it in {self._folder}.",
            ) from error

    def find(self, place: str) -> Entry | None:
        """Return what is recorded about one target."""
        return next((entry for entry in self.entries() if entry.place == place), None)

    def put(self, entry: Entry) -> None:
        """Write an entry down, in the place of an earlier one on the same target."""
        known = self.entries()
        if any(each.place == entry.place for each in known):
            self._write([entry if each.place == entry.place else each for each in known])
        else:
            self._write([*known, entry])

    def drop(self, place: str) -> None:
        """Forget a target, and the copies that no other target needs."""
        left = [entry for entry in self.entries() if entry.place != place]
        self._write(left)
        self._sweep(left)

    def prepare(self) -> None:
        """Create the folder of the record; the folders that are made for it go when the record ends."""
        missing = [str(each) for each in (self._folder, *self._folder.parents) if not each.exists()]
        make_private_directory(self._folder)
        if missing:
            write_atomic(self._made, "\n".join(missing).encode())

    def keep(self, data: bytes) -> str:
        """Keep a copy of what was there; returns its name."""
        name = hashlib.sha256(data).hexdigest()
        if not (self._folder / name).exists():
            write_atomic(self._folder / name, data)
        return name

    def copy(self, name: str) -> bytes:
        """Return a copy.

        Raises:
            StorageError: It is gone, or not what it was.
        """
        data = read_file(self._folder / name)
        if hashlib.sha256(data).hexdigest() != name:
            raise StorageError(f"The copy {self._folder / name} is damaged", "Restore it from a backup.")
        return data

    def _write(self, entries: list[Entry]) -> None:
        if not entries:
            try:
                self._file.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error("remove", self._file, error) from error
            return
        value = {"version": VERSION, "entries": [asdict(entry) for entry in entries]}
        write_atomic(self._file, (json.dumps(value, indent=1) + "\n").encode())

    def _sweep(self, entries: list[Entry]) -> None:
        needed = {each.before for entry in entries for each in entry.files.values()}
        try:
            for path in self._folder.iterdir():
                # A copy has 64 characters; what begins with a dot is from a write that was cut short.
                if path.name.startswith(".") or (len(path.name) == 64 and path.name not in needed):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error("tidy", self._folder, error) from error

    def leave(self) -> None:
        """Remove what was made for the record, once nothing is recorded any more."""
        try:
            if not self._folder.is_dir() or self._file.exists():
                return
            self._sweep([])
            made = self._made.read_text().splitlines() if self._made.exists() else []
            self._made.unlink(missing_ok=True)
            self.lock.unlink(missing_ok=True)
            for folder in map(Path, made):
                if any(folder.iterdir()):
                    break
                folder.rmdir()
        except OSError as error:
            raise storage_error("tidy", self._folder, error) from error


def _file(value: dict[str, Any]) -> FileRecord:
    return FileRecord(**{**value, "after_contents": tuple(value["after_contents"])})
