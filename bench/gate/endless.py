# SPDX-License-Identifier: Apache-2.0
"""An upstream of which some answers never end: ``python -m bench.gate.endless PORT``."""

import hashlib
import sys
import time
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TICK = 0.005


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of connections that are cut off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        answer = {"/events": self._events, "/websocket": self._websocket}.get(self.path, self._short)
        # Whoever reads has gone: that is how each of these ends.
        with suppress(OSError):
            answer()

    def _short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._tick(b"9\r\ndata: x\n\n\r\n")

    def _websocket(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", _accept(self.headers["Sec-WebSocket-Key"]))
        self.end_headers()
        self._tick(b"\x82\x04tick")

    def _tick(self, message: bytes) -> None:
        self.close_connection = True
        while True:
            self.wfile.write(message)
            time.sleep(TICK)

    def log_message(self, *_: object) -> None:
        pass


def _accept(key: str) -> str:
    """Answer a WebSocket's key (RFC 6455, section 4.2.2)."""
    told = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    return b64encode(hashlib.sha1(told, usedforsecurity=False).digest()).decode()


def main() -> None:
    """Serve until killed."""
    _Server(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()


if __name__ == "__main__":
    main()
