# SPDX-License-Identifier: Apache-2.0
"""A table with card readers on it: emulated YubiKeys behind a pcscd of their own, for one test at a time."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.pcsc.reader import VirtualReader
from pivgate.emulator.pcsc.service import PcscService
from pivgate.emulator.yubikey import EmulatedYubiKey

PATIENCE = 10.0


class CardTable:
    """Readers with an emulated key each, plugged in.

    Attributes:
        readers: One per key, in the order in which PC/SC lists them.
        environment: The whole environment for programs that are to use them.
        log: Every command APDU and its reply, of all keys, in order.
    """

    def __init__(self, folder: Path, keys: Sequence[EmulatedYubiKey]) -> None:
        self.log: list[tuple[bytes, bytes]] = []
        self.readers = [VirtualReader(folder / f"{number}.sock", key) for number, key in enumerate(keys)]
        for key in keys:
            key.log = lambda command, reply: self.log.append((command, reply))
        self.service = PcscService(folder, self.readers)
        self.environment = {**os.environ, **self.service.environment}

    def signatures(self) -> int:
        """Count the private-key operations that succeeded or failed in slot 9a."""
        return sum(
            command[1] == 0x87 and command[3] == 0x9A for command, _ in self.log if not command[0] & 0x10
        )

    def pins(self) -> int:
        """Count the PINs that were tried."""
        return sum(command[1] == 0x20 and len(command) > 5 for command, _ in self.log)

    def run(
        self, *command: str | Path, given: str | bytes = b"", timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program that uses the readers; it may fail."""
        data = given.encode() if isinstance(given, str) else given
        done = subprocess.run(
            [str(word) for word in command],
            input=data,
            capture_output=True,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def await_cards(self, number: int) -> None:
        """Wait until PC/SC says that so many cards are in the readers."""
        deadline = time.monotonic() + PATIENCE
        while (seen := self.cards_seen()) != number:
            assert time.monotonic() < deadline, f"{seen} cards seen instead of {number}"
            time.sleep(0.02)

    def cards_seen(self) -> int:
        """Ask PC/SC how many cards are in the readers, as OpenSC sees them."""
        listed = self.run("opensc-tool", "--list-readers").stdout
        return sum(line.split()[1] == "Yes" for line in listed.splitlines() if line[:1].isdigit())


@contextmanager
def card_table(*keys: EmulatedYubiKey, insert: bool = True) -> Iterator[CardTable]:
    """Lay a table; take it away afterwards, whatever happened."""
    # Not pytest's tmp_path: the path of a unix socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="pgc"))
    table = CardTable(folder, keys)
    try:
        table.service.start()
        if insert:
            for reader in table.readers:
                reader.insert()
            # PC/SC tells of a key a little after it has given it power.
            table.await_cards(len(keys))
        yield table
    finally:
        for reader in table.readers:
            reader.remove()
        table.service.stop()
        shutil.rmtree(folder)


def new_key(firmware: str = "5.7.4", serial: int = 31000001) -> EmulatedYubiKey:
    """Return a key fresh from the factory."""
    return EmulatedYubiKey(FIRMWARE[firmware], serial)
