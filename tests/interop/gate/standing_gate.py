# SPDX-License-Identifier: Apache-2.0
"""A real Caddy with our snippet before an upstream that says what it was told, and clients to attack it."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from tests.interop.gate.pki import anonymous
from tests.ports import free_ports

from pivgate.gate.joined import joined
from pivgate.gate.snippet import SnippetInput, initial_caddyfile, render

CADDY = Path(sys.executable).with_name("caddy")
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """What came back; status 0 when TLS or HTTP/2 was refused and nothing did."""

    status: int
    headers: Headers = ()
    body: str = ""

    @property
    def told(self) -> list[tuple[str, str]]:
        """The headers that reached the upstream, in small letters, in their order."""
        return [(name.lower(), value) for name, value in json.loads(self.body)["headers"]]

    def header(self, name: str) -> str:
        """Return one header of the reply; empty if it is not there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


REFUSED_IN_HANDSHAKE = Reply(0)


class _Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"upstream": True, "path": self.path, "headers": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def upstream() -> Iterator[int]:
    """Run the upstream; yield its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class StandingGate:
    """A folder with a Caddyfile and an access tree, and Caddy running on them."""

    folder: Path
    authority_pem: Path
    contact: str = ""
    port: int = 0
    http_port: int = 0
    config: dict[str, object] = field(default_factory=dict)
    user: int | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def access(self) -> Path:
        """The access tree."""
        return self.folder / "access"

    @property
    def admin(self) -> Path:
        """The admin socket."""
        return self.folder / "admin.sock"

    @property
    def verdict(self) -> Path:
        """The verdict socket."""
        return self.folder / "verdict.sock"

    def admit(self, group: str, fingerprint: str) -> Path:
        """Put an entry into the tree."""
        entry = self.access / group / fingerprint
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.touch()
        return entry

    def write(self, sites: str) -> None:
        """Write the snippet and a Caddyfile with these sites."""
        self.http_port, self.port = free_ports(2)
        snippet = render(SnippetInput(self.authority_pem, self.access, self.verdict, self.contact))
        (self.folder / "pivgate.caddy").write_text(snippet)
        head = initial_caddyfile(
            self.admin, http_port=self.http_port, https_port=self.port, listen="127.0.0.1"
        ).replace("{\n", "{\n\tstorage file_system " + str(self.folder / "storage") + "\n", 1)
        (self.folder / "Caddyfile").write_text(head + sites)

    def adapt(self) -> dict[str, object]:
        """Adapt the Caddyfile, and join handlers as applying does; an error is raised with Caddy's words."""
        done = subprocess.run(
            [CADDY, "adapt", "--config", self.folder / "Caddyfile"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(done.stderr.strip().splitlines()[-1])
        config = json.loads(done.stdout)
        assert isinstance(config, dict)
        return joined(config)

    def start(self, config: dict[str, object] | None = None) -> None:
        """Run Caddy and wait until it answers."""
        self.config = config or self.adapt()
        (self.folder / "running.json").write_text(json.dumps(self.config))
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        if self.user is not None:
            os.chown(self.folder, self.user, self.user)
            os.chown(storage, self.user, self.user)
        with (self.folder / "caddy.log").open("wb") as log:
            self._process = subprocess.Popen(
                [CADDY, "run", "--config", self.folder / "running.json"],
                stdout=log,
                stderr=log,
                env={"CADDY_ADMIN": f"unix/{self.admin}", "HOME": str(storage), "PATH": os.environ["PATH"]},
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        self._await_sites()

    def stop(self) -> None:
        """End Caddy."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask(
        self,
        context: ssl.SSLContext,
        host: str,
        *,
        sni: str | None = "",
        path: str = "/",
        headers: Headers = (),
        protocol: str = "h1",
    ) -> Reply:
        """Make one request on a connection of its own.

        Args:
            context: With or without a client certificate.
            host: The Host header or ``:authority``, without port.
            sni: Server name of the handshake; the host when empty, none at all when None.
            path: The path.
            headers: Headers besides it, sent exactly as they are written.
            protocol: ``h1`` or ``h2``.
        """
        try:
            with self.connect(context, host if sni == "" else sni, protocol) as connection:
                return self.ask_on(connection, host, path=path, headers=headers, protocol=protocol)
        except (ssl.SSLError, ConnectionError):
            return REFUSED_IN_HANDSHAKE

    @contextmanager
    def connect(
        self, context: ssl.SSLContext, sni: str | None, protocol: str = "h1"
    ) -> Iterator[ssl.SSLSocket]:
        """Open a TLS connection."""
        context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=sni) as secured,
        ):
            yield secured

    def ask_on(
        self,
        connection: ssl.SSLSocket,
        host: str,
        *,
        path: str = "/",
        headers: Headers = (),
        protocol: str = "h1",
    ) -> Reply:
        """Make one request on an open HTTP/1.1 connection, or the first on an HTTP/2 one."""
        authority = f"{host}:{self.port}"
        if protocol == "h2":
            return Http2(connection).ask(authority, path, headers)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {authority}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return _read_reply(connection)

    def _await_sites(self) -> None:
        """Wait until every site has its server certificate, which Caddy makes after it has started."""
        assert self._process is not None
        hosts = re.findall(r"^(\w[\w.-]*\.test)\b", (self.folder / "Caddyfile").read_text(), re.MULTILINE)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                for host in hosts:
                    with self.connect(anonymous(), host):
                        pass
            except (OSError, ssl.SSLError):
                time.sleep(0.01)
            else:
                return
        raise AssertionError((self.folder / "caddy.log").read_text())


class Http2:
    """One HTTP/2 connection that sends header names as they are given."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection
        self.h2 = H2Connection(
            H2Configuration(
                validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
            )
        )
        self.h2.initiate_connection()
        self._flush()

    def ask(self, authority: str, path: str = "/", headers: Headers = ()) -> Reply:
        """Make a request on a new stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)]
        self.h2.send_headers(stream, [*pseudo, *headers], end_stream=True)
        self._flush()
        status, received, body = 0, [], b""
        while True:
            data = self.connection.recv(65536)
            if not data:
                return REFUSED_IN_HANDSHAKE
            for event in self.h2.receive_data(data):
                match event:
                    case ResponseReceived(stream_id=number) if number == stream:
                        received = [(name, value) for name, value in event.headers if name[0] != ":"]
                        status = int(dict(event.headers)[":status"])
                    case DataReceived(stream_id=number) if number == stream:
                        body += event.data
                    case StreamEnded(stream_id=number) if number == stream:
                        return Reply(status, received, body.decode())
                    case StreamReset(stream_id=number) if number == stream:
                        return REFUSED_IN_HANDSHAKE
                    case _:
                        pass
            self._flush()

    def _flush(self) -> None:
        self.connection.sendall(self.h2.data_to_send())


@contextmanager
def standing_gate(
    authority_pem: Path, sites: str, *, contact: str = "", user: int | None = None
) -> Iterator[StandingGate]:
    """Run a gate in a folder of its own."""
    # Not under tmp_path: a unix socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    gate = StandingGate(folder, Path(shutil.copy(authority_pem, folder / "ca.pem")), contact, user=user)
    try:
        folder.chmod(0o755)
        gate.write(sites)
        gate.start()
        yield gate
    finally:
        gate.stop()
        shutil.rmtree(folder)


def _read_reply(connection: ssl.SSLSocket) -> Reply:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return REFUSED_IN_HANDSHAKE
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
    while len(body) < length:
        received = connection.recv(65536)
        assert received, "the reply was cut off"
        body += received
    return Reply(int(status_line.split()[1]), headers, body.decode())


def named(headers: Iterable[tuple[str, str]], *names: str) -> dict[str, list[str]]:
    """Return all values of some headers."""
    return {name: [value for key, value in headers if key == name] for name in names}
