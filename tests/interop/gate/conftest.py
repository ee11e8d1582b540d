# SPDX-License-Identifier: Apache-2.0
"""A home as ``pivgate init`` leaves it, but with an authority of the tests' own."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.gate.pki import Authority, Client
from tests.interop.gate.standing_gate import StandingGate
from tests.ports import free_ports

from pivgate.gate import process
from pivgate.gate.apply import up
from pivgate.gate.own_process import Running
from pivgate.gate.snippet import initial_caddyfile
from pivgate.settings import Home

GATED = """
{host}.test {{
	import pivgate {group} internal {{
		respond "welcome to {host}"
	}}
}}
"""


@dataclass
class Place:
    """A home, its authority, and ports that nobody else uses."""

    home: Home
    authority: Authority
    http_port: int
    port: int
    other_port: int

    def write(self, *blocks: str) -> str:
        """Write a Caddyfile of the global options and these blocks; return its text."""
        head = initial_caddyfile(
            self.home.admin_socket, http_port=self.http_port, https_port=self.port, listen="127.0.0.1"
        )
        text = head + "".join(blocks)
        self.home.caddyfile.write_text(text)
        return text

    def gated(self, host: str, group: str = "admins") -> str:
        """Return the block of a gated site, ``host.test``."""
        return GATED.format(host=host, group=group)

    def admit(self, group: str, client: Client) -> None:
        """Put a certificate into the access tree."""
        entry = self.home.access / group / client.fingerprint
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.touch()

    def running(self) -> Running:
        """Return the Caddy that must be running."""
        found = process.running(self.home)
        assert found is not None
        return found

    def ask(self, client: Client, host: str) -> str:
        """Ask for ``host.test``; return status and body. A failing load may cost a connection."""
        gate = StandingGate(self.home.root, self.home.authority_certificate, port=self.port)
        reply = gate.ask(client.context(), f"{host}.test")
        deadline = time.monotonic() + 5
        while reply.status == 0 and time.monotonic() < deadline:
            reply = gate.ask(client.context(), f"{host}.test")
        return f"{reply.status} {reply.body}".strip()

    def is_listening(self, port: int) -> bool:
        """Say whether anybody listens on a port of the loopback."""
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def made_place(certificates: Path, within: str = "/tmp") -> Iterator[Place]:  # noqa: S108
    """Make a home with two sites, and stop its gate afterwards.

    Args:
        certificates: Where the authority keeps the certificates of its clients.
        within: The folder of the home.
    """
    # Not under tmp_path: a unix socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=within))
    home = Home(folder / "home")
    for path in (home.root, home.access, home.probes, home.authority_certificate.parent):
        path.mkdir(mode=0o700, parents=True)
    home.settings.touch()
    authority = Authority(certificates)
    shutil.copy(authority.pem, home.authority_certificate)
    for name, client in (
        ("expired", authority.client("probe", days=(-3, -1))),
        ("revoked", authority.client("probe")),
        ("foreign", Authority(certificates).client("probe")),
    ):
        shutil.copy(client.pem, home.probes / f"{name}.pem")
        shutil.copy(client.key, home.probes / f"{name}.key")
    place = Place(home, authority, *free_ports(3))
    place.write(place.gated("a"), place.gated("b", "editors"))
    try:
        yield place
    finally:
        process.stop(home, grace=1.0)
        shutil.rmtree(folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A home of the test's own, its gate down."""
    with made_place(tmp_path) as place:
        yield place


@pytest.fixture(scope="module")
def running_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home whose gate is up, for tests that leave it as they found it."""
    with made_place(tmp_path_factory.mktemp("certificates")) as place:
        up(place.home)
        yield place


@pytest.fixture
def alice(place: Place) -> Client:
    """Somebody who is let in to ``a.test``."""
    client = place.authority.client("alice")
    place.admit("admins", client)
    return client
