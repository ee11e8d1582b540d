# SPDX-License-Identifier: Apache-2.0
"""A client that asks for another protocol, behind which the gate would see none of its requests."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from tests.interop.gate.accepting import accepting
from tests.interop.gate.pki import Authority, Client
from tests.interop.gate.standing_gate import StandingGate, standing_gate

pytestmark = pytest.mark.interop

SITE = """
a.test {{
	import pivgate everyone internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
"""


@dataclass
class Switching:
    """An upstream that agrees to every protocol, and echoes what comes then."""

    port: int = 0
    requests: list[str] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (received := connection.recv(65536)):
                    return
                head += received
            self.requests.append(head.decode())
            lines = [line.partition(":") for line in head.decode().split("\r\n")]
            protocol = [value.strip() for name, _, value in lines if name.lower() == "upgrade"]
            if not protocol:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            agreed = f"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: {protocol[0]}\r\n\r\n"
            connection.sendall(agreed.encode())
            while received := connection.recv(65536):
                connection.sendall(b"echo " + received)


@contextmanager
def switching() -> Iterator[Switching]:
    upstream = Switching()
    with accepting(upstream.serve) as upstream.port:
        yield upstream


@dataclass
class Scene:
    gate: StandingGate
    upstream: Switching
    alice: Client


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    with switching() as upstream, standing_gate(authority.pem, SITE.format(upstream=upstream.port)) as gate:
        alice = authority.client("alice")
        gate.admit("everyone", alice.fingerprint)
        yield Scene(gate, upstream, alice)


@pytest.mark.parametrize(
    "connection", [[], [("Connection", "Upgrade")], [("Connection", "keep-alive, upgrade")]]
)
@pytest.mark.parametrize(
    "values",
    [
        ["h2c"],
        ["H2C"],
        ["websocket", "h2c"],
        ["h2c", "websocket"],
        ["websocket, h2c"],
        ["h2c,WebSocket"],
        ["websocket", "websocket"],
        ["websocket/13"],
        ["xwebsocket"],
        ["TLS/1.0"],
        ["{http.request.header.x}"],
        ["", "h2c"],
    ],
)
def test_no_other_protocol_gets_behind_the_gate(
    scene: Scene, values: list[str], connection: list[tuple[str, str]]
) -> None:
    before = len(scene.upstream.requests)
    headers = [*connection, *(("Upgrade", value) for value in values), ("x", "websocket")]
    reply = scene.gate.ask(scene.alice.context(), "a.test", headers=headers)
    assert reply.status == 400
    assert "Upgrade header" in reply.body
    assert len(scene.upstream.requests) == before, "nothing reached the upstream"


def test_the_settings_of_h2c_are_refused_too(scene: Scene) -> None:
    before = len(scene.upstream.requests)
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")]
    assert scene.gate.ask(scene.alice.context(), "a.test", headers=headers).status == 400
    assert len(scene.upstream.requests) == before


@pytest.mark.parametrize("value", ["websocket", "WebSocket", "WEBSOCKET"])
def test_a_websocket_gets_through_with_our_identity(scene: Scene, value: str) -> None:
    headers = f"Connection: Upgrade\r\nUpgrade: {value}\r\nX-Client-User: root\r\n"
    with scene.gate.connect(scene.alice.context(), "a.test") as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: a.test:{scene.gate.port}\r\n{headers}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"hello")
        # A stream has no messages: what was sent as one may be echoed in pieces, each with its own mark.
        echoed = b""
        while len(echoed.replace(b"echo ", b"")) < len(b"hello") and (piece := connection.recv(65536)):
            echoed += piece
        assert echoed.startswith(b"echo h")
        assert echoed.replace(b"echo ", b"") == b"hello"
    told = scene.upstream.requests[-1].lower()
    assert "\r\nx-client-user: alice\r\n" in told
    assert "root" not in told


def test_no_upgrade_is_no_upgrade(scene: Scene) -> None:
    assert scene.gate.ask(scene.alice.context(), "a.test", headers=[("Upgrade", "")]).status == 200
