# SPDX-License-Identifier: Apache-2.0
"""The clock of the running gate jumps: whoever was kept out stays out, and all is as before when it is right.

Each row of "When the clock is wrong" in ``docs/concepts/fail-closed.md`` is from a test here or in
``test_shifted_clock_servers.py``.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from tests.interop.gate.conftest import Place, made_place
from tests.interop.gate.pki import Client, anonymous
from tests.interop.gate.shifted_clock import Clock, launcher
from tests.interop.gate.standing_gate import CADDY, Http2, StandingGate
from tests.interop.gate.streams import HOST, SITE, endless
from tests.interop.gate.test_timeouts import falls_silent, streaming_of

from pivgate.gate.access import withdraw
from pivgate.gate.apply import up
from pivgate.gate.caddy import CADDY_VARIABLE
from pivgate.gate.own_process import search
from pivgate.gate.sever import sever

pytestmark = pytest.mark.interop

OPEN_SITE = """
open.test {
	tls internal
	respond "for everybody"
}
"""
REFUSED_IN_HANDSHAKE = 0
NOBODY = (REFUSED_IN_HANDSHAKE, REFUSED_IN_HANDSHAKE)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home whose gate has a clock of its own, before answers that do not end; one site has no gate."""
    certificates = tmp_path_factory.mktemp("certificates")
    with made_place(certificates) as place, endless() as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setenv(CADDY_VARIABLE, str(launcher(CADDY, certificates)))
        place.write(SITE.format(upstream=upstream), OPEN_SITE)
        up(place.home)
        yield place


@pytest.fixture
def clock(standing: Place) -> Iterator[Clock]:
    clock = Clock(lambda: [found.pid for found in search(standing.home)])
    yield clock
    clock.set(days=0)


@pytest.fixture
def gate(standing: Place, clock: Clock) -> StandingGate:
    return StandingGate(standing.home.root, standing.home.authority_certificate, port=standing.port)


def holder(place: Place, days: tuple[int, int]) -> Client:
    """Return somebody whose certificate is in the tree."""
    client = place.authority.client("alice", days=days)
    place.admit("admins", client)
    return client


def ask(gate: StandingGate, client: Client) -> int:
    return gate.ask(client.context(), HOST, path="/short").status


def test_the_clock_of_the_running_gate_moves_and_moves_back(gate: StandingGate, clock: Clock) -> None:
    for days in (400, -400, 0):
        clock.set(days=days)
        date = parsedate_to_datetime(gate.ask(anonymous(), "open.test").header("Date"))
        assert abs(date - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("valid", "jump"),
    [
        pytest.param((-1, 30), 40, id="past the end of the certificate"),
        pytest.param((-1, 30), -2, id="before the beginning of the certificate"),
        pytest.param((-400, 400), 200, id="past the end of the authority"),
        pytest.param((-400, 400), -200, id="before the beginning of the authority"),
    ],
)
def test_what_is_not_valid_by_the_clock_begins_nothing_and_what_is_open_goes_on(
    standing: Place, gate: StandingGate, clock: Clock, valid: tuple[int, int], jump: int
) -> None:
    alice = holder(standing, valid)
    with (
        gate.connect(alice.context(), HOST) as http1,
        gate.connect(alice.context(), HOST, "h2") as secured,
    ):
        http2 = Http2(secured)

        def ask_on_open() -> tuple[int, int]:
            reply = gate.ask_on(http1, HOST, path="/short")
            return (reply.status, http2.ask(f"{HOST}:{gate.port}", "/short").status)

        assert (ask(gate, alice), ask_on_open()) == (200, (200, 200))
        clock.set(days=jump)
        assert (ask(gate, alice), ask_on_open()) == (REFUSED_IN_HANDSHAKE, (200, 200))
        clock.set(days=0)
        assert (ask(gate, alice), ask_on_open()) == (200, (200, 200))
        clock.set(days=jump)
        withdraw(standing.home.access, [alice.fingerprint])
        assert (ask(gate, alice), ask_on_open()) == (REFUSED_IN_HANDSHAKE, (403, 403))


