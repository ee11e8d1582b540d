# SPDX-License-Identifier: Apache-2.0
"""What the Caddyfile says: as Caddy understands it, as the audit judges it, with the certificates in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.errors import PivgateError
from pivgate.files import read_file
from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.audit_file import read_sources
from pivgate.gate.audit_lines import Source
from pivgate.gate.audit_match import hosts_of
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_opted import opted_in
from pivgate.gate.caddy import Caddy, adapt, find_caddy
from pivgate.gate.caddyfile import Site, check_opt_ins
from pivgate.gate.caddyfile import sites as opted_in_sites
from pivgate.gate.config_audit import AuditInput, Finding, examine
from pivgate.gate.joined import joined
from pivgate.gate.snippet import SnippetInput, render
from pivgate.gate.upstreams import upstreams
from pivgate.settings import Home, load_settings


@dataclass(frozen=True)
class CaddyFacts:
    """The Caddy that would run the gate, or why there is none."""

    caddy: Caddy | Trouble


@dataclass(frozen=True)
class Host:
    """A name that a server of Caddy's answers to.

    Attributes:
        name: As the configuration has it; may begin with ``*.``.
        gated: Whether it opted in.
        listen: Where it is served.
    """

    name: str
    gated: bool
    listen: tuple[Tcp, ...]


@dataclass(frozen=True)
class OwnCertificate:
    """A server certificate that the Caddyfile names.

    Attributes:
        path: Its file.
        certificate: It; or why it, or its key, cannot be used.
    """

    path: Path
    certificate: x509.Certificate | Trouble


@dataclass(frozen=True)
class Config:
    """A Caddyfile as Caddy understands it.

    Attributes:
        json: Caddy's JSON.
        holes: What the audit found.
        hosts: Every name that is served with TLS.
        listen: Every TCP address that Caddy would listen on.
        dials: Upstreams of the gated sites, as Caddy dials them.
        certificates: Server certificates in files.
    """

    json: dict[str, Any]
    holes: tuple[Finding, ...]
    hosts: tuple[Host, ...]
    listen: tuple[Tcp, ...]
    dials: tuple[str, ...]
    certificates: tuple[OwnCertificate, ...]


@dataclass(frozen=True)
class SitesFacts:
    """The Caddyfile.

    Attributes:
        caddyfile: Its path.
        there: Whether there is one.
        snippet: The path of our snippet.
        written: Whether there is one.
        current: Whether it is the one that this pivgate writes; None when that cannot be told.
        sites: The sites that opted in; empty where the text cannot be read.
        config: What Caddy makes of it, or why nothing; None where it cannot be asked.
    """

    caddyfile: Path
    there: bool
    snippet: Path
    written: bool
    current: bool | None
    sites: tuple[Site, ...]
    config: Config | Trouble | None


def gather_caddy(place: Place) -> CaddyFacts:
    """Look for Caddy."""
    try:
        return CaddyFacts(find_caddy(place.environment))
    except PivgateError as error:
        return CaddyFacts(Trouble.of(error))


def gather_sites(place: Place, caddy: CaddyFacts) -> SitesFacts:
    """Have Caddy read the Caddyfile; nothing is written and nothing loaded."""
    home = place.home
    there, written = home.caddyfile.exists(), home.snippet.exists()
    sites: tuple[Site, ...] = ()
    config: Config | Trouble | None = None
    if there:
        try:
            sources = read_sources(home.caddyfile)
            sites = tuple(opted_in_sites(sources[0].text))
            check_opt_ins(sources[0].text)
            if written and isinstance(caddy.caddy, Caddy):
                config = _config(home, caddy.caddy, sources, frozenset(site.address for site in sites))
        except PivgateError as error:
            config = Trouble.of(error)
    return SitesFacts(home.caddyfile, there, home.snippet, written, _is_current(home), sites, config)


def _is_current(home: Home) -> bool | None:
    try:
        contact = load_settings(home).contact
        wanted = render(SnippetInput(home.authority_certificate, home.access, home.verdict_socket, contact))
        return read_file(home.snippet) == wanted.encode()
    except PivgateError:
        return None


def _config(home: Home, caddy: Caddy, sources: tuple[Source, ...], addresses: frozenset[str]) -> Config:
    # As `gate.apply.prepare` does, which writes the snippet first.
    config = joined(adapt(caddy, home, home.caddyfile).config)
    expected = AuditInput(
        home.authority_certificate, home.access, home.admin_socket, home.verdict_socket, addresses, sources
    )
    servers = Node(config)["apps"]["http"]["servers"].children()
    hosts = tuple(host for server in servers for host in _hosts(server, home))
    return Config(
        json=config,
        holes=examine(config, expected).findings,
        hosts=hosts,
        listen=tuple(dict.fromkeys(address for server in servers for address in _listen(server))),
        dials=tuple(upstreams(config, home.authority_certificate, home.access)),
        certificates=tuple(_certificates(Node(config))),
    )


def _hosts(server: Node, home: Home) -> list[Host]:
    if not server["tls_connection_policies"].items():
        return []
    gated = set(opted_in(server, home.authority_certificate, home.access).patterns)
    names = dict.fromkeys(name for route in server["routes"].items() for name in hosts_of(route))
    return [Host(name, name in gated, _listen(server)) for name in names]


def _listen(server: Node) -> tuple[Tcp, ...]:
    endpoints = [end for text in server["listen"].texts() for end in parse_listen(text)]
    return tuple(end for end in endpoints if isinstance(end, Tcp))


def _certificates(config: Node) -> list[OwnCertificate]:
    files = config["apps"]["tls"]["certificates"]["load_files"].items()
    return [_certificate(Path(each["certificate"].text()), Path(each["key"].text())) for each in files]


def _certificate(path: Path, key: Path) -> OwnCertificate:
    from ssl import PROTOCOL_TLS_SERVER, SSLContext, SSLError

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        SSLContext(PROTOCOL_TLS_SERVER).load_cert_chain(path, key, password="")
    except SSLError as error:
        return OwnCertificate(
            path,
            Trouble(
                f"certificate and key {key} do not belong together, or the key needs a passphrase: {error}",
                "",
                "",
            ),
        )
    except OSError as error:
        missing = error.filename or key
        return OwnCertificate(path, Trouble(f"{missing} cannot be read: {error.strerror}", "", ""))
    except ValueError as error:
        return OwnCertificate(path, Trouble(f"it is no certificate: {error}", "", ""))
    return OwnCertificate(path, certificate)
