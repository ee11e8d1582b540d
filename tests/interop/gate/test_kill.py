# SPDX-License-Identifier: Apache-2.0
"""pivgate killed between any two steps: nobody gets in, and the same command finishes the job."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client, anonymous
from tests.interop.gate.standing_gate import StandingGate

from pivgate.gate.apply import up
from pivgate.gate.process import running, stop
from pivgate.gate.status import read_status

pytestmark = pytest.mark.interop

CHILD = Path(__file__).with_name("killed_up.py")
STARTING = [("render", "return"), ("adapt", "return"), ("_spawn", "return"), ("_await_admin", "return")]
SERVING = [("load", "call"), ("load", "return"), ("record", "call"), ("record", "return")]


def die_at(place: Place, function: str, moment: str, how: str = "kill") -> int:
    return subprocess.run(
        [sys.executable, CHILD, place.home.root, function, moment, how], check=False
    ).returncode


def statuses(place: Place, alice: Client, mallory: Client) -> dict[str, int]:
    """Ask as everybody; 0 is refused in the handshake, -1 nobody there."""
    gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)
    clients = {"alice": alice.context(), "mallory": mallory.context(), "nobody": anonymous()}
    if not place.is_listening(place.port):
        return dict.fromkeys(clients, -1)
    return {name: gate.ask(context, "a.test").status for name, context in clients.items()}


@pytest.fixture
def mallory(place: Place) -> Client:
    return place.authority.client("mallory")


def settled(place: Place, alice: Client, mallory: Client) -> dict[str, int]:
    """Ask until alice's site has its server certificate."""
    for _ in range(500):
        found = statuses(place, alice, mallory)
        if found["alice"] > 0:
            break
    return found


@pytest.mark.parametrize(("function", "moment"), STARTING + SERVING)
def test_killed_while_starting(
    place: Place, alice: Client, mallory: Client, function: str, moment: str
) -> None:
    assert die_at(place, function, moment) == -signal.SIGKILL

    found = statuses(place, alice, mallory)
    assert found["mallory"] in (-1, 0, 403)
    assert found["nobody"] in (-1, 0)
    if (function, moment) in STARTING:
        assert not place.is_listening(place.port)

    assert up(place.home).pid is not None
    assert settled(place, alice, mallory) == {"alice": 200, "mallory": 403, "nobody": 0}
    assert read_status(place.home, {("admins", alice.fingerprint)}).is_sound
    assert stop(place.home)
    assert running(place.home) is None
    assert not place.is_listening(place.port)


@pytest.mark.parametrize(("function", "moment"), SERVING)
def test_killed_while_changing(
    place: Place, alice: Client, mallory: Client, function: str, moment: str
) -> None:
    first = up(place.home)
    place.write(place.gated("a"), place.gated("c"))

    assert die_at(place, function, moment) == -signal.SIGKILL

    assert settled(place, alice, mallory) == {"alice": 200, "mallory": 403, "nobody": 0}
    loaded = (function, moment) != ("load", "call")
    recorded = (function, moment) == ("record", "return")
    status = read_status(place.home, {("admins", alice.fingerprint)})
    assert (status.proved, status.pending) == (recorded or not loaded, not recorded)
    assert up(place.home).pid == first.pid
    assert read_status(place.home, {("admins", alice.fingerprint)}).is_sound


@pytest.mark.parametrize(
    ("function", "moment"), [("_await_admin", "call"), ("load", "return"), ("probe", "call")]
)
def test_interrupted_while_starting_it_leaves_nothing_running(
    place: Place, function: str, moment: str
) -> None:
    assert die_at(place, function, moment, "interrupt") == 130

    assert running(place.home) is None
    assert not place.is_listening(place.port)


def test_interrupted_while_changing_it_goes_back(place: Place, alice: Client, mallory: Client) -> None:
    up(place.home)
    place.write(place.gated("a"), place.gated("c"))

    assert die_at(place, "probe", "call", "interrupt") == 130

    assert settled(place, alice, mallory) == {"alice": 200, "mallory": 403, "nobody": 0}
    assert read_status(place.home, {("admins", alice.fingerprint)}).proved
