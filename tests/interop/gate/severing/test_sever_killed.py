# SPDX-License-Identifier: Apache-2.0
"""What a severing that was killed leaves: ``down`` stops it, and it is found and finished in any state."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.interop.gate.severing.conftest import ask, still_open
from tests.interop.gate.streams import open_streams

from pivgate.gate.apply import up
from pivgate.gate.own_process import search
from pivgate.gate.process import running, start_beside, stop
from pivgate.gate.sever import find_caddy, intend, is_unfinished, sever
from pivgate.gate.status import read_status

pytestmark = pytest.mark.interop

CHILD = Path(__file__).with_name("killed_sever.py")


def die_at(place: Place, function: str, moment: str) -> None:
    done = subprocess.run([sys.executable, CHILD, place.home.root, function, moment], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("function", ["start_beside", "favour", "kill"])
def test_down_stops_both(place: Place, alice: Client, bob: Client, function: str) -> None:
    streams = open_streams(alice, place.port)
    die_at(place, function, "return")

    assert stop(place.home, grace=0.5) is True

    assert still_open(streams) == []
    assert list(search(place.home)) == []
    assert running(place.home) is None
    assert not place.is_listening(place.port)
    assert {path.name for path in place.home.run.iterdir()} == {"caddy.log"}
    assert not up(place.home).severed
    assert ask(place, bob) == 200


def test_a_second_one_that_was_left_alone_is_ended(place: Place, bob: Client) -> None:
    """As when pivgate was killed, and then the Caddy that served."""
    intend(place.home)
    start_beside(find_caddy(), place.home)

    severed = sever(place.home)

    assert severed is not None
    assert [found.pid for found in search(place.home)] == [severed.pid]
    assert ask(place, bob) == 200


def test_two_that_serve_are_found_without_the_note(place: Place, alice: Client) -> None:
    streams = open_streams(alice, place.port)
    die_at(place, "kill", "call")
    place.home.severing.unlink()

    assert read_status(place.home, {("admins", alice.fingerprint)}).severing

    assert up(place.home).severed
    assert still_open(streams) == []
    assert len(list(search(place.home))) == 1


@pytest.mark.parametrize("content", ["", "{", "{}", '"x"', json.dumps(["1", None, 1.5]), "[-1, 0, 4194304]"])
def test_a_damaged_note_is_a_note_all_the_same(place: Place, bob: Client, content: str) -> None:
    before = place.running().pid
    place.home.severing.write_text(content)

    assert read_status(place.home, {("admins", bob.fingerprint)}).severing
    assert up(place.home).pid != before
    assert not is_unfinished(place.home)
