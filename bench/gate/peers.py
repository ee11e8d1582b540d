# SPDX-License-Identifier: Apache-2.0
"""What else turns people away by their certificate: Caddy alone, Caddy that asks, nginx, HAProxy.

nginx and HAProxy are configured for speed as their manuals have it: one worker or thread a core, connections
to the upstream kept open, no logs. Both say who is calling, as far as one variable tells them. No session is
resumed anywhere, so that each new connection is checked anew.
"""

import datetime
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.place import Place, free_port, now
from bench.sites import SITE, await_port, caddy, mutual_tls

_END_PATIENCE = 60.0

# The way of forward_auth; what is asked looks the certificate up as the gate does.
_ASK = """forward_auth 127.0.0.1:{authenticator} {{
		uri /auth
		header_up X-Fingerprint {{http.request.tls.client.fingerprint}}
	}}"""
_AUTHENTICATOR = """\
{{
	admin off
	default_bind 127.0.0.1
}}
http://:{port} {{
	@in_force file {{
		root "{tree}"
		try_files /{{http.request.header.X-Fingerprint}}
	}}
	respond @in_force 200
	respond 403
}}
"""

_NGINX = """\
daemon off;
worker_processes {cores};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
	access_log off;
	keepalive_requests 1000000;
	client_body_temp_path {folder}/body;
	proxy_temp_path {folder}/proxy;
	fastcgi_temp_path {folder}/fastcgi;
	uwsgi_temp_path {folder}/uwsgi;
	scgi_temp_path {folder}/scgi;
	upstream behind {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
	map $http_upgrade $onward {{ default upgrade; "" ""; }}
	server {{
		listen 127.0.0.1:{port} ssl;
		ssl_certificate {folder}/server.pem;
		ssl_certificate_key {folder}/server.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_session_cache off;
		ssl_session_tickets off;
		ssl_client_certificate {authority};
		ssl_verify_client on;
		ssl_crl {folder}/crl.pem;
		proxy_buffering off;
		proxy_http_version 1.1;
		proxy_set_header Host $http_host;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $onward;
		proxy_set_header X-Client-Subject $ssl_client_s_dn;
		location / {{ proxy_pass http://behind; }}
	}}
}}
"""

_HAPROXY = """\
global
	nbthread {cores}
	maxconn 2000
	tune.ssl.cachesize 0
defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
	timeout tunnel 60s
	http-reuse always
frontend gate
	bind 127.0.0.1:{port} ssl crt {folder}/server.pem ca-file {authority} verify required crl-file {folder}/crl.pem no-tls-tickets
	http-request set-header X-Client-Subject %[ssl_c_s_dn]
	default_backend behind
backend behind
	server one 127.0.0.1:{upstream}
"""  # noqa: E501


@dataclass(frozen=True)
class Peer:
    """One of them, running.

    Attributes:
        port: Where it listens.
        pids: Of its processes; those that they started count with them.
    """

    port: int
    pids: tuple[int, ...]


@contextmanager
def plain(there: Place, upstream: int) -> Iterator[Peer]:
    """Run a Caddy that demands a certificate of the authority, and nothing else."""
    port = free_port()
    with caddy(mutual_tls(there, upstream, port), port) as pid:
        yield Peer(port, (pid,))


@contextmanager
def asking(there: Place, upstream: int, tree: Path) -> Iterator[Peer]:
    """Run a Caddy that puts each request to another Caddy first, which looks into a folder."""
    port, authenticator = free_port(), free_port()
    ask = _ASK.format(authenticator=authenticator)
    with (
        caddy(_AUTHENTICATOR.format(port=authenticator, tree=tree), authenticator) as asked,
        caddy(mutual_tls(there, upstream, port, ask=ask), port) as pid,
    ):
        yield Peer(port, (pid, asked))


class WithList:
    """A server that reads a revocation list when it starts, and again when it is told to reload.

    Attributes:
        port: Where it listens.
        pid: Its first process.
    """

    def __init__(self, folder: Path, port: int, pid: int, reload: signal.Signals) -> None:
        self.port = port
        self.pid = pid
        self._folder = folder
        self._reload = reload

    def read(self, crl: bytes) -> None:
        """Give it another list, and have it reload."""
        fresh = self._folder / "crl.new"
        fresh.write_bytes(crl)
        fresh.replace(self._folder / "crl.pem")
        os.kill(self.pid, self._reload)

    @property
    def peer(self) -> Peer:
        """What it costs, and where it listens."""
        return Peer(self.port, (self.pid,))


@contextmanager
def nginx(there: Place, upstream: int, crl: bytes) -> Iterator[WithList]:
    """Run nginx with ``ssl_verify_client`` and ``ssl_crl``."""
    with _server(there, upstream, crl, "nginx", _NGINX, signal.SIGHUP, ["nginx", "-c"]) as found:
        yield found


@contextmanager
def haproxy(there: Place, upstream: int, crl: bytes) -> Iterator[WithList]:
    """Run HAProxy with ``crl-file``, master and worker."""
    command = ["haproxy", "-W", "-db", "-q", "-f"]
    with _server(there, upstream, crl, "haproxy", _HAPROXY, signal.SIGUSR2, command) as found:
        yield found


@contextmanager
def _server(
    there: Place,
    upstream: int,
    crl: bytes,
    name: str,
    configuration: str,
    reload: signal.Signals,
    command: list[str],
) -> Iterator[WithList]:
    folder = there.root / name
    folder.mkdir(exist_ok=True)
    port = free_port()
    (folder / "server.pem").write_bytes(_server_certificate())
    (folder / "crl.pem").write_bytes(crl)
    file = folder / "configuration"
    written = configuration.format(
        folder=folder,
        port=port,
        cores=os.cpu_count(),
        authority=there.home.authority_certificate,
        upstream=upstream,
    )
    file.write_text(written)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        await_port(port, process)
        yield WithList(folder, port, process.pid, reload)
    finally:
        process.terminate()
        process.wait(_END_PATIENCE)


def _server_certificate() -> bytes:
    """Make what Caddy makes for itself: a P-256 key, and a certificate for the site."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SITE)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - datetime.timedelta(days=1))
        .not_valid_after(now() + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SITE)]), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    key = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + key
