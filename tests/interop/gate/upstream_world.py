# SPDX-License-Identifier: Apache-2.0
"""A home, a gate, holders, and upstreams configured as the guide says: nginx, Caddy and uvicorn."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.interop.gate.pki import Client
from tests.interop.gate.standing_gate import CADDY, Reply, StandingGate
from tests.ports import free_ports

from pivgate.authority.issue import Authority, build, random_serial_number
from pivgate.authority.names import common_name
from pivgate.authority.profiles import CLIENT, Contents, Profile
from pivgate.cli.commands import pivgate
from pivgate.enrolment.authority import unlock
from pivgate.gate import process
from pivgate.registry.states import RevocationReason
from pivgate.registry.store import Registry
from pivgate.settings import Home

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "upstream-mtls.md"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
DAY = timedelta(days=1)

APP = '''
"""Says what it was told, and keeps a line of every request that reached it."""
import json
import os

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(scope["path"] + "\\n")
    headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
    body = json.dumps({"headers": headers}).encode()
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})
'''

NGINX_FRAME = """
daemon off; user root; pid {folder}/nginx.pid; worker_processes 1; error_log {folder}/nginx.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
{servers}
}}
"""


def guided(language: str, mark: str) -> str:
    """Return the one example of the guide in a language that has a mark in it."""
    found = re.findall(rf"(?ms)^```{language}\n(.*?)^```", GUIDE.read_text())
    (block,) = [each for each in found if mark in each]
    return str(block)


class World:
    """All of it, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.port, self.http_port = free_ports(2)
        self.seen = folder / "seen"
        self.seen.touch()
        self.sockets = folder / "run"
        self.sockets.mkdir(mode=0o700)
        self._processes: list[subprocess.Popen[bytes]] = []

    # --- pivgate -----------------------------------------------------------------------------------

    def run(self, *arguments: str | Path) -> str:
        """Run a command, which must succeed; return what it printed."""
        done = self.try_to(*arguments)
        assert done.exit_code == 0, done.output
        return done.output

    def try_to(self, *arguments: str | Path) -> Result:
        """Run a command."""
        words = ["--home", str(self.home.root), *map(str, arguments)]
        return CliRunner().invoke(pivgate, words, catch_exceptions=False)

    def begin(self) -> None:
        """Make the home and start the gate."""
        ports = ("--https-port", str(self.port), "--http-port", str(self.http_port))
        self.run("init", "--no-passphrase", "--listen", "127.0.0.1", *ports)
        self.run("up")

    def authority(self) -> Authority:
        """Return the holders' authority."""
        return unlock(self.home, lambda: "", datetime.now(UTC))

    def registry(self) -> Registry:
        """Open the registry."""
        return Registry.open(self.home.registry, self.home.audit_head)

    def holder(self, name: str, serial: int) -> Client:
        """Return somebody whose certificate is in force."""
        made = self.signed(self.authority(), CLIENT, name)
        der, now = made.certificate.public_bytes(Encoding.DER), datetime.now(UTC)
        with self.registry() as registry:
            registry.add_user(name, display_name=name, email=None, actor="test", now=now)
            registry.register_key(
                serial, model="m", firmware="5.7.4", form_factor="f", user=name, actor="test", now=now
            )
            recorded = registry.record_certificate(der, serial, "client", actor="test", now=now)
            registry.activate_certificate(recorded.fingerprint, actor="test", now=now)
        return made

    def revoke(self, holder: Client) -> None:
        """Revoke a certificate in the registry; the next ``up`` takes it out of the tree."""
        with self.registry() as registry:
            reason = RevocationReason.KEY_COMPROMISE
            registry.revoke_certificate(holder.fingerprint, reason, actor="test", now=datetime.now(UTC))

    def signed(
        self,
        authority: Authority,
        profile: Profile,
        name: str,
        days: tuple[float, float] = (-1, 30),
        hosts: tuple[x509.DNSName | x509.IPAddress, ...] = (),
    ) -> Client:
        """Sign a certificate of any kind and any time, and write it with its key into one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC).replace(microsecond=0)
        builder = build(
            profile,
            Contents(key.public_key(), authority.key_identifier, hosts=hosts),
            subject=common_name(name),
            issuer=authority.name,
            serial_number=random_serial_number(os.urandom),
            validity=(now + days[0] * DAY, now + days[1] * DAY),
        )
        certificate = authority.signer.sign_certificate(builder)
        path = self.folder / f"{certificate.fingerprint(hashes.SHA256()).hex()}.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
        return Client(certificate, path, path)

    def at_gate(self, client: ssl.SSLContext, site: str, path: str = "/") -> Reply:
        """Ask the gate; the first requests for a new site may come before its certificate."""
        return self._ask(self.port, client, site, path)

    def at_upstream(
        self, port: int, client: ssl.SSLContext, site: str, *, sni: str | None = "", path: str = "/around"
    ) -> Reply:
        """Ask an upstream directly."""
        return self._ask(port, client, site, path, sni)

    def _ask(self, port: int, client: ssl.SSLContext, site: str, path: str, sni: str | None = "") -> Reply:
        gate = StandingGate(self.folder, self.home.authority_certificate, port=port)
        return gate.ask(client, site, path=path, sni=sni)

    def reached(self, path: str) -> int:
        """Return how many requests for a path the application saw."""
        return self.seen.read_text().split().count(path)

    # --- Upstreams ---------------------------------------------------------------------------------

    def files(self, site: str) -> Path:
        """Write out what a site's upstream needs; return where."""
        folder = self.folder / f"for-{site}"
        self.run("site", "upstream-files", site, folder)
        return folder

    def filled(self, text: str, site: str, port: int) -> str:
        """Put a site, a port and this world's folders into an example of the guide."""
        replacements: Mapping[str, str] = {
            "mysite.com": site,
            "10.0.0.5": "127.0.0.1",
            "8443": str(port),
            "/etc/pivgate-upstream": str(self.folder / f"for-{site}"),
            "/run/mysite": str(self.sockets),
        }
        for old, new in replacements.items():
            text = text.replace(old, new)
        return text

    def start(self, *arguments: str | Path, ready: int | Path) -> None:
        """Start a program and wait until it listens on a port or socket."""
        (self.folder / "app.py").write_text(APP)
        log = (self.folder / f"program-{len(self._processes)}.log").open("wb")
        with log:
            program = subprocess.Popen(
                [str(each) for each in arguments],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "SEEN": str(self.seen)},
            )
        self._processes.append(program)
        deadline = time.monotonic() + 60
        while not _listens(ready):
            assert program.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline, Path(log.name).read_text()
            time.sleep(0.02)

    def start_uvicorn(self, example: str, ready: int | Path) -> None:
        """Start uvicorn by a command line of the guide."""
        words = example.replace("\\\n", " ").split()
        assert words[0] == "uvicorn"
        self.start(sys.executable, "-m", *words, ready=ready)

    def start_nginx(self, servers: str, ready: int) -> None:
        """Start nginx with servers of the guide."""
        path = self.folder / "nginx.conf"
        path.write_text(NGINX_FRAME.format(folder=self.folder, servers=servers))
        self.start(NGINX, "-p", self.folder, "-e", self.folder / "nginx.log", "-c", path, ready=ready)

    def start_caddy(self, site: str, ready: int) -> None:
        """Start a Caddy of the upstream's, with a site of the guide."""
        path = self.folder / "Caddyfile.upstream"
        path.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
        self.start(CADDY, "run", "--adapter", "caddyfile", "--config", path, ready=ready)

    def close(self) -> None:
        """End everything."""
        for program in self._processes:
            program.terminate()
        for program in self._processes:
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        if self.home.settings.exists():
            process.stop(self.home, grace=1.0)


