# SPDX-License-Identifier: Apache-2.0
"""An upstream whose answers never end, and clients that hold them open until somebody cuts them off."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from h2.connection import H2Connection
from tests.interop.gate.pki import Client

TICK = 0.02
HOST = "a.test"
SITE = """
a.test {{
	import pivgate admins internal {{
		reverse_proxy {upstream}
	}}
}}
"""


class _Endless(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        # Whoever reads has gone: that is how each of these ends.
        with suppress(OSError):
            getattr(self, f"_{kind}", self._short)()

    def do_POST(self) -> None:
        self.do_GET()

    def _short(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length) or b"done"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _slow(self) -> None:
        time.sleep(0.1)
        self._short()

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"9\r\ndata: x\n\n\r\n")
            time.sleep(TICK)

    def _download(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2**40))
        self.end_headers()
        while True:
            self.wfile.write(bytes(4096))
            time.sleep(TICK)

    def _websocket(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.end_headers()
        while True:
            self.wfile.write(b"\x82\x04tick")
            time.sleep(TICK)

    def _silence(self) -> None:
        self.rfile.read()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024


@contextmanager
def endless() -> Iterator[str]:
    """Run the upstream; yield its address."""
    server = _Server(("127.0.0.1", 0), _Endless)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Stream:
    """One request whose answer does not end.

    Attributes:
        name: What it is, for messages.
        received: Bytes that came so far.
        ended: ``time.monotonic()`` of its end; 0 while it lasts.
    """

    name: str
    connection: ssl.SSLSocket
    received: int = 0
    ended: float = 0.0
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self.connection, suppress(OSError):
            while data := self.connection.recv(65536):
                self.received += len(data)
        self.ended = time.monotonic()

    def await_end(self, patience: float) -> bool:
        """Return whether it has ended after that many seconds at most."""
        self._thread.join(patience)
        return bool(self.ended)


REQUESTS = {
    "events": "GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "download": "GET /download HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "websocket": "GET /websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\n\r\n",
    "in flight": "GET /silence HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "upload": "POST /silence HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\nbegun",
    "idle": "GET /short HTTP/1.1\r\nHost: {host}\r\n\r\n",
}
"""Over HTTP/1.1; ``{host}`` is host and port."""
OVER_HTTP2 = ("events", "download", "silence")
SILENT = ("in flight", "upload", "HTTP/2 silence")


def connect(client: Client, port: int, protocol: str = "http/1.1") -> ssl.SSLSocket:
    """Open a TLS connection to the gate."""
    context = client.context()
    context.set_alpn_protocols([protocol])
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=HOST)


def open_streams(client: Client, port: int) -> list[Stream]:
    """Hold open everything that can be, of one person, and wait until each has begun."""
    streams = []
    for name, text in REQUESTS.items():
        connection = connect(client, port)
        connection.sendall(text.format(host=f"{HOST}:{port}").encode())
        streams.append(Stream(name, connection))
    for name in OVER_HTTP2:
        connection = connect(client, port, "h2")
        connection.sendall(_over_http2(f"{HOST}:{port}", f"/{name}"))
        streams.append(Stream(f"HTTP/2 {name}", connection))
    deadline = time.monotonic() + 10
    while any(stream.received < 100 for stream in streams if stream.name not in SILENT):
        assert time.monotonic() < deadline, [(each.name, each.received) for each in streams]
        time.sleep(TICK)
    # Nothing comes of these: they are with the upstream by now.
    time.sleep(5 * TICK)
    return streams


def _over_http2(authority: str, path: str) -> bytes:
    h2 = H2Connection()
    h2.initiate_connection()
    h2.increment_flow_control_window(2**30)
    stream = h2.get_next_available_stream_id()
    h2.send_headers(
        stream,
        [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)],
        end_stream=True,
    )
    h2.increment_flow_control_window(2**30, stream)
    return h2.data_to_send()
