# SPDX-License-Identifier: Apache-2.0
"""Requests that a gate and an upstream could divide differently: no second request comes out of one."""

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.interop.gate.attackers.conftest import Siege, sent

pytestmark = pytest.mark.interop

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\nX-Client-User: root\r\n\r\n"


def chunk(data: bytes, extension: bytes = b"", end: bytes = b"\r\n") -> bytes:
    return b"%x" % len(data) + extension + end + data + end


LAST = b"0\r\n\r\n"
LENGTH = b"Content-Length: %d" % len(SMUGGLED)
CHUNKED = b"Transfer-Encoding: chunked"
# The fields of a POST, and what follows its empty line.
BODIES: dict[str, tuple[list[bytes], bytes]] = {
    "length and chunks": ([LENGTH, CHUNKED], LAST + SMUGGLED),
    "chunks and length": ([CHUNKED, b"Content-Length: 4"], chunk(SMUGGLED) + LAST),
    "short length and chunks": ([b"Content-Length: 5", CHUNKED], LAST + SMUGGLED),
    "two lengths": ([b"Content-Length: 0", LENGTH], SMUGGLED),
    "two lengths in one": ([b"Content-Length: 0, %d" % len(SMUGGLED)], SMUGGLED),
    "length with a plus": ([b"Content-Length: +0"], SMUGGLED),
    "negative length": ([b"Content-Length: -1"], SMUGGLED),
    "hexadecimal length": ([b"Content-Length: 0x0"], SMUGGLED),
    "length with a space before the colon": ([b"Content-Length : 0", LENGTH], SMUGGLED),
    "length with an underscore": ([b"Content_Length: 0", LENGTH], SMUGGLED),
    "huge length": ([b"Content-Length: 18446744073709551616"], SMUGGLED),
    "length hidden behind NUL": ([b"X: y\0Content-Length: 0", LENGTH], SMUGGLED),
    "length hidden behind CR": ([b"X: y\rContent-Length: 0", LENGTH], SMUGGLED),
    "length behind a bare LF": ([b"X: y\nContent-Length: 0", LENGTH], SMUGGLED),
    "folded length": ([b"Content-Length:\r\n 0", LENGTH], SMUGGLED),
    "chunks in capitals": ([b"TRANSFER-ENCODING: CHUNKED"], LAST + SMUGGLED),
    "chunks with a tab": ([b"Transfer-Encoding:\tchunked", b"Content-Length: 5"], LAST + SMUGGLED),
    "chunks with a vertical tab": ([b"Transfer-Encoding: \x0bchunked", LENGTH], SMUGGLED),
    "chunks with a space before the colon": ([b"Transfer-Encoding : chunked", LENGTH], LAST + SMUGGLED),
    "chunks with a letter more": ([b"Transfer-Encoding: xchunked", LENGTH], LAST + SMUGGLED),
    "chunks in quotes": ([b'Transfer-Encoding: "chunked"', LENGTH], LAST + SMUGGLED),
    "chunks, then identity": ([b"Transfer-Encoding: chunked, identity", LENGTH], LAST + SMUGGLED),
    "identity, then chunks": ([b"Transfer-Encoding: identity, chunked", LENGTH], LAST + SMUGGLED),
    "chunks twice": ([CHUNKED, CHUNKED], LAST + SMUGGLED),
    "chunks and a second coding": ([CHUNKED, b"Transfer-Encoding: x"], LAST + SMUGGLED),
    "chunks in a folded line": ([b"Transfer-Encoding:\r\n chunked", LENGTH], LAST + SMUGGLED),
    "chunks hidden behind CR": ([b"X: y\rTransfer-Encoding: chunked", LENGTH], LAST + SMUGGLED),
    "gzip": ([b"Transfer-Encoding: gzip, chunked"], LAST + SMUGGLED),
    "chunk extension": ([CHUNKED], chunk(b"x", b";a=b") + LAST + SMUGGLED),
    "chunk extension with a bare LF": ([CHUNKED], b"1;a\nx\r\nx\r\n" + LAST + SMUGGLED),
    "long chunk extension": ([CHUNKED], chunk(b"x", b";" + b"a" * 60000) + LAST + SMUGGLED),
    "chunk with bare LF": ([CHUNKED], chunk(b"x", end=b"\n") + b"0\n\n" + SMUGGLED),
    "chunk with bare CR": ([CHUNKED], chunk(b"x", end=b"\r") + b"0\r\r" + SMUGGLED),
    "chunk of a wrong size": ([CHUNKED], b"1\r\nxyz\r\n" + LAST + SMUGGLED),
    "chunk size with 0x": ([CHUNKED], b"0x1\r\nx\r\n" + LAST + SMUGGLED),
    "chunk size with a plus": ([CHUNKED], b"+1\r\nx\r\n" + LAST + SMUGGLED),
    "chunk size with an underscore": ([CHUNKED], b"1_0\r\n" + b"x" * 16 + b"\r\n" + LAST + SMUGGLED),
    "chunk size that overflows": ([CHUNKED], b"10000000000000000\r\nx\r\n" + LAST + SMUGGLED),
    "negative chunk size": ([CHUNKED], b"-1\r\nx\r\n" + LAST + SMUGGLED),
    "trailers": ([CHUNKED, b"Trailer: X-Client-User"], b"0\r\nX-Client-User: root\r\n\r\n"),
    "trailer of a length": ([CHUNKED], b"0\r\nContent-Length: 99\r\nHost: b.test\r\n\r\n"),
    "length with an old version": ([b"Content-Length: 5", CHUNKED], LAST + SMUGGLED),
    "expect": ([b"Expect: 100-continue", LENGTH], SMUGGLED),
    "expect of something else": ([b"Expect: 100-continue, x", b"Content-Length: 0"], SMUGGLED),
}
# Whole heads, with the mark of the site that the attacker gets at.
HEADS: dict[str, bytes] = {
    "bare LF": b"GET / HTTP/1.1\nHost: %s\n\n" + SMUGGLED,
    "bare CR": b"GET / HTTP/1.1\rHost: %s\r\r" + SMUGGLED,
    "empty lines first": b"\r\n\r\nGET / HTTP/1.1\r\nHost: %s\r\n\r\n",
    "space at the line's end": b"GET / HTTP/1.1 \r\nHost: %s\r\n\r\n",
    "tabs in the line": b"GET\t/\tHTTP/1.1\r\nHost: %s\r\n\r\n",
    "two requests in the line": b"GET / HTTP/1.1 GET /smuggled HTTP/1.1\r\nHost: %s\r\n\r\n",
    "line end in the path": b"GET /%%0d%%0aX-Client-User:%%20root HTTP/1.1\r\nHost: %s\r\n\r\n",
    "NUL in the path": b"GET /\0 HTTP/1.1\r\nHost: %s\r\n\r\n",
    "version 0.9": b"GET /smuggled\r\n\r\nHost: %s\r\n\r\n",
    "version 1.0 kept alive": b"GET / HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n" + SMUGGLED,
    "version 1.0 with chunks": (
        b"POST / HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\n" + CHUNKED + b"\r\n\r\n" + LAST + SMUGGLED
    ),
    "version 1.2": b"GET / HTTP/1.2\r\nHost: %s\r\n\r\n",
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nHost: %s",
    "a GET with a body": b"GET / HTTP/1.1\r\nHost: %s\r\n" + LENGTH + b"\r\n\r\n" + SMUGGLED,
    "a HEAD with a body": b"HEAD / HTTP/1.1\r\nHost: %s\r\n" + LENGTH + b"\r\n\r\n" + SMUGGLED,
    "folded host": b"GET / HTTP/1.1\r\nHost:\r\n %s\r\n\r\n",
    "a field without a name": b"GET / HTTP/1.1\r\nHost: %s\r\n: x\r\n\r\n",
    "a field without a colon": b"GET / HTTP/1.1\r\nHost: %s\r\nX-Client-User\r\n\r\n",
    "a line begins with a space": b"GET / HTTP/1.1\r\n X-Client-User: root\r\nHost: %s\r\n\r\n",
    "pipelined": b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" + SMUGGLED * 3,
}


