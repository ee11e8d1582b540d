# SPDX-License-Identifier: Apache-2.0
"""The judge of these tests sees what it is there to see: without a gate, each attack is found."""

import socket
import time

import pytest
from tests.interop.gate.attackers.conftest import Siege
from tests.interop.gate.attackers.recording import Recorder, recording
from tests.interop.gate.attackers.test_smuggling import heads

pytestmark = pytest.mark.interop

AMBIGUOUS = (
    "length and chunks",
    "chunks and length",
    "two lengths",
    "length with a plus",
    "length hidden behind NUL",
    "length hidden behind CR",
    "length behind a bare LF",
    "chunks with a vertical tab",
    "chunks with a space before the colon",
    "chunks, then identity",
    "chunks twice",
    "folded host",
    "tabs in the line",
    "two requests in the line",
    "chunk extension",
    "chunk size with a plus",
    "a field without a name",
)


@pytest.mark.parametrize("attack", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_a_fault(attack: str) -> None:
    recorder = Recorder(connections=[bytearray(heads(b"a.test")[attack])])
    assert recorder.wire_faults()


@pytest.mark.parametrize("sound", ["a HEAD with a body", "pipelined", "a GET with a body"])
def test_what_has_one_meaning_is_none(sound: str) -> None:
    recorder = Recorder(connections=[bytearray(heads(b"a.test")[sound])])
    assert recorder.wire_faults() == []


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "X-Client-User: alice\r\n",
        "X-Client-Fingerprint: {alice}\r\nX-Client-User: root\r\n",
        "X-Client-Fingerprint: {bob}\r\nX-Client-User: bob\r\n",
        "X-Client-Fingerprint: {alice}\r\nX-Client-User: alice\r\nX-Client-User: root\r\n",
        "X-Client-Fingerprint: {mallory}\r\nX-Client-User: mallory\r\n",
    ],
)
def test_a_request_that_went_around_the_gate_is_seen(standing_siege: Siege, fields: str) -> None:
    prints = {name: getattr(standing_siege, name).fingerprint for name in ("alice", "bob", "mallory")}
    with recording() as other:
        with socket.create_connection(("127.0.0.1", other.port)) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: a.test\r\n{fields.format(**prints)}\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert [standing_siege.may_reach(request) for request in other.requests] == [False]


def test_the_holder_is_seen_too(standing_siege: Siege) -> None:
    standing_siege.upstream.clear()
    standing_siege.visit()
    deadline = time.monotonic() + 10
    while not standing_siege.upstream.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [standing_siege.may_reach(request) for request in standing_siege.upstream.requests] == [True]
