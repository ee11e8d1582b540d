# SPDX-License-Identifier: Apache-2.0
"""One Caddy into which one golden Caddyfile after the other is loaded, and people who try to get in.

The files name paths, ports and upstreams as an operator would. Here the paths become those of a folder, and
in the adapted JSON every port and upstream becomes one of the loopback. Nothing else is changed.
"""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.gate.audit_talk import talk
from tests.interop.gate.audit_upstream import Upstream, upstream_everywhere
from tests.interop.gate.pki import Authority, Client, anonymous, server_pair
from tests.interop.gate.standing_gate import CADDY, Reply
from tests.ports import free_ports

from pivgate.gate.audit_file import FileAudit, examine_sources
from pivgate.gate.audit_lines import Source
from pivgate.gate.joined import joined
from pivgate.gate.snippet import SnippetInput, render
from pivgate.settings import Home

HOME = "/var/lib/pivgate"
# The ports that the files name for sites, and the one of the admin API.
PORTS = (80, 443, 2019, 8080, 8081, 8443, 9443)
SERVED = ("app.example.com", "*.example.com", "*.example.org", "app.example.org")
# Where the files look on their machine; a socket's path stands behind the name of its network.
_PATHS = re.compile(rf"{HOME}|(?<=unix/|.h2c/)/run/|(?<=\s)/(?:etc/ssl|srv)/")
SECRET = "what only members may read"


@dataclass(frozen=True)
class Request:
    """What one request asks, and who asks.

    Attributes:
        who: ``nobody`` (no certificate), ``stranger`` (of another authority, which the system trusts),
            ``expired``, ``revoked`` (not in the tree), ``outsider`` (in force, in other groups), ``alice``.
        host: The Host header.
        sni: Server name of the handshake; the host when empty, none at all when None.
        port: The port in the Caddyfile.
        plain: Without TLS.
        socket: A unix socket in the Caddyfile, instead of a port.
    """

    who: str = "revoked"
    path: str = "/"
    host: str = "app.example.com"
    sni: str | None = ""
    port: int = 443
    headers: tuple[tuple[str, str], ...] = ()
    protocol: str = "h1"
    plain: bool = False
    method: str = "GET"
    socket: str = ""


