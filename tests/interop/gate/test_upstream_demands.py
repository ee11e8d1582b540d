# SPDX-License-Identifier: Apache-2.0
"""Whom an upstream lets in, found out by asking it: servers that demand what they should, and that do not."""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.interop.gate.pki import Authority
from tests.interop.gate.upstream_world import Impostor
from tests.ports import free_ports

from pivgate.enrolment.upstream import create
from pivgate.errors import StorageError
from pivgate.firewall.certificate import Demand, prove
from pivgate.firewall.reach import Outcome, Way
from pivgate.gate.upstream_block import UpstreamFolder, folder_of
from pivgate.settings import Home

SITE = "mysite.test"


@dataclass
class Street:
    """An upstream's address, its files, and the authorities that a server may trust."""

    port: int
    folder: UpstreamFolder
    trusted: dict[str, Path]
    demand: Demand

    def found(self, outcome: Outcome = Outcome.GATE, host: str = "127.0.0.1") -> Way:
        """Return what connecting to it has shown."""
        return Way(f"127.0.0.1:{self.port}", f"{host}:{self.port}", outcome, "before")

    def asked(self, *ways: Way, seconds: float = 20) -> list[Way]:
        """Ask it."""
        return prove(ways, {f"127.0.0.1:{self.port}": self.demand}, seconds)


@pytest.fixture
def street(tmp_path: Path) -> Street:
    home = Home(tmp_path)
    folders = [folder_of(home, site) for site in (SITE, "other.test")]
    for folder in folders:
        create(home, folder.address, (folder.address,), datetime.now(UTC))
    holders = Authority(tmp_path)
    holder = holders.client("alice")
    (port,) = free_ports(1)
    return Street(
        port,
        folders[0],
        {"own": folders[0].authority, "another": folders[1].authority, "holders": holders.pem},
        Demand(SITE, (folders[0].gate, folders[0].gate), (holder.pem, holder.key)),
    )


@pytest.mark.parametrize(
    ("trusted", "demands", "outcome", "words"),
    [
        ("own", ssl.CERT_NONE, Outcome.OPEN, "lets in anybody, without a certificate"),
        ("own", ssl.CERT_OPTIONAL, Outcome.OPEN, "lets in anybody, without a certificate"),
        ("holders", ssl.CERT_REQUIRED, Outcome.OPEN, "lets in holders, around the gate"),
        ("another", ssl.CERT_REQUIRED, Outcome.UNKNOWN, "does not let in the gate"),
        ("own", ssl.CERT_REQUIRED, Outcome.GUARDED, "lets in the gate's certificate, and no other"),
    ],
)
def test_what_is_demanded(
    street: Street, trusted: str, demands: ssl.VerifyMode, outcome: Outcome, words: str
) -> None:
    with Impostor(street.port, street.folder.server, street.trusted[trusted], demands):
        (way,) = street.asked(street.found())
    assert (way.outcome, words in way.says) == (outcome, True), way
    assert bool(way.remedy) == way.outcome.is_open


def test_a_server_without_tls_lets_in_everybody(street: Street) -> None:
    with Impostor(street.port, None, street.folder.authority):
        (way,) = street.asked(street.found())
    assert (way.outcome, way.says) == (Outcome.OPEN, "lets in anybody, without TLS")


def test_who_listens_on_every_address_is_asked_on_the_loopback(street: Street) -> None:
    with Impostor(street.port, street.folder.server, street.folder.authority, ssl.CERT_REQUIRED):
        (way,) = street.asked(street.found(Outcome.OPEN, "0.0.0.0"))  # noqa: S104 - as it is told
    assert (way.outcome, way.address) == (Outcome.GUARDED, f"0.0.0.0:{street.port}")


def test_a_server_that_says_nothing_is_not_taken_for_guarded(street: Street) -> None:
    with socket.create_server(("127.0.0.1", street.port)):
        (way,) = street.asked(street.found(), seconds=0.2)
    assert way.outcome is Outcome.UNKNOWN
    assert "does not let in the gate" in way.says


def test_others_are_left_as_they_are(street: Street) -> None:
    ways = [
        Way("10.0.0.5:8000", "10.0.0.5:8000", Outcome.GATE, "another upstream"),
        Way(f"127.0.0.1:{street.port}", "-", Outcome.UNKNOWN, "no address"),
        street.found(Outcome.CLOSED),
        street.found(Outcome.SILENT),
    ]
    assert street.asked(*ways) == ways


def test_a_certificate_that_cannot_be_read_is_named(street: Street) -> None:
    street.folder.gate.unlink()
    with pytest.raises(StorageError, match=r"gate\.pem"):
        street.asked(street.found())
