# SPDX-License-Identifier: Apache-2.0
"""A web app with everything that is hard to pass on: long bodies, no bodies, upgrades, repositories."""

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MIB = 1 << 20
_PIECE = bytes(range(256)) * 256


class App(SimpleHTTPRequestHandler):
    """Answers by path; what is not known is a file of the server's folder."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/ws":
            self._echo_bytes()
        elif path == "/headers":
            self._answer(json.dumps(self.headers.items()).encode())
        elif path == "/big":
            self._send_many(int(query))
        elif path == "/chunked":
            self._send_chunks(int(query))
        elif path == "/until-close":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"until the end")
            self.close_connection = True
        elif path in ("/204", "/304"):
            self.send_response(int(path[1:]))
            self.send_header("ETag", '"1"')
            self.end_headers()
        elif path == "/redirect":
            self.send_response(302)
            self.send_header("Location", query)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/slow":
            self._send_slowly()
        elif path.startswith("/git/"):
            self._git()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/early":
            self.close_connection = True
            self._answer(b"too much\n", status=413)
        elif path.startswith("/git/"):
            self._git()
        else:
            digest, length = hashlib.sha256(), 0
            for piece in self._body():
                digest.update(piece)
                length += len(piece)
            told = {"length": length, "sha256": digest.hexdigest(), "expect": self.headers["Expect"]}
            self._answer(json.dumps(told).encode())

    do_PUT = do_POST  # noqa: N815 - the name is http.server's

    def log_message(self, *_arguments: object) -> None:
        pass

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_many(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        for _ in range(length // len(_PIECE)):
            self.wfile.write(_PIECE)

    def _send_chunks(self, number: int) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for each in range(number):
            text = f"chunk {each}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.write(b"0\r\n\r\n")

    def _send_slowly(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        time.sleep(3)
        self.wfile.write(b"data: second\n\n")
        self.close_connection = True

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while length := int(self.rfile.readline(), 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            yield piece

    def _echo_bytes(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        accepted = hashlib.sha1(  # noqa: S324 - RFC 6455, section 4.2.2
            (self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
        )
        import base64

        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accepted.digest()).decode())
        self.end_headers()
        self.close_connection = True
        while data := self.rfile.read1(65536):
            self.connection.sendall(data)

    def _git(self) -> None:
        """Run git's own server program (git-http-backend(1)) as CGI (RFC 3875)."""
        path, _, query = self.path.removeprefix("/git").partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.headers.get("X-Client-User", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=b"".join(self._body()),
            capture_output=True,
            env=environment,
            check=True,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = [line.partition(": ")[::2] for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self.send_response(status)
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running_app(folder: Path) -> Iterator[str]:
    """Serve a folder, and the rest, on a free port; yields host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *rest: App(*rest, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