def heads(site: bytes) -> dict[str, bytes]:
    """Every attack, written for a site."""
    written = {name: head % site for name, head in HEADS.items()}
    for name, (fields, body) in BODIES.items():
        version = b"1.0" if "old version" in name else b"1.1"
        lines = [b"POST / HTTP/" + version, b"Host: " + site, *fields]
        written[name] = b"\r\n".join(lines) + b"\r\n\r\n" + body
    return written


# Where each is let in; those without a certificate only at the open site.
WHERE = [("anonymous", "open.test"), ("mallory", "a.test"), ("bob", "b.test"), ("alice", "a.test")]


@pytest.mark.parametrize(("who", "site"), WHERE)
def test_one_request_stays_one(
    siege: Siege, who: str, site: str, contexts: Callable[[str], ssl.SSLContext]
) -> None:
    attacks = heads(f"{site}:{siege.gate.port}".encode())
    with ThreadPoolExecutor(16) as pool:
        sending = [pool.submit(sent, siege, contexts(who), site, data) for data in attacks.values()]
    answers = dict(zip(attacks, (one.result() for one in sending), strict=True))
    assert set(answers) >= {"pipelined", "chunks and length", "bare LF"}
    assert [name for name, answer in answers.items() if b"200 OK" in answer and b"root" in answer] == []
