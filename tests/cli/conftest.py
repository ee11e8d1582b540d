# SPDX-License-Identifier: Apache-2.0
"""A home, the command line, and YubiKeys to plug in: each test has its own and leaves nothing behind."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from yubikit.piv import SLOT

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.state_file import load, save
from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.settings import Home
from pivgate.yubikey.session import open_piv
from pivgate.yubikey.sign import SlotSigner
from pivgate.yubikey.tls_client import HttpsConnection
from pivgate.yubikey.tls_key import Login
from tests.cli.forked_pivgate import forked_pivgate
from tests.interop.gate.streams import endless
from tests.ports import free_port

PASSPHRASE = "correct horse battery staple"
PIN = "246813"
PUK = "97531246"
ALICE = 31000001
SITE = "app.localhost"
PROGRAM = Path(__file__).with_name("emulated_pivgate.py")
PATIENCE = 120.0


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Machine:
    """A machine with a home, pivgate, and the keys that are plugged in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = Home(root / "home")
        self.port = root / "port"
        self.drawer = root / "drawer"
        self.port.mkdir()
        self.drawer.mkdir()
        self.secrets = {}
        for name, value in (("passphrase", PASSPHRASE), ("pin", PIN), ("puk", PUK)):
            self.secret(name, value)

    def secret(self, name: str, value: str) -> Path:
        """Write a secret to a file and return its path."""
        path = self.root / name
        path.write_text(value)
        self.secrets[name] = path
        return path

    def run(
        self,
        *arguments: str | Path,
        given: str = "",
        environment: dict[str, str] | None = None,
        under: tuple[str, ...] = (),
    ) -> Result:
        """Run pivgate on this machine's home, under another program if one is named."""
        words = ["--home", str(self.home.root), *map(str, arguments)]
        surroundings = {**_surroundings(limited=bool(under)), "NO_COLOR": "1", **(environment or {})}
        if under:
            done = subprocess.run(
                [*under, sys.executable, str(PROGRAM), str(self.port), *words],
                input=given,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env=surroundings,
            )
        else:
            done = forked_pivgate().run(self.port, words, given, surroundings, PATIENCE)
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments: str | Path, given: str = "") -> Result:
        """Run pivgate, which must succeed."""
        result = self.run(*arguments, given=given)
        assert result.status == 0, f"{arguments}: {result}"
        return result

    def init(self, *arguments: str) -> None:
        """Create the home, listening on free ports of the loopback interface."""
        self.https_port, self.http_port = free_port(), free_port()
        self.good(
            *("init", "--listen", "127.0.0.1", "--passphrase-file", self.secrets["passphrase"]),
            *("--https-port", str(self.https_port), "--http-port", str(self.http_port)),
            *arguments,
        )

    def plug_in(self, serial: int, firmware: str = "5.7.4") -> None:
        """Plug in a key: one from the drawer, or a new one."""
        known = self.drawer / f"{serial}.json"
        if known.exists():
            known.rename(self.port / known.name)
        else:
            save(EmulatedYubiKey(FIRMWARE[firmware], serial), self.port / f"{serial}.json")

    def pull_out(self, serial: int) -> None:
        """Put a key into the drawer."""
        (self.port / f"{serial}.json").rename(self.drawer / f"{serial}.json")

    def provision(self, user: str, *arguments: str, environment: dict[str, str] | None = None) -> Result:
        """Provision the key that is plugged in."""
        return self.run(
            *("key", "provision", "--user", user, "--passphrase-file", self.secrets["passphrase"]),
            *("--pin-file", self.secrets["pin"], "--puk-file", self.secrets["puk"]),
            *arguments,
            environment=environment,
        )

    def login(self, serial: int) -> Login:
        """Return what it takes to log in with a key that is plugged in; the key signs."""
        yubikey = load(self.port / f"{serial}.json")
        with EmulatedDevice(yubikey).open() as connection:
            certificate = open_piv(connection).get_certificate(SLOT.AUTHENTICATION)
        return Login(certificate, KeySigner(EmulatedDevice(yubikey), certificate.public_key()))

    def visit(self, site: str, login: Login | None = None) -> HttpsConnection:
        """Return a connection to a site of the gate, not opened yet."""
        root = self.home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        trust = [x509.load_pem_x509_certificate(root.read_bytes())]
        return HttpsConnection(("127.0.0.1", self.https_port), site, trust, login)


@dataclass(frozen=True)
class KeySigner:
    """Signs on an emulated key, with its PIN."""

    device: EmulatedDevice
    public_key: Any

    def sign(self, message: bytes, hash_algorithm: Any, rsa_padding: Any) -> bytes:
        with self.device.open() as connection:
            signer = SlotSigner(open_piv(connection), self.public_key, ask_pin=lambda _tries: PIN)
            return signer.sign(message, hash_algorithm, rsa_padding)


def _surroundings(*, limited: bool) -> dict[str, str]:
    # A child that may not write files cannot write down its coverage, either, and would complain.
    return {
        name: value for name, value in os.environ.items() if not (limited and name.startswith("COVERAGE"))
    }


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine with nothing on it; its gate is stopped afterwards."""
    # Not pytest's tmp_path: the path of a unix socket has to be short.
    root = Path(tempfile.mkdtemp(prefix="pg"))
    there = Machine(root)
    try:
        yield there
    finally:
        if there.home.settings.exists():
            from pivgate.gate.process import stop

            stop(there.home, grace=0.5)
        shutil.rmtree(root)


@pytest.fixture
def founded(machine: Machine) -> Machine:
    """A machine with a home, and alice in its registry."""
    machine.init()
    machine.good("user", "add", "alice")
    return machine


@pytest.fixture
def provisioned(founded: Machine) -> Machine:
    """The same with alice's key, plugged in."""
    founded.plug_in(ALICE)
    assert founded.provision("alice", "--algorithm", "p256").status == 0
    return founded


@pytest.fixture
def gate(provisioned: Machine) -> Iterator[Machine]:
    """The same with a site, and its gate up."""
    with endless() as upstream:
        provisioned.good("site", "add", SITE, upstream)
        provisioned.good("up")
        yield provisioned


def ask(gate: Machine) -> int:
    """Ask the site as alice, with her key; return the status."""
    connection = gate.visit(SITE, gate.login(ALICE))
    try:
        return connection.ask("GET", "/short")[0]
    finally:
        connection.close()


def refused(result: Result, status: int, *words: str) -> None:
    """Accept a refusal that says what happened and what to do, with the documented exit status."""
    assert result.status == status, result
    assert result.err.startswith("Error: "), result.err
    assert "What to do: " in result.err
    for word in words:
        assert word in result.err
