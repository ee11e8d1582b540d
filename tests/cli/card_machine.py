# SPDX-License-Identifier: Apache-2.0
"""A machine whose keys are behind a PC/SC service of its own: nothing of pivgate is replaced."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.gate.process import stop
from tests.card_table import CardTable, card_table, new_key
from tests.cli.conftest import PATIENCE, Machine, Result
from tests.cli.forked_pivgate import forked_pivgate


class CardMachine(Machine):
    """Runs the real command with the environment of a card table."""

    def __init__(self, root: Path, table: CardTable) -> None:
        super().__init__(root)
        self.table = table

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of pivgate on this machine's home."""
        return [sys.executable, "-m", "pivgate", "--home", str(self.home.root), *map(str, arguments)]

    def run(
        self,
        *arguments: str | Path,
        given: str = "",
        environment: dict[str, str] | None = None,
        under: tuple[str, ...] = (),
    ) -> Result:
        surroundings = {**self.table.environment, "NO_COLOR": "1", **(environment or {})}
        if under:
            done = subprocess.run(
                [*under, *self.command(*arguments)],
                input=given,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env=surroundings,
            )
        else:
            words = ["--home", str(self.home.root), *map(str, arguments)]
            done = forked_pivgate().run(None, words, given, surroundings, PATIENCE)
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def connected(self, site: str, *arguments: str | Path) -> Iterator["Proxy"]:
        """Run ``pivgate connect`` to a site of the gate until the end of the block."""
        process = subprocess.Popen(
            self.command(
                *("connect", f"https://{site}:{self.https_port}/", "--json"),
                *("--pin-file", self.secrets["pin"]),
                *arguments,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.table.environment, "NO_COLOR": "1"},
        )
        proxy = Proxy(process)
        try:
            yield proxy
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            _, proxy.err = process.communicate(timeout=20)
            proxy.status = process.returncode
            assert "Traceback" not in proxy.err, proxy.err


class Proxy:
    """A running ``pivgate connect``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        self.ready: dict[str, Any] = json.loads(line)
        self.port: int = self.ready["port"]
        self.token: str = self.ready["token"]
        self.url: str = self.ready["url"]
        self.status: int | None = None
        self.err = ""

    @property
    def url_with_token(self) -> str:
        return f"http://pivgate:{self.token}@127.0.0.1:{self.port}/"

    def client(self) -> httpx.Client:
        """Return a client that has the token."""
        return httpx.Client(base_url=self.url, auth=("anybody", self.token), timeout=30)

    def memory(self) -> int:
        """Return the most memory that it has used, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@contextmanager
def card_machine(*keys: EmulatedYubiKey) -> Iterator[CardMachine]:
    """A machine with keys plugged in; its gate is stopped afterwards."""
    with card_table(*keys) as table:
        root = Path(tempfile.mkdtemp(prefix="pg"))
        machine = CardMachine(root, table)
        try:
            yield machine
        finally:
            if machine.home.settings.exists():
                stop(machine.home, grace=0.5)
            shutil.rmtree(root)


@contextmanager
def alices_gate(site: str, app: str) -> Iterator[CardMachine]:
    """A machine with alice's key, and a gate with one site."""
    with card_machine(new_key()) as machine:
        machine.init()
        machine.good("user", "add", "alice")
        assert machine.provision("alice").status == 0
        machine.good("site", "add", site, app)
        machine.good("up")
        yield machine
