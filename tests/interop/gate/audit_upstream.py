# SPDX-License-Identifier: Apache-2.0
"""Upstreams that say what they were told: one that the files gate, and one that stands for all others."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class Upstream:
    """Where they listen, and the headers of every request they ever saw.

    Attributes:
        port: Of the gated one, on 127.0.0.1 and ::1.
        socket: Of the gated one.
        other_port: Of all others.
        seen: What the gated one was told.
        elsewhere: What the others were told.
    """

    port: int
    socket: Path
    other_port: int
    seen: list[dict[str, str]] = field(default_factory=list)
    elsewhere: list[dict[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        if protocol := self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", protocol)
            self.end_headers()
            self.close_connection = True
            return
        body = json.dumps({"upstream": True, "path": self.path, "headers": self.headers.items()}).encode()
        # The path says what to answer, so that error paths can be asked for.
        self.send_response(500 if self.path.startswith("/broken") else 200)
        # As what `forward_auth` asks would name the caller.
        self.send_header("X-Client-User", "root")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # It opens no tunnel either, and goes on with what comes next, as web applications do.
    do_HEAD = do_POST = do_OPTIONS = do_PUT = do_CONNECT = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "client"


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Caddy drops its connections at every load."""


class _Tcp6(_Tcp):
    address_family = socket.AF_INET6


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Caddy drops its connections at every load."""


@contextmanager
def upstream_everywhere(path: Path) -> Iterator[Upstream]:
    """Run the gated one on 127.0.0.1 and ::1 and on a unix socket, the others on a port."""
    seen: list[dict[str, str]] = []
    elsewhere: list[dict[str, str]] = []
    gated = type("Gated", (_Handler,), {"seen": seen})
    with ExitStack() as stack:
        four = stack.enter_context(_Tcp(("127.0.0.1", 0), gated))
        six = stack.enter_context(_Tcp6(("::1", four.server_address[1]), gated))
        local = stack.enter_context(_Unix(str(path), gated))
        other = stack.enter_context(_Tcp(("127.0.0.1", 0), type("Other", (_Handler,), {"seen": elsewhere})))
        for server in (four, six, local, other):
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield Upstream(four.server_address[1], path, other.server_address[1], seen, elsewhere)