def test_what_has_expired_and_was_not_taken_out_is_let_in_by_a_clock_that_falls_back(
    standing: Place, gate: StandingGate, clock: Clock
) -> None:
    expired = holder(standing, (-20, -10))
    assert ask(gate, expired) == REFUSED_IN_HANDSHAKE
    clock.set(days=-15)
    assert ask(gate, expired) == 200

    withdraw(standing.home.access, [expired.fingerprint])

    assert ask(gate, expired) == 403


def test_what_was_revoked_stays_out_whatever_the_clock_says(
    standing: Place, gate: StandingGate, clock: Clock
) -> None:
    alice = holder(standing, (-50, 50))
    with gate.connect(alice.context(), HOST) as connection:
        withdraw(standing.home.access, [alice.fingerprint])
        for days in (0, -0.01, -40, 40, 0):
            clock.set(days=days)
            assert (ask(gate, alice), gate.ask_on(connection, HOST).status) == (403, 403)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed_with_which_an_expired_certificate_could_get_in(
    standing: Place, gate: StandingGate, clock: Clock, version: ssl.TLSVersion
) -> None:
    """The same client does resume where there is no gate."""
    context = holder(standing, (-1, 30)).context()
    context.maximum_version = version

    def ask_for(host: str, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", gate.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host, session=session) as connected,
        ):
            assert gate.ask_on(connected, host, path="/short").status == 200
            return bool(connected.session_reused), connected.session

    _, without_gate = ask_for("open.test")
    _, session = ask_for(HOST)
    assert ask_for("open.test", without_gate)[0]
    assert not ask_for(HOST, session)[0]
    clock.set(days=40)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask_for(HOST, session)


@pytest.mark.parametrize(("days", "expected"), [(365, NOBODY), (50, (200, 403)), (-365, NOBODY)])
def test_severing_and_up_work_by_a_wrong_clock(
    standing: Place, gate: StandingGate, clock: Clock, days: int, expected: tuple[int, int]
) -> None:
    alice, revoked = holder(standing, (-90, 90)), holder(standing, (-90, 90))
    streams = streaming_of(revoked, standing)
    clock.set(days=days)
    withdraw(standing.home.access, [revoked.fingerprint])

    severed = sever(standing.home)

    assert severed
    assert all(stream.await_end(5) for stream in streams.values())
    for bring_up in (None, up):
        if bring_up:
            bring_up(standing.home)
        clock.set(days=days)
        assert (ask(gate, alice), ask(gate, revoked)) == expected
        clock.set(days=0)
        assert (ask(gate, alice), ask(gate, revoked)) == (200, 403)


def test_jumps_in_the_middle_of_severing_and_up_let_nobody_in(
    standing: Place, gate: StandingGate, clock: Clock
) -> None:
    alice, revoked = holder(standing, (-90, 90)), holder(standing, (-90, 90))
    withdraw(standing.home.access, [revoked.fingerprint])
    ended, jumps = threading.Event(), 0

    def jump() -> None:
        nonlocal jumps
        while not ended.wait(0.01):
            # One that is just starting or ending has no clock that can be set.
            with suppress(LookupError, OSError):
                clock.set(days=(365, 0, -365, 50)[jumps % 4])
                jumps += 1

    jumping = threading.Thread(target=jump)
    jumping.start()
    try:
        for work in (sever, up, sever, up):
            assert work(standing.home)
            assert ask(gate, revoked) in (REFUSED_IN_HANDSHAKE, 403)
    finally:
        ended.set()
        jumping.join()

    assert jumps
    clock.set(days=0)
    assert (ask(gate, alice), ask(gate, revoked)) == (200, 403)


@pytest.mark.parametrize(("limit", "days", "ends"), [(3600, 365, False), (1, -365, True)])
def test_the_longest_life_of_a_request_is_not_told_by_the_clock(
    standing: Place, gate: StandingGate, clock: Clock, limit: int, days: int, ends: bool
) -> None:
    standing.home.settings.write_text(f"write_timeout = {limit}\nstream_timeout = {limit}")
    try:
        up(standing.home)
        streams = streaming_of(holder(standing, (-90, 90)), standing)
        clock.set(days=days)
        kinds = ("download", "websocket", "HTTP/2 events")
        silent = [falls_silent(streams[kind], 10 if ends else 0.1) for kind in kinds]
    finally:
        standing.home.settings.write_text("")
        up(standing.home)
    assert silent == [ends] * len(kinds)
