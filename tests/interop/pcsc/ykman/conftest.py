# SPDX-License-Identifier: Apache-2.0
"""The real ykman command beside emulated keys, which it finds through a real pcscd as it finds others."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.card_table import PATIENCE, CardTable, card_table, new_key
from tests.interop.pcsc.ykman.forked import ForkedYkman, home_variables

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

PIN = "123456"
PUK = "12345678"
MANAGEMENT_KEY = "0102030405060708" * 3
SERIAL = 31000001

FIRMWARES = tuple(FIRMWARE)
WITH_METADATA = ("5.4.3", "5.7.4")


class Ykman:
    """The command, at a table with keys, in a home of its own.

    Attributes:
        table: Where the keys are.
        folder: Where the command runs, so that files have short names.
    """

    def __init__(self, table: CardTable, folder: Path, forked: ForkedYkman) -> None:
        self.table = table
        self.folder = folder
        self._forked = forked
        self._environment = {**table.environment, **home_variables(folder / "home")}

    @property
    def key(self) -> EmulatedYubiKey:
        """The key in the first reader."""
        return self.table.readers[0].yubikey

    def __call__(self, line: str, *words: str | Path) -> str:
        """Run a command that succeeds; return all that it says.

        Args:
            line: Words with spaces between.
            words: More of them, in which spaces are spaces.
        """
        status, said = self.run(line, *words)
        assert status == 0, said
        return said

    def refuses(self, line: str, *words: str | Path) -> str:
        """Run a command that says in its own words why it does not do it; return them."""
        status, said = self.run(line, *words)
        assert status == 1, said
        assert "Traceback" not in said
        return said

    def run(self, line: str, *words: str | Path) -> tuple[int, str]:
        """Run a command to its end; return its exit status and all that it says."""
        return self._forked.run([*line.split(), *map(str, words)], self.folder, self._environment)

    def talk(
        self, line: str, *words: str, answers: Sequence[tuple[str, str | Callable[[], None]]]
    ) -> tuple[int, str]:
        """Run a command at a terminal and answer its questions, as a person does.

        Args:
            line: Words with spaces between.
            words: More of them.
            answers: What it asks in their order, and what is typed then, or what happens instead.

        Returns:
            Exit status, and what the terminal showed.
        """
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            ["setsid", "--ctty", "ykman", *line.split(), *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.folder,
            env=self._environment,
        ) as process:
            os.close(theirs)
            screen = ""
            try:
                for question, answer in answers:
                    screen += _read_until(ours, question)
                    if callable(answer):
                        answer()
                    else:
                        os.write(ours, f"{answer}\n".encode())
                screen += _read_until(ours, None)
                return process.wait(PATIENCE), screen
            finally:
                process.kill()
                os.close(ours)

    def write(self, name: str, data: bytes | str) -> str:
        """Write a file into the folder and return its name."""
        (self.folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return name

    def read(self, name: str) -> bytes:
        """Read a file that the command wrote."""
        return (self.folder / name).read_bytes()

    def openssl(self, line: str, *words: str) -> str:
        """Ask openssl; it must not object."""
        status, said = self.openssl_says(line, *words)
        assert status == 0, said
        return said

    def openssl_says(self, line: str, *words: str) -> tuple[int, str]:
        """Ask openssl; return its exit status and all that it says."""
        done = subprocess.run(
            ["openssl", *line.split(), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


def _read_until(terminal: int, wanted: str | None) -> str:
    """Read a terminal until it shows some words, or to its end."""
    deadline = time.monotonic() + 3 * PATIENCE
    shown = b""
    while wanted is None or wanted.encode() not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{wanted!r} was not shown, only {shown!r}"
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux's way to say that nobody has the terminal open any more
            piece = b""
        if not piece:
            assert wanted is None, f"{wanted!r} was not shown, only {shown!r}"
            break
        shown += piece
    return shown.decode(errors="replace")


Plug = Callable[..., Ykman]


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedYkman]:
    """ykman, started once."""
    started = ForkedYkman(tmp_path_factory.mktemp("ykman"))
    yield started
    started.close()


@pytest.fixture
def plug(tmp_path: Path, forked: ForkedYkman) -> Iterator[Plug]:
    """Give a function that plugs keys in: versions of firmware, or keys."""
    with ExitStack() as tables:

        def lay(*keys: str | EmulatedYubiKey) -> Ykman:
            made = [
                new_key(key, SERIAL + number) if isinstance(key, str) else key
                for number, key in enumerate(keys)
            ]
            return Ykman(tables.enter_context(card_table(*made)), tmp_path, forked)

        yield lay


@pytest.fixture(params=FIRMWARES)
def ykman(request: pytest.FixtureRequest, plug: Plug) -> Ykman:
    """The command and one key fresh from the factory, of each firmware in turn."""
    return plug(request.param)


@pytest.fixture
def newest(plug: Plug) -> Ykman:
    """The command and a key with the newest firmware."""
    return plug("5.7.4")
