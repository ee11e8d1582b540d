# SPDX-License-Identifier: Apache-2.0
"""``up`` interrupted, or Caddy killed under it: nobody gets in, and the same command finishes the job."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client, anonymous
from tests.interop.gate.standing_gate import StandingGate

from pivgate.gate.apply import up
from pivgate.gate.process import running
from pivgate.gate.status import read_status

pytestmark = pytest.mark.interop

CHILD = Path(__file__).with_name("killed_up.py")


def die_at(place: Place, function: str, moment: str, how: str) -> int:
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


@pytest.mark.parametrize(
    ("function", "moment"), [("load", "call"), ("load", "return"), ("probe", "call"), ("probe", "return")]
)
def test_caddy_killed_while_changing(place: Place, alice: Client, function: str, moment: str) -> None:
    pid = up(place.home).pid
    assert pid is not None
    place.write(place.gated("a"), place.gated("c"))

    assert die_at(place, function, moment, str(pid)) == (
        0 if function == "probe" and moment == "return" else 6
    )

    assert not place.is_listening(place.port)
    status = read_status(place.home, {("admins", alice.fingerprint)})
    assert (status.pid, status.proved, status.is_sound) == (None, False, False)
    assert up(place.home).started
    assert place.ask(alice, "c") == "200 welcome to c"


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
