# SPDX-License-Identifier: Apache-2.0
"""What a visitor meets before the gate asks for a key: the site's name, and its server certificate."""

import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from pivgate.doctor.finding import Trouble
from pivgate.doctor.gate_facts import GateFacts
from pivgate.doctor.patience import within
from pivgate.doctor.place import Place
from pivgate.doctor.sites_facts import Config, Host, SitesFacts
from pivgate.gate.addresses import Tcp
from pivgate.gate.status import Status

_SECONDS: Final = 1.5
_AT_ONCE: Final = 16
# A handshake costs both sides some milliseconds.
_MOST_HOSTS: Final = 64


@dataclass(frozen=True)
class ServedHost:
    """A site, met as a visitor without a key meets it.

    Attributes:
        host: Its name.
        resolves: Whether this machine finds an address for its name; None when no name server has answered.
        certificate: What it showed; None when it showed none, or nothing was asked.
        asked: Whether it was asked: the gate runs.
    """

    host: Host
    resolves: bool | None
    certificate: x509.Certificate | None
    asked: bool


@dataclass(frozen=True)
class ServedFacts:
    """The sites that were met.

    Attributes:
        hosts: Each of them.
        left_out: How many were not tried.
    """

    hosts: tuple[ServedHost, ...]
    left_out: int = 0


def gather_served(place: Place, sites: SitesFacts, gate: GateFacts) -> ServedFacts:  # noqa: ARG001
    """Look names up, and begin a handshake with each site if the gate runs."""
    if not isinstance(sites.config, Config):
        return ServedFacts(())
    named = [host for host in sites.config.hosts if "*" not in host.name and "{" not in host.name]
    runs = isinstance(gate.status, Status) and gate.status.pid is not None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        met = tuple(pool.map(lambda host: _meet(host, asked=runs), named[:_MOST_HOSTS]))
    return ServedFacts(met, max(0, len(named) - _MOST_HOSTS))


def _meet(host: Host, *, asked: bool) -> ServedHost:
    certificate = _certificate(host.name, host.listen) if asked else None
    return ServedHost(host, within(lambda: _resolves(host.name)), certificate, asked)


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return False


def _certificate(name: str, listen: Iterable[Tcp]) -> x509.Certificate | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for address in listen:
        near = address.near
        try:
            with (
                socket.create_connection((near.host, near.port), _SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=name) as secured,
            ):
                der = secured.getpeercert(binary_form=True)
        except OSError:
            continue
        if der:
            return x509.load_der_x509_certificate(der)
    return None


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the host names that a certificate is for, lower case."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in found.get_values_for_type(x509.DNSName))


def covers(certificate: x509.Certificate | Trouble, host: str) -> bool:
    """Say whether a certificate is for a host; an asterisk stands for one label (RFC 9525, section 6.3)."""
    if isinstance(certificate, Trouble):
        return False
    _, _, parent = host.partition(".")
    return not names_of(certificate).isdisjoint({host, f"*.{parent}"})
