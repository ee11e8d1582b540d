# SPDX-License-Identifier: Apache-2.0
"""Somebody who is let in, in four ways at once, until no more.

    python -m bench.gate.watching PEM PORT PATIENCE

A process of its own: whoever revokes is not to wait for its interpreter. It says ``ready`` when all four get
through, is told on standard input when the revocation is done, and prints as JSON when each of them got
something through last (``time.monotonic``, which is the same for all processes), null for "still does".
"""

import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.gate.load import connect, visitor
from bench.sites import SITE

# So long nothing got through: it is over.
_QUIET = 0.5
_START = 30.0
_PAUSE = 0.002
# As in RFC 6455, section 1.3.
_WEBSOCKET = (
    "Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


class Watch:
    """One way of being let in, tried all the time."""

    def __init__(self, way: Callable[["Watch"], None]) -> None:
        self.last = 0.0
        self._way = way

    def through(self) -> None:
        """Note that something got through just now."""
        self.last = time.monotonic()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        # Just after a reload, a server may still drop a connection that it took; whoever is in stays in.
        while not self.last:
            try:
                self._way(self)
            except OSError:
                time.sleep(_PAUSE)


class Visitor:
    """The four ways."""

    def __init__(self, login: Path, port: int) -> None:
        self._context = visitor(login)
        self._port = port

    def new_connections(self, watch: Watch) -> None:
        while True:
            try:
                with self._connect("/", "close") as connection:
                    if _status(connection) == 200:
                        watch.through()
            except OSError:
                pass
            time.sleep(_PAUSE)

    def open_connection(self, watch: Watch) -> None:
        with self._connect("/", "keep-alive") as connection:
            while _status(connection) == 200:
                watch.through()
                time.sleep(_PAUSE)
                connection.sendall(self._request("/", "keep-alive"))

    def event_stream(self, watch: Watch) -> None:
        with self._connect("/events", "keep-alive") as connection:
            _flow(connection, watch, b"data: x")

    def websocket(self, watch: Watch) -> None:
        with self._connect("/websocket", _WEBSOCKET) as connection:
            _flow(connection, watch, b"tick")

    def _connect(self, path: str, connection: str) -> ssl.SSLSocket:
        opened = connect(self._context, self._port)
        opened.sendall(self._request(path, connection))
        return opened

    def _request(self, path: str, connection: str) -> bytes:
        lines = (f"GET {path} HTTP/1.1", f"Host: {SITE}:{self._port}", f"Connection: {connection}", "", "")
        return "\r\n".join(lines).encode()


def _status(connection: ssl.SSLSocket) -> int:
    answer = b""
    while b"\r\n\r\nok" not in answer:
        received = connection.recv(65536)
        if not received:
            raise ConnectionResetError
        answer += received
        if not answer.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\n" in answer:
            return 0
    return 200


def _flow(connection: ssl.SSLSocket, watch: Watch, sign: bytes) -> None:
    while received := connection.recv(65536):
        if sign in received:
            watch.through()
    raise ConnectionResetError


def main() -> None:
    """Watch, and tell."""
    login, port, patience = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    ways = Visitor(login, port)
    watches = {
        "new connections": Watch(ways.new_connections),
        "open connection": Watch(ways.open_connection),
        "event stream": Watch(ways.event_stream),
        "WebSocket": Watch(ways.websocket),
    }
    for watch in watches.values():
        watch.start()
    deadline = time.monotonic() + _START
    while not all(watch.last for watch in watches.values()):
        if time.monotonic() > deadline:
            sys.exit(f"never let in: {[name for name, watch in watches.items() if not watch.last]}")
        time.sleep(_PAUSE)
    print("ready", flush=True)
    sys.stdin.readline()
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not all(map(_is_over, watches.values())):
        time.sleep(_PAUSE)
    ends = {name: watch.last if _is_over(watch) else None for name, watch in watches.items()}
    print(json.dumps(ends), flush=True)


def _is_over(watch: Watch) -> bool:
    return time.monotonic() - watch.last > _QUIET


if __name__ == "__main__":
    main()
