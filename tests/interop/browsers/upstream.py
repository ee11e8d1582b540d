# SPDX-License-Identifier: Apache-2.0
"""The web app behind the gate: pages with links and pictures, fetch(), a WebSocket, a large download."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

IMAGES = 24
DOWNLOAD = 100 << 20
_BLOCK = bytes(range(256)) * 4096

_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="data:,"><body style="font: 1.2rem/1.6 sans-serif; margin: 3rem">
<h1>{title}</h1>{body}
<p>You are <b id="user">{user}</b>, says the gate.</p>
<nav><a id="first" href="/">first page</a> · <a id="second" href="/second">second page</a> ·
<a id="third" href="/third">third page</a></nav>"""

_IMAGE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
    '<circle cx="20" cy="20" r="18" fill="hsl({hue} 70% 50%)"/></svg>'
)


def download_digest() -> str:
    """Return the SHA-256 of the large download."""
    whole = hashlib.sha256()
    for _ in range(DOWNLOAD // len(_BLOCK)):
        whole.update(_BLOCK)
    return whole.hexdigest()


@dataclass
class Upstream:
    """A running web app.

    Attributes:
        port: Where it listens on the loopback interface.
        requests: Path and user of each request, in order.
    """

    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)


class _App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream: Upstream

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        user = self.headers.get("X-Client-User", "nobody")
        self.upstream.requests.append((path, user))
        if path.startswith("/image/"):
            self._send("image/svg+xml", _IMAGE.format(hue=int(path[7:]) * 15))
        elif path == "/who":
            self._send("application/json", json.dumps({"user": user}))
        elif path == "/download":
            self._download()
        elif path == "/socket":
            self._socket(user)
        else:
            self._page(path, user)

    def _page(self, path: str, user: str) -> None:
        title = {"/": "Orders", "/second": "Customers", "/third": "Stock"}.get(path, path.strip("/"))
        body = "".join(f'<img src="/image/{number}" alt="">' for number in range(IMAGES))
        self._send("text/html; charset=utf-8", _PAGE.format(title=title, body=body, user=user))

    def _send(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _download(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", 'attachment; filename="backup.bin"')
        self.send_header("Content-Length", str(DOWNLOAD))
        self.end_headers()
        for _ in range(DOWNLOAD // len(_BLOCK)):
            self.wfile.write(_BLOCK)

    def _socket(self, user: str) -> None:
        """Echo each short text message of a WebSocket after the user's name (RFC 6455)."""
        nonce = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(nonce.encode(), usedforsecurity=False).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        while len(head := self.rfile.read(6)) == 6 and head[0] & 0x0F == 1:
            masked = self.rfile.read(head[1] & 0x7F)
            text = bytes(byte ^ head[2 + number % 4] for number, byte in enumerate(masked))
            reply = f"{user}: ".encode() + text
            self.wfile.write(bytes((0x81, len(reply))) + reply)

    def log_message(self, *_arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle is no fault of ours."""


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run the web app on a free port."""
    app = type("App", (_App,), {})
    with _Server(("127.0.0.1", 0), app) as server:
        running = Upstream(server.server_address[1])
        app.upstream = running
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
