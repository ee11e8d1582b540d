# SPDX-License-Identifier: Apache-2.0
"""Fields behind a body: some upstreams merge them into the headers, so the gate must not pass on ours."""

import ssl
from collections.abc import Callable

import pytest
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame
from tests.interop.gate.attackers.conftest import Siege, sent
from tests.interop.gate.attackers.http2 import PREFACE
from tests.interop.gate.attackers.recording import recording
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.interop.gate.standing_gate import StandingGate

from pivgate.gate.apply import up

pytestmark = pytest.mark.interop

FORGED = {"X-Client-User": "root", "X-Client-Email": "root@example.com", "Forwarded": "for=root"}


def forged(siege: Siege) -> int:
    """Count the mark of what is forged here, in all that the upstream was ever sent."""
    return sum(raw.count(b"root") for raw in siege.upstream.connections)


def nothing_forged(siege: Siege, before: int) -> None:
    """What bob sent came through as his, and nothing of what was forged with it."""
    siege.visit()
    assert [one for one in siege.upstream.requests if one.values("x-client-user") == ["bob"]]
    assert forged(siege) == before


@pytest.mark.parametrize("declared", [True, False])
def test_no_trailer_reaches_the_upstream(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], declared: bool
) -> None:
    before = forged(siege)
    lines = ["POST / HTTP/1.1", f"Host: b.test:{siege.gate.port}", "Transfer-Encoding: chunked"]
    lines += ["TE: trailers", "Trailer: " + ", ".join(FORGED)] if declared else []
    trailers = "".join(f"{name}: {value}\r\n" for name, value in FORGED.items())
    data = "\r\n".join([*lines, "", "1", "x", "0", ""]) + trailers + "\r\n"
    sent(siege, contexts("bob"), "b.test", data.encode())
    nothing_forged(siege, before)


@pytest.mark.parametrize("declared", [True, False])
def test_nor_over_http2(siege: Siege, contexts: Callable[[str], ssl.SSLContext], declared: bool) -> None:
    before = forged(siege)
    encoder = Encoder()
    fields = [(":method", "POST"), (":scheme", "https"), (":path", "/")]
    fields.append((":authority", f"b.test:{siege.gate.port}"))
    names = ", ".join(FORGED).lower()
    head = encoder.encode([*fields, *([("trailer", names)] if declared else [])])
    tail = encoder.encode([(name.lower(), value) for name, value in FORGED.items()])
    frames = [
        SettingsFrame(0),
        HeadersFrame(1, head, flags=["END_HEADERS"]),
        DataFrame(1, b"x"),
        HeadersFrame(1, tail, flags=["END_HEADERS", "END_STREAM"]),
    ]
    with siege.gate.connect(contexts("bob"), "b.test", "h2") as connection:
        connection.sendall(PREFACE + b"".join(frame.serialize() for frame in frames))
        answer = b""
        while b"upstream" not in answer and (data := connection.recv(65536)):
            answer += data
    assert b"upstream" in answer
    nothing_forged(siege, before)


READING = """
a.test {{
	log_append body {{http.request.body}}
	import pivgate admins internal {{
		@never vars {{http.request.body}} never
		respond @never 404
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
"""


def test_a_line_that_reads_the_body_lets_trailers_through(place: Place, alice: Client) -> None:
    """What the page on attackers warns of. Should this fail, Caddy has changed, and the page with it."""
    with recording() as upstream:
        place.write(READING.format(upstream=upstream.port))
        up(place.home)
        gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)
        head = f"POST / HTTP/1.1\r\nHost: a.test:{place.port}\r\nTransfer-Encoding: chunked\r\n"
        with gate.connect(alice.context(), "a.test") as connection:
            connection.sendall(
                f"{head}Trailer: X-Client-User\r\n\r\n1\r\nx\r\n0\r\nX-Client-User: root\r\n\r\n".encode()
            )
            assert b"upstream" in connection.recv(65536)
        assert upstream.wire_faults() == ["a trailer b'x-client-user'"]
