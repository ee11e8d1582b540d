# SPDX-License-Identifier: Apache-2.0
"""The clock of a gate whose server certificates are of Caddy's internal authority, and what visitors see.

The visitors' own clocks are right.
"""

import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.interop.gate.shifted_clock import Clock, launcher
from tests.interop.gate.standing_gate import CADDY, StandingGate

from pivgate.gate import process
from pivgate.gate.apply import up
from pivgate.gate.caddy import CADDY_VARIABLE, find_caddy
from pivgate.gate.own_process import search
from pivgate.gate.sever import is_unfinished
from pivgate.gate.signed_ahead import forget_signed_ahead

pytestmark = pytest.mark.interop

# Caddy looks every ten minutes for what is to be renewed. A server certificate that has its turn before the
# intermediate authority waits another minute, since nothing is signed by one that has ended.
OFTEN = """{
	renew_interval 1s
	pki {
		ca local {
			maintenance_interval 10ms
		}
	}
"""
GOOD, EXPIRED, TOO_EARLY = "200", "certificate has expired", "certificate is not yet valid"


@pytest.fixture
def clock(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    monkeypatch.setenv(CADDY_VARIABLE, str(launcher(CADDY, place.home.root)))
    place.home.caddyfile.write_text(place.home.caddyfile.read_text().replace("{\n", OFTEN, 1))
    clock = Clock(lambda: [found.pid for found in search(place.home)])
    yield clock
    clock.set(days=0)


@pytest.fixture
def visit(place: Place, alice: Client) -> Callable[[], str]:
    """Ask as somebody who trusts Caddy's root and nobody else; return the status, or what is wrong."""

    def visit() -> str:
        root = place.home.caddy_storage / "caddy/pki/authorities/local/root.crt"
        context = ssl.create_default_context(cafile=root)
        context.load_cert_chain(alice.pem, alice.key)
        gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)
        try:
            with (
                socket.create_connection(("127.0.0.1", place.port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="a.test") as connection,
            ):
                return str(gate.ask_on(connection, "a.test").status)
        except ssl.SSLCertVerificationError as error:
            return error.verify_message

    return visit


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def await_renewal(place: Place, before: dict[Path, str]) -> dict[Path, str]:
    """Wait until every certificate that Caddy keeps, but the root, is another one."""
    await_that(lambda: all(path.read_text() != text for path, text in before.items()))
    return kept(place)


def kept(place: Place) -> dict[Path, str]:
    storage = place.home.caddy_storage / "caddy"
    files = [storage / "pki/authorities/local/intermediate.crt", *storage.glob("certificates/local/*/*.crt")]
    assert len(files) == 3
    return {path: path.read_text() for path in files}


def test_server_certificates_are_good_again_when_the_clock_is(
    place: Place, clock: Clock, visit: Callable[[], str]
) -> None:
    # A start by a clock that is behind: all is signed for days that are long over.
    clock.set(days=-20)
    up(place.home)
    assert visit() == EXPIRED
    serving, before = place.running().pid, kept(place)
    clock.set(days=0)
    before = await_renewal(place, before)
    await_that(lambda: visit() == GOOD)

    # Past the end of the server certificates, and of the intermediate authority's: Caddy renews all of them.
    clock.set(days=10)
    await_renewal(place, before)
    await_that(lambda: visit() == TOO_EARLY)

    # Caddy keeps what is not valid yet. Should it learn to renew it one day, `signed_ahead` can go.
    clock.set(days=0)
    up(place.home)
    assert visit() == TOO_EARLY

    assert forget_signed_ahead(place.home, datetime.now(UTC)) == 3
    assert is_unfinished(place.home)
    assert up(place.home).severed
    assert visit() == GOOD
    assert place.running().pid != serving
    assert forget_signed_ahead(place.home, datetime.now(UTC)) == 0


def test_a_caddy_that_has_read_nothing_yet_need_not_be_replaced(
    place: Place, clock: Clock, visit: Callable[[], str]
) -> None:
    """As systemd starts it, which then runs `up`."""
    up(place.home)
    before = kept(place)
    clock.set(days=10)
    await_renewal(place, before)
    process.stop(place.home)
    clock.set(days=0)
    process.start(find_caddy(), place.home)

    assert forget_signed_ahead(place.home, datetime.now(UTC)) == 3
    assert not is_unfinished(place.home)
    assert not up(place.home).severed
    assert visit() == GOOD


def test_a_clock_from_before_the_root_began_takes_nothing_away(
    place: Place, clock: Clock, visit: Callable[[], str]
) -> None:
    assert forget_signed_ahead(place.home, datetime.now(UTC)) == 0
    up(place.home)

    assert forget_signed_ahead(place.home, datetime.now(UTC) - timedelta(days=1)) == 0

    assert visit() == GOOD


def test_a_root_that_was_made_while_the_clock_was_ahead_is_left_to_the_operator(
    place: Place, clock: Clock, visit: Callable[[], str]
) -> None:
    clock.set(days=30)
    up(place.home)
    clock.set(days=0)
    assert forget_signed_ahead(place.home, datetime.now(UTC)) == 0
    assert visit() == TOO_EARLY

    process.stop(place.home)
    for folder in ("pki", "certificates/local"):
        shutil.rmtree(place.home.caddy_storage / "caddy" / folder)
    up(place.home)

    assert visit() == GOOD
