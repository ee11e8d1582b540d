# SPDX-License-Identifier: Apache-2.0
"""A holder who asks for a tunnel with CONNECT, behind which the gate would see none of the requests."""

import ssl
import time
from collections.abc import Callable, Sequence

import pytest
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame
from tests.interop.gate.attackers.conftest import Siege, sent
from tests.interop.gate.attackers.http2 import PREFACE
from tests.interop.gate.attackers.test_smuggling import LAST, SMUGGLED, chunk

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("target", ["/", "b.test:443", "https://b.test/"])
@pytest.mark.parametrize(
    ("field", "body"),
    [
        (b"Transfer-Encoding: chunked", chunk(SMUGGLED) + LAST),
        (b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
        (b"X: y", SMUGGLED),
    ],
    ids=["chunks", "length", "neither"],
)
def test_no_tunnel_leads_through_the_gate(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], target: str, field: bytes, body: bytes
) -> None:
    before = len(siege.upstream.requests)
    head = f"CONNECT {target} HTTP/1.1\r\nHost: b.test:{siege.gate.port}\r\n".encode()
    answer = sent(siege, contexts("bob"), "b.test", head + field + b"\r\n\r\n" + body)
    assert b"no tunnel leads through this gate" in answer or answer.startswith(b"HTTP/1.1 4")
    assert [one for one in siege.upstream.requests[before:] if "/holder" not in one.target] == []


@pytest.mark.parametrize(
    "fields",
    [[], [("content-length", str(len(SMUGGLED)))], [("x-client-user", "root")]],
    ids=["bare", "with a length", "with a forged name"],
)
def test_nor_over_http2(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], fields: Sequence[tuple[str, str]]
) -> None:
    """The upstream would get the bytes of DATA frames as they are, without a length before them."""
    block = Encoder().encode(
        [(":method", "CONNECT"), (":authority", f"b.test:{siege.gate.port}"), *fields], huffman=False
    )
    with siege.gate.connect(contexts("bob"), "b.test", "h2") as connection:
        headers = HeadersFrame(1, block, flags=["END_HEADERS"]).serialize()
        connection.sendall(PREFACE + SettingsFrame(0).serialize() + headers)
        connection.sendall(DataFrame(1, SMUGGLED).serialize())
        answer = b""
        deadline = time.monotonic() + 10
        while b"no tunnel leads" not in answer and time.monotonic() < deadline:
            answer += connection.recv(65536)
    assert b"no tunnel leads through this gate" in answer
    assert [one for one in siege.upstream.requests if "/holder" not in one.target] == []
