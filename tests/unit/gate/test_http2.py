# SPDX-License-Identifier: Apache-2.0
"""One GET over HTTP/2, against the h2 and hpack libraries and against any bytes."""

from contextlib import suppress

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from pivgate.gate.http2 import Http2Error, decode_status, get

AUTHORITIES = ["a.test:443", "a" * 130 + ".test:8443", "a" * 253 + ":65535"]


class Peer:
    """The other end: takes what is sent, gives what it was made with, and breaks off."""

    def __init__(self, answer: bytes = b"", step: int = 65536) -> None:
        self.answer = answer
        self.step = step
        self.sent = b""

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def recv(self, size: int, /) -> bytes:
        part, self.answer = self.answer[: min(size, self.step)], self.answer[min(size, self.step) :]
        return part


class Server(Peer):
    """A server by the h2 library that answers each request in the same way."""

    def __init__(self, status: int, body: bytes, step: int = 65536) -> None:
        super().__init__(step=step)
        self.status, self.body = status, body
        self.connection = H2Connection(H2Configuration(client_side=False))
        self.connection.initiate_connection()
        self.asked: list[RequestReceived] = []

    def sendall(self, data: bytes, /) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, RequestReceived):
                self.asked.append(event)
                headers = [
                    (":status", str(self.status)),
                    ("content-type", "text/plain"),
                    ("x-long", "y" * 300),
                ]
                self.connection.send_headers(event.stream_id, headers, end_stream=not self.body)
                if self.body:
                    self.connection.send_data(event.stream_id, self.body, end_stream=True, pad_length=7)
        self.answer += self.connection.data_to_send()


@pytest.mark.parametrize("authority", AUTHORITIES)
def test_the_request_is_understood(authority: str) -> None:
    server = Server(200, b"")

    get(server, authority)

    (request,) = server.asked
    assert dict(request.headers) == {
        b":method": b"GET",
        b":scheme": b"https",
        b":path": b"/",
        b":authority": authority.encode(),
        b"accept": b"text/plain",
        b"user-agent": b"pivgate-probe",
    }
    assert request.stream_ended is not None


@pytest.mark.parametrize("status", [200, 204, 206, 304, 400, 403, 404, 418, 421, 500, 502, 599])
@pytest.mark.parametrize("step", [1, 65536])
def test_the_answer_is_read(status: int, step: int) -> None:
    assert get(Server(status, b"refused: why", step), "a.test:443") == (status, b"refused: why")
    assert get(Server(status, b"", step), "a.test:443") == (status, b"")


@pytest.mark.parametrize("kind", [HeaderTuple, NeverIndexedHeaderTuple])
@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize("table_size", [4096, 100])
def test_every_status_in_every_coding_is_read(
    kind: type[HeaderTuple], huffman: bool, table_size: int
) -> None:
    for status in range(100, 1000):
        encoder = Encoder()
        encoder.header_table_size = table_size
        assert decode_status(encoder.encode([kind(":status", str(status))], huffman=huffman)) == status


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x3f",
        b"\x3f\xff\xff",
        b"\x82",
        b"\x40\x07:status\x03200",
        b"\x48",
        b"\x48\x03",
        b"\x48\x0320",
        b"\x48\x032x0",
        b"\x48\x04 200",
        b"\x48\x82\xff\xff",
        b"\x48\x83\xfe\xfe\xfe",
        b"\x4f\x03200",
        b"\x48\x03\xb2\xb3\xb9",
    ],
)
def test_what_does_not_begin_with_a_status_is_refused(block: bytes) -> None:
    with pytest.raises(Http2Error):
        decode_status(block)


@given(st.binary(max_size=40))
def test_any_block_is_a_status_or_refused(block: bytes) -> None:
    with suppress(Http2Error):
        assert 0 <= decode_status(block) <= 999


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@given(st.binary(max_size=200), st.booleans())
def test_any_answer_is_read_or_refused(data: bytes, framed: bool) -> None:
    answer = frame(data[0] % 12, data[1], data[2] % 3, data[3:]) if framed and len(data) > 3 else data
    with suppress(Http2Error, ConnectionResetError):
        status, _ = get(Peer(answer), "a.test:443")
        assert 0 <= status <= 999


@pytest.mark.parametrize(
    "answer",
    [
        frame(0x7, 0, 0, b"\0" * 8),
        frame(0x3, 0, 1, b"\0" * 4),
        frame(0x1, 0x4, 1, b"\x48\x03403") + frame(0x3, 0, 1, b"\0" * 4),
        frame(0x0, 0, 3, b"x" * 16385),
    ],
    ids=["GOAWAY", "RST_STREAM", "RST_STREAM after the status", "too large"],
)
def test_what_was_turned_away_is_no_answer(answer: bytes) -> None:
    with pytest.raises(Http2Error):
        get(Peer(answer), "a.test:443")


def test_a_connection_that_ends_is_no_answer() -> None:
    with pytest.raises(ConnectionResetError):
        get(Peer(frame(0x1, 0x4, 1, b"\x48\x03403")), "a.test:443")


def test_a_body_without_end_is_cut() -> None:
    answer = frame(0x1, 0x4, 1, b"\x88") + frame(0x0, 0, 1, b"x" * 16384) * 5

    status, body = get(Peer(answer), "a.test:443")

    assert status == 200
    assert len(body) >= 65535


def test_other_streams_and_priorities_do_not_matter() -> None:
    answer = (
        frame(0x4, 0, 0, b"")
        + frame(0x1, 0x5, 3, b"\x88")
        + frame(0x1, 0x4 | 0x8 | 0x20, 1, b"\x02" + b"\0" * 5 + b"\x48\x03403" + b"\0\0")
        + frame(0x0, 0x1 | 0x8, 1, b"\x03why\0\0\0")
    )

    assert get(Peer(answer), "a.test:443") == (403, b"why")


def test_a_server_that_has_closed_already_is_still_read() -> None:
    class Closed(Peer):
        def sendall(self, data: bytes, /) -> None:
            raise BrokenPipeError

    answer = frame(0x1, 0x5, 1, b"\x48\x03403")
    assert get(Closed(answer), "a.test:443") == (403, b"")