def _listens(place: int | Path) -> bool:
    family = socket.AF_INET if isinstance(place, int) else socket.AF_UNIX
    with socket.socket(family) as connection:
        return connection.connect_ex(("127.0.0.1", place) if isinstance(place, int) else str(place)) == 0


@contextmanager
def made_world() -> Iterator[World]:
    """Make it, and end it afterwards."""
    # Not under pytest's tmp_path: a unix socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    world = World(folder)
    try:
        world.begin()
        yield world
    finally:
        world.close()
        shutil.rmtree(folder)


class Impostor:
    """A TLS server at an upstream's port that keeps what it was sent, and whose certificate it was shown."""

    def __init__(
        self,
        port: int,
        server: Path | None,
        trusted: Path,
        demands: ssl.VerifyMode = ssl.CERT_OPTIONAL,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self.requests: list[str] = []
        self.shown: list[str] = []
        self._listener = socket.create_server((host, port))
        self._context = None
        if server is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(server)
            self._context.load_verify_locations(trusted)
            self._context.verify_mode = demands
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Impostor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(10)
            try:
                self._answer(self._context.wrap_socket(plain, server_side=True) if self._context else plain)
            except OSError:
                continue
            finally:
                plain.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            received = connection.recv(65536)
            # Without TLS of its own, a server is sent a handshake, which is no request.
            if b" HTTP/1." in received:
                self.requests.append(received.decode(errors="replace").split("\r\n")[0])
            if isinstance(connection, ssl.SSLSocket) and (der := connection.getpeercert(binary_form=True)):
                shown = x509.load_der_x509_certificate(der)
                self.shown.append(shown.fingerprint(hashes.SHA256()).hex())
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfake")
