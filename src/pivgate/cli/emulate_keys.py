# SPDX-License-Identifier: Apache-2.0
"""The keys of ``pivgate emulate``: made or read from their files, and the readers they are in."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pivgate.errors import InputError, StorageError

if TYPE_CHECKING:
    from pivgate.emulator.pcsc.reader import VirtualReader
    from pivgate.emulator.yubikey import EmulatedYubiKey

# Written down here so that the help does not import the emulator; a test compares them.
FIRMWARES = ("4.3.7", "5.2.7", "5.4.3", "5.7.4")
_DEFAULT_FIRMWARE = "5.7.4"
_FIRST_SERIAL = 31000001


class Slots:
    """The keys, each with its reader once they were put into a folder."""

    def __init__(self, keys: "Sequence[EmulatedYubiKey]") -> None:
        self._keys = tuple(keys)
        self.readers: tuple[VirtualReader, ...] = ()

    @property
    def serials(self) -> frozenset[str]:
        """Their serial numbers, as a person types them."""
        return frozenset(str(key.serial) for key in self._keys)

    def put_into(self, folder: Path) -> None:
        """Give each key a reader whose socket is in that folder."""
        from pivgate.emulator.pcsc.reader import VirtualReader

        self.readers = tuple(VirtualReader(folder / f"{key.serial}.sock", key) for key in self._keys)

    def insert(self, serial: int | None) -> None:
        """Plug in one key, or all."""
        for reader in self._chosen(serial):
            reader.insert()

    @property
    def inserted(self) -> int:
        """How many can be seen; a key whose smart card side is off is not."""
        return sum(reader.occupied for reader in self.readers)

    def remove(self, serial: int | None) -> None:
        """Pull out one key, or all."""
        for reader in self._chosen(serial):
            reader.remove()

    def rows(self) -> list[dict[str, Any]]:
        """Return what is to be told of each key."""
        return [
            {
                "serial": reader.yubikey.serial,
                "firmware": reader.yubikey.firmware.name,
                "reader": reader.yubikey.firmware.reader_name,
                "inserted": reader.occupied,
            }
            for reader in self.readers
        ]

    @contextmanager
    def logged(self, file: Path | None) -> Iterator[None]:
        """Write a line for every command APDU, without secrets, as long as this lasts."""
        if file is None:
            yield
            return
        from pivgate.emulator.apdu_log import ApduLog

        with ExitStack() as stack:
            out = _opened(file, stack)
            for key in self._keys:
                key.log = _line_writer(key.serial, ApduLog(), out)
            yield
            for key in self._keys:
                key.log = None

    def _chosen(self, serial: int | None) -> "Sequence[VirtualReader]":
        return [reader for reader in self.readers if serial in (None, reader.yubikey.serial)]


def _opened(file: Path, stack: ExitStack) -> Any:
    import os
    import sys

    if str(file) == "-":
        return sys.stderr
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"Cannot write {file}: {error.strerror}", "Choose another file.") from error
    return stack.enter_context(os.fdopen(descriptor, "w", buffering=1, encoding="utf-8"))


def _line_writer(serial: int, log: Any, out: Any) -> Any:
    def write(command: bytes, reply: bytes) -> None:
        out.write(f"{serial} {log.line(command, reply)}\n")

    return write


def keys_for(firmware: str | None, serial: int | None, number: int, files: Sequence[Path]) -> Slots:
    """Make the keys, or read them from their files.

    Args:
        firmware: Of keys that are made; None for the newest.
        serial: Of the first key that is made; None for one that is not used yet.
        number: How many keys; more when there are more files.
        files: Files that keep keys; one that is missing is made.

    Raises:
        InputError: A file is not a key, or holds another firmware or serial number than the one asked for.
        StorageError: A file cannot be read or written.
    """
    from pivgate.emulator.firmware import FIRMWARE
    from pivgate.emulator.state_file import StateFileError, keep, load
    from pivgate.emulator.yubikey import EmulatedYubiKey

    keys: list[EmulatedYubiKey] = []
    next_serial = serial or _FIRST_SERIAL
    try:
        loaded = {file: load(file) for file in files if file.exists()}
        taken = {key.serial for key in loaded.values()}
        for file in [*files, *[None] * (number - len(files))]:
            key = loaded.get(file) if file else None
            if key is None:
                while next_serial in taken:
                    next_serial += 1
                key = EmulatedYubiKey(FIRMWARE[firmware or _DEFAULT_FIRMWARE], next_serial)
                taken.add(next_serial)
            elif firmware not in (None, key.firmware.name):
                raise InputError(
                    f"{file} keeps a key with firmware {key.firmware.name}, not {firmware}",
                    "Leave --firmware out, or name another file.",
                )
            keys.append(key)
            if file:
                keep(key, file)
    except StateFileError as error:
        raise InputError(
            str(error), "Name a file that `pivgate emulate --state` made, or one that is not there."
        ) from error
    except OSError as error:
        raise StorageError(
            f"Cannot use {error.filename}: {error.strerror}", "Check the path and its folder."
        ) from error
    if len({key.serial for key in keys}) != len(keys):
        raise InputError("Two of the files keep the same key", "Name each file once.")
    return Slots(keys)