@dataclass
class Bench:
    """The running Caddy."""

    folder: Path
    people: dict[str, Client]
    upstream: Upstream
    ports: dict[int, int]
    config: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def admin_socket(self) -> Path:
        """The admin socket."""
        return self.folder / "run" / "admin.sock"

    def audit(self, text: str, config: dict[str, Any]) -> FileAudit:
        """Audit a golden Caddyfile as ``pivgate site check`` does."""
        return examine_sources(config, [Source("Caddyfile", self.placed(text))], Home(self.folder))

    def placed(self, text: str) -> str:
        """Put a golden Caddyfile's paths into the folder."""
        text = text.replace("import pivgate.caddy", f"import {HOME}/pivgate.caddy")
        return _PATHS.sub(lambda path: f"{self.folder}{path[0].removeprefix(HOME)}", text)

    def filled(self, text: str) -> str:
        """Put this bench's folder and upstream into what an attacker sends or sees."""
        upstream = f"127.0.0.1:{self.upstream.port}"
        return text.replace("FOLDER", str(self.folder)).replace("UPSTREAM", upstream)

    def adapt(self, text: str) -> dict[str, Any]:
        """Let the running Caddy adapt a Caddyfile, as ``caddy adapt`` would, and join it as `up` does."""
        status, body = self.admin("POST", "/adapt", self.placed(text), "text/caddyfile")
        assert status == 200, body
        config = joined(json.loads(body)["result"])
        assert isinstance(config, dict)
        return config

    def load(self, config: dict[str, Any]) -> None:
        """Load an adapted configuration. The old one's servers are gone when it returns."""
        moved = self.moved(config)
        status, body = self.admin("POST", "/load", json.dumps(moved), "application/json")
        assert status == 200, body
        self.config = moved

    def moved(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration on ports and upstreams of this machine."""
        moved = json.loads(json.dumps(config))
        http = moved["apps"]["http"]
        http["http_port"] = self.ports[http.get("http_port", 80)]
        http["https_port"] = self.ports[http.get("https_port", 443)]
        for server in http["servers"].values():
            server["listen"] = [self._moved_port(each) for each in server["listen"]]
        if (listen := moved.get("admin", {}).get("listen", "")).startswith("localhost:"):
            moved["admin"]["listen"] = f"localhost:{self.ports[2019]}"
            assert listen == "localhost:2019"
        _each_dial(moved, self._moved_dial)
        # Whatever a file says or leaves out: no test's authority gets into this machine's trust stores.
        authorities = moved["apps"].setdefault("pki", {}).setdefault("certificate_authorities", {})
        authorities.setdefault("local", {})["install_trust"] = False
        # Sites find their server certificate in the cache, so that nothing is issued and nothing waited for.
        pair = {"certificate": f"{self.folder}/etc/ssl/app.pem", "key": f"{self.folder}/etc/ssl/app.key"}
        certificates = moved["apps"].setdefault("tls", {}).setdefault("certificates", {})
        certificates.setdefault("load_files", []).append(pair)
        return moved

    def _moved_port(self, listen: str) -> str:
        if listen.startswith("unix/"):
            return listen
        return f"127.0.0.1:{self.ports[int(listen.rpartition(':')[2])]}"

    def _moved_dial(self, dial: str) -> str:
        if "{" in dial:
            return dial
        if dial.startswith("unix"):
            return f"{dial[: dial.index('/')]}/{self.upstream.socket}"
        host, _, port = dial.rpartition(":")
        if not host.startswith("10."):
            return f"{host}:{self.upstream.port}"
        gated = host == "10.0.0.1" and port in ("80", "8000")
        return f"127.0.0.1:{self.upstream.port if gated else self.upstream.other_port}"

    def ask(self, request: Request) -> Reply:
        """Make one request on a connection of its own; status 0 when the handshake or the port refused it."""
        try:
            with self.connect(request) as connection:
                return talk(
                    connection,
                    request.host,
                    request.path,
                    request.headers,
                    protocol=request.protocol,
                    method=request.method,
                )
        except (ssl.SSLError, ConnectionError, FileNotFoundError):
            return Reply(0)

    def ask_patiently(self, request: Request, patience: float = 10.0) -> Reply:
        """Ask where an answer must come; servers that are being replaced drop a connection now and then."""
        deadline = time.monotonic() + patience
        while (reply := self.ask(request)).status == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        return reply

    @contextmanager
    def connect(self, request: Request) -> Iterator[socket.socket]:
        """Open the connection for a request."""
        kind = socket.AF_UNIX if request.socket else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as connection:
            connection.settimeout(20)
            if request.socket:
                connection.connect(f"{self.folder}{request.socket}")
            else:
                connection.connect(("127.0.0.1", self.ports[request.port]))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if request.plain:
                yield connection
                return
            context = self.context(request.who, request.protocol)
            name = request.host if request.sni == "" else request.sni
            with context.wrap_socket(connection, server_hostname=name) as secured:
                yield secured

    def context(self, who: str, protocol: str) -> ssl.SSLContext:
        """Return somebody's TLS context."""
        context = anonymous() if who == "nobody" else self.people[who].context()
        context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
        return context

    def admin(self, method: str, target: str, body: str = "", kind: str = "") -> tuple[int, str]:
        """Speak to the admin API on its socket, or where a configuration has moved it."""
        last: OSError = OSError("no admin API")
        for connection in (_UnixConnection(self.admin_socket), self.admin_on_tcp()):
            try:
                connection.request(method, target, body=body.encode(), headers={"Content-Type": kind})
                reply = connection.getresponse()
                return reply.status, reply.read().decode()
            except OSError as error:
                last = error
            finally:
                connection.close()
        raise last

    def admin_on_tcp(self) -> http.client.HTTPConnection:
        """Return a connection to the admin API on its TCP port, as any local user may make one."""
        return http.client.HTTPConnection("127.0.0.1", self.ports[2019], timeout=20)

    def start(self) -> None:
        """Run Caddy with nothing but an admin API."""
        self.stop()
        nothing = self.folder / "nothing.json"
        nothing.write_text(json.dumps({"admin": {"listen": f"unix/{self.admin_socket}"}}))
        with (self.folder / "caddy.log").open("ab") as log:
            self.process = subprocess.Popen(
                [CADDY, "run", "--config", nothing],
                stdout=log,
                stderr=log,
                cwd=self.folder / "srv" / "www",
                # The default address of the admin API, as if nobody had set another: but on a free port.
                env={
                    **{name: os.environ[name] for name in ("PATH",)},
                    "HOME": str(self.folder / "storage"),
                    "CADDY_ADMIN": f"localhost:{self.ports[2019]}",
                    "SSL_CERT_FILE": str(self.folder / "etc" / "ssl" / "partner.pem"),
                },
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                self.admin("GET", "/config/")
                return
            time.sleep(0.01)
        raise AssertionError((self.folder / "caddy.log").read_text())

    def stop(self) -> None:
        """End Caddy."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def can_be_told(self) -> bool:
        """Say whether an admin API answers anywhere."""
        try:
            return self.admin("GET", "/config/")[0] == 200
        except OSError:
            return False


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def _each_dial(value: Any, change: Any) -> None:
    if isinstance(value, dict):
        if "dial" in value:
            value["dial"] = change(value["dial"])
        for member in value.values():
            _each_dial(member, change)
    elif isinstance(value, list):
        for entry in value:
            _each_dial(entry, change)


@contextmanager
def made_bench() -> Iterator[Bench]:
    """Make the folder, the people and the tree, and start Caddy."""
    # Not under tmp_path: a unix socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        for name in ("authority", "run", "etc/ssl", "srv/www/public", "storage", "people"):
            (folder / name).mkdir(parents=True)
        authority, other = Authority(folder / "people"), Authority(folder / "people")
        shutil.copy(authority.pem, folder / "authority" / "ca.pem")
        shutil.copy(authority.pem, folder / "etc" / "ssl" / "own.pem")
        shutil.copy(other.pem, folder / "etc" / "ssl" / "partner.pem")
        server_pair(SERVED, folder / "etc" / "ssl" / "app.pem", folder / "etc" / "ssl" / "app.key")
        for path in ("index.html", "public/index.html", "old", "new"):
            (folder / "srv" / "www" / path).write_text(SECRET)
        people = {
            "stranger": other.client("alice"),
            "expired": authority.client("alice", days=(-20, -1)),
            "revoked": authority.client("bob"),
            "outsider": authority.client("carol"),
            "alice": authority.client("alice"),
        }
        leaves = b"".join(people[name].pem.read_bytes() for name in ("alice", "expired"))
        (folder / "etc" / "ssl" / "leaves.pem").write_bytes(leaves)
        _fill_tree(folder, people)
        _write_snippets(folder)
        with upstream_everywhere(folder / "run" / "upstream.sock") as upstream:
            bench = Bench(folder, people, upstream, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
            try:
                bench.start()
                yield bench
            finally:
                bench.stop()
    finally:
        shutil.rmtree(folder)


def _fill_tree(folder: Path, people: dict[str, Client]) -> None:
    entries = {
        "access/everyone": ("expired", "outsider", "alice"),
        "access/admins": ("expired", "alice"),
        "access/admirers": ("outsider",),
        # Beside the tree, as an operator's `..` would reach it.
        "secrets": ("revoked",),
    }
    for place, names in entries.items():
        (folder / place).mkdir(parents=True)
        for name in names:
            (folder / place / people[name].fingerprint).touch()


def _write_snippets(folder: Path) -> None:
    snippet = render(
        SnippetInput(
            folder / "authority" / "ca.pem", folder / "access", folder / "run" / "verdict.sock", "Carol"
        )
    )

    def without(first: str, last: str) -> str:
        return snippet.replace(snippet[snippet.index(first) : snippet.index(last)], "")

    faulty = {
        "": snippet,
        ".without-verdict": snippet[: snippet.index("http://pivgate.verdict")],
        ".without-connection": without("\t\t@pivgate_connection", "\t\t@pivgate_upgrade"),
        ".without-upgrade": without("\t\t@pivgate_upgrade", "\t\t@pivgate_unlisted"),
        ".without-connect": without("\t\t@pivgate_connect method", "\t\trequest_header `-"),
        ".without-deletions": without("\t\trequest_header `-", "\t\trequest_header X-Client-User"),
    }
    for name, text in faulty.items():
        (folder / f"pivgate.caddy{name}").write_text(text)
