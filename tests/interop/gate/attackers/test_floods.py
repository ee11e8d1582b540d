# SPDX-License-Identifier: Apache-2.0
"""Floods: frames of HTTP/2 and headers of HTTP/1.1 without end, from all who can shake hands."""

import itertools
import ssl
from collections.abc import Callable, Iterable, Iterator

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tests.interop.gate.attackers.conftest import Siege
from tests.interop.gate.attackers.http2 import PREFACE, flood

pytestmark = pytest.mark.interop

# Nobody of them reaches an upstream: it is the gate alone that has to bear it.
WHERE = [("anonymous", "open.test"), ("mallory", "a.test")]
Frames = Iterator[Frame | bytes]


def request(stream: int, authority: str, *, ended: bool = True) -> HeadersFrame:
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", "/")]
    flags = ["END_HEADERS", "END_STREAM"] if ended else ["END_HEADERS"]
    # No entry goes into the table, so that each frame can stand anywhere.
    return HeadersFrame(stream, Encoder().encode([(*field, True) for field in fields]), flags=flags)


def streams(count: int) -> range:
    return range(1, 2 * count, 2)


def rapid_reset(authority: str) -> Frames:
    """CVE-2023-44487: the server does the work, and the limit of streams counts only those that are open."""
    for stream in streams(5000):
        yield request(stream, authority)
        yield RstStreamFrame(stream, error_code=8)


def made_you_reset(authority: str) -> Frames:
    """CVE-2025-8671: the server is made to reset the streams itself."""
    for stream in streams(5000):
        yield request(stream, authority, ended=False)
        yield WindowUpdateFrame(stream, window_increment=2**31 - 1)


def endless_continuation(authority: str) -> Frames:
    """CVE-2023-45288: headers of a request without an end."""
    yield HeadersFrame(1, Encoder().encode([(":method", "GET")]))
    block = Encoder().encode([("x", "y" * 16000, True)], huffman=False)
    for _ in range(2000):
        yield ContinuationFrame(1, block)


def empty_continuations(authority: str) -> Frames:
    yield HeadersFrame(1, b"")
    for _ in range(100_000):
        yield ContinuationFrame(1, b"")


def header_bomb(authority: str) -> Frames:
    """A header of 4,000 bytes, put into the table once and then named with one byte each time."""
    encoder = Encoder()
    block = request(1, authority).data + encoder.encode([("x", "y" * 4000)]) + b"\xbe" * 12_000
    yield HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"])
    for stream in streams(200)[1:]:
        yield HeadersFrame(stream, request(1, authority).data + b"\xbe" * 16_000, flags=["END_HEADERS"])


def settings(authority: str) -> Frames:
    for number in range(50_000):
        yield SettingsFrame(0, settings={4: number})


def pings(authority: str) -> Frames:
    for _ in range(50_000):
        yield PingFrame(0, b"12345678")


def empty_data(authority: str) -> Frames:
    yield request(1, authority, ended=False)
    for _ in range(50_000):
        yield DataFrame(1, b"")


def priorities(authority: str) -> Frames:
    for stream in streams(50_000):
        yield PriorityFrame(stream, depends_on=0, stream_weight=1)


def nothing_read(authority: str) -> Frames:
    """The window is closed, so that no answer can be sent."""
    yield SettingsFrame(0, settings={4: 0})
    for stream in streams(1000):
        yield request(stream, authority)


def too_many_streams(authority: str) -> Frames:
    for stream in streams(5000):
        yield request(stream, authority, ended=False)


def unknown_frames(authority: str) -> Frames:
    for _ in range(2000):
        yield b"\x00\x40\x00\xf0\x00\x00\x00\x00\x01" + bytes(16384)


def too_long_a_frame(authority: str) -> Frames:
    for _ in range(100):
        yield b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(100_000)


def broken_blocks(authority: str) -> Frames:
    for stream in streams(1000):
        yield HeadersFrame(stream, b"\xff" * 1000, flags=["END_HEADERS", "END_STREAM"])


def streams_of_the_server(authority: str) -> Frames:
    for stream in range(2, 2000, 2):
        yield request(stream, authority)


def goodbyes(authority: str) -> Frames:
    for _ in range(10_000):
        yield GoAwayFrame(0, last_stream_id=0)
        yield request(1, authority)


ATTACKS = (
    rapid_reset,
    made_you_reset,
    endless_continuation,
    empty_continuations,
    header_bomb,
    settings,
    pings,
    empty_data,
    priorities,
    nothing_read,
    too_many_streams,
    unknown_frames,
    too_long_a_frame,
    broken_blocks,
    streams_of_the_server,
    goodbyes,
)


@pytest.mark.parametrize(("who", "site"), WHERE)
def test_no_flood_of_frames_keeps_a_holder_out(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str, site: str
) -> None:
    authority = f"{site}:{siege.gate.port}"
    for attack in ATTACKS:
        with siege.gate.connect(contexts(who), site, "h2") as connection:
            connection.settimeout(0.5)
            connection.sendall(PREFACE + SettingsFrame(0).serialize())
            flood(connection, in_pieces(attack(authority)))
        siege.visit()


def test_what_a_holder_resets_does_not_pile_up(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext]
) -> None:
    """Bob may make requests of his site, so each of these goes on to the upstream."""
    authority = f"b.test:{siege.gate.port}"
    with siege.gate.connect(contexts("bob"), "b.test", "h2") as connection:
        connection.settimeout(5)
        connection.sendall(PREFACE + SettingsFrame(0).serialize())
        assert flood(connection, in_pieces(itertools.islice(rapid_reset(authority), 400))) > 0
    siege.visit()


def in_pieces(frames: Iterable[Frame | bytes], size: int = 50) -> Iterator[bytes]:
    """Join frames, since each write costs."""
    written = (frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)
    while piece := b"".join(itertools.islice(written, size)):
        yield piece


HEADERS: dict[str, Iterable[bytes]] = {
    "one endless line": itertools.repeat(b"x" * 65536, 400),
    "one endless value": itertools.chain([b"X: "], itertools.repeat(b"y" * 65536, 400)),
    "endless headers": itertools.repeat(b"X: y\r\n" * 10_000, 400),
    "endless cookies": itertools.repeat(b"Cookie: a=b; c=d\r\n" * 4_000, 400),
    "endless empty names": itertools.repeat(b":\r\n" * 20_000, 400),
    "endless folding": itertools.chain([b"X: y\r\n"], itertools.repeat(b" y\r\n" * 20_000, 400)),
    "endless connection": itertools.chain([b"Connection: "], itertools.repeat(b"close," * 10_000, 400)),
}


@pytest.mark.parametrize(("who", "site"), WHERE)
def test_no_bomb_of_headers_does(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str, site: str
) -> None:
    start = f"GET / HTTP/1.1\r\nHost: {site}:{siege.gate.port}\r\n".encode()
    for name in HEADERS:
        with siege.gate.connect(contexts(who), site) as connection:
            connection.settimeout(0.5)
            taken = flood(connection, itertools.chain([start], itertools.islice(HEADERS[name], 400)))
        # Caddy reads a megabyte of headers; what is taken beyond that waits in buffers.
        assert taken < 15_000_000, name
        siege.visit()


def test_nor_does_a_long_path(siege: Siege, contexts: Callable[[str], ssl.SSLContext]) -> None:
    for path in ("/" + "a/" * 400_000, "/?" + "a=b&" * 200_000, "/" + "%41" * 300_000):
        for who, site in WHERE:
            reply = siege.gate.ask(contexts(who), site, path=path)
            assert reply.status in (0, 403, 414, 431) or reply.body == "open to all"
