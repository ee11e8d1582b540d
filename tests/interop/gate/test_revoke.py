# SPDX-License-Identifier: Apache-2.0
"""Revoking bites on the next request, on connections that are open too, and the running gate says so."""

import os
import select
import signal
import time
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.interop.gate.standing_gate import Http2, StandingGate

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.access import drift, synchronise, withdraw
from pivgate.gate.apply import up
from pivgate.gate.caddy import find_caddy
from pivgate.gate.process import running, start
from pivgate.gate.status import read_status
from pivgate.gate.unix_http import NotRunningError
from pivgate.gate.verdict import Verdict, ask, await_refusal

pytestmark = pytest.mark.interop


@pytest.fixture
def alice(place: Place) -> Client:
    client = place.authority.client("alice")
    synchronise(place.home.access, {("admins", client.fingerprint), ("everyone", client.fingerprint)})
    return client


@pytest.fixture
def gate(place: Place, alice: Client) -> StandingGate:
    up(place.home)
    return StandingGate(place.home.root, place.home.authority_certificate, port=place.port)


def test_the_next_request_on_an_open_http1_connection_is_refused(
    place: Place, alice: Client, gate: StandingGate
) -> None:
    with gate.connect(alice.context(), "a.test") as connection:
        assert gate.ask_on(connection, "a.test").status == 200
        assert gate.ask_on(connection, "a.test").status == 200

        withdraw(place.home.access, [alice.fingerprint])

        assert gate.ask_on(connection, "a.test").status == 403
        synchronise(place.home.access, {("admins", alice.fingerprint)})
        assert gate.ask_on(connection, "a.test").status == 200


def test_the_next_request_on_an_open_http2_connection_is_refused(
    place: Place, alice: Client, gate: StandingGate
) -> None:
    authority = f"a.test:{gate.port}"
    with gate.connect(alice.context(), "a.test", "h2") as connection:
        client = Http2(connection)
        assert client.ask(authority).status == 200
        assert client.ask(authority).status == 200

        withdraw(place.home.access, [alice.fingerprint])

        assert client.ask(authority).status == 403


def test_the_running_gate_says_what_it_would_do(place: Place, alice: Client, gate: StandingGate) -> None:
    socket = place.home.verdict_socket

    assert ask(socket, "admins", alice.fingerprint) is Verdict.ADMITTED
    assert ask(socket, "editors", alice.fingerprint) is Verdict.REFUSED
    withdraw(place.home.access, [alice.fingerprint])
    assert ask(socket, "admins", alice.fingerprint) is Verdict.REFUSED


def test_a_refusal_is_awaited_in_every_group(place: Place, alice: Client, gate: StandingGate) -> None:
    with pytest.raises(OpenGateError, match="still lets"):
        await_refusal(place.home, ["admins"], alice.fingerprint, patience=0.05)
    (place.home.access / "everyone" / alice.fingerprint).unlink()
    with pytest.raises(OpenGateError, match="as one of admins") as caught:
        await_refusal(place.home, ["admins", "editors"], alice.fingerprint, patience=0.05)
    assert "pivgate down" in caught.value.hint

    withdraw(place.home.access, [alice.fingerprint])

    assert await_refusal(place.home, ["admins", "editors"], alice.fingerprint) > 0


def test_a_gate_that_looks_at_another_tree_is_found_open(
    place: Place, alice: Client, gate: StandingGate
) -> None:
    """The tree here is withdrawn from, but Caddy reads what was put in its place."""
    moved = place.home.access.rename(place.home.root / "moved")
    place.home.access.symlink_to(moved)

    assert ask(place.home.verdict_socket, "admins", alice.fingerprint) is Verdict.ADMITTED
    withdraw(place.home.access, [alice.fingerprint])

    assert await_refusal(place.home, ["admins"], alice.fingerprint) > 0


def test_without_a_running_gate_it_is_said_that_nothing_is_served(place: Place, alice: Client) -> None:
    with pytest.raises(NotRunningError, match="not running, so nothing is served"):
        await_refusal(place.home, ["admins"], alice.fingerprint)


def test_after_a_kill_it_is_said_that_nothing_is_served(
    place: Place, alice: Client, gate: StandingGate
) -> None:
    caddy = running(place.home)
    assert caddy is not None
    handle = os.pidfd_open(caddy.pid)
    os.kill(caddy.pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)

    with pytest.raises(NotRunningError):
        await_refusal(place.home, ["admins"], alice.fingerprint)
    status = read_status(place.home, {("admins", alice.fingerprint), ("everyone", alice.fingerprint)})
    assert (status.pid, status.sites, status.proved, status.is_sound) == (None, (), False, False)
    assert status.as_dict()["running"] is False
    assert status.last_words == ""
    assert up(place.home).started


def await_stop(pid: int) -> None:
    """Wait until every thread of a process has stopped, which takes a while on a busy machine."""
    deadline = time.monotonic() + 10
    tasks = Path(f"/proc/{pid}/task")
    while {path.read_text().rpartition(")")[2].split()[0] for path in tasks.glob("*/stat")} != {"T"}:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_gate_that_does_not_say_is_no_proof(place: Place, alice: Client, gate: StandingGate) -> None:
    caddy = running(place.home)
    assert caddy is not None
    os.kill(caddy.pid, signal.SIGSTOP)
    await_stop(caddy.pid)
    try:
        with pytest.raises(GateError, match="no answer"):
            ask(place.home.verdict_socket, "admins", alice.fingerprint, timeout=0.1)
    finally:
        os.kill(caddy.pid, signal.SIGCONT)


def test_a_running_gate_without_sites_cannot_be_asked(place: Place, alice: Client) -> None:
    start(find_caddy(), place.home)

    status = read_status(place.home, ())
    assert status.pid is not None
    assert not status.proved
    with pytest.raises(NotRunningError):
        ask(place.home.verdict_socket, "admins", alice.fingerprint)


def test_status_shows_how_the_tree_differs(place: Place, alice: Client, gate: StandingGate) -> None:
    wanted = {("editors", alice.fingerprint), ("everyone", alice.fingerprint)}
    (place.home.access / "note").touch()

    status = read_status(place.home, wanted)

    assert status.proved
    assert not status.is_sound
    assert status.as_dict()["drift"] == {
        "extra": [f"admins/{alice.fingerprint}"],
        "missing": [f"editors/{alice.fingerprint}"],
        "foreign": ["note"],
    }
    synchronise(place.home.access, wanted)
    assert not drift(place.home.access, wanted)
    assert read_status(place.home, wanted).is_sound


def test_status_shows_a_changed_caddyfile(place: Place, alice: Client, gate: StandingGate) -> None:
    everybody = {("admins", alice.fingerprint), ("everyone", alice.fingerprint)}
    assert not read_status(place.home, everybody).pending

    place.home.caddyfile.write_text(place.home.caddyfile.read_text() + "# a remark\n")

    status = read_status(place.home, everybody)
    assert status.pending
    assert status.is_sound


def test_a_tree_that_is_gone_admits_nobody(place: Place, alice: Client, gate: StandingGate) -> None:
    place.home.access.rename(Path(place.home.root / "elsewhere"))

    assert gate.ask(alice.context(), "a.test").status == 403
    assert ask(place.home.verdict_socket, "admins", alice.fingerprint) is Verdict.REFUSED
