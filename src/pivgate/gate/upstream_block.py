# SPDX-License-Identifier: Apache-2.0
"""How the Caddyfile says that an upstream is reached by mutual TLS, and the folder that this refers to.

Source: https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#the-http-transport
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.errors import InputError
from pivgate.files import read_file
from pivgate.gate.caddyfile_address import check_upstream, host_of, key_of
from pivgate.names import quoted
from pivgate.settings import Home

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# A name whose last label is all digits would be a mistyped IPv4 address.
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_RULE: Final = "Write the address at which it serves TLS, such as 10.0.0.5:8443 or app.internal:8443."


@dataclass(frozen=True)
class UpstreamFolder:
    """The files of one site's upstream; its path in the Caddyfile ties the two together."""

    path: Path

    @property
    def address(self) -> str:
        """The address of its site."""
        name = self.path.name
        return (f"*{name[1:]}" if name.startswith("+") else name).replace("+", ":")

    @property
    def authority(self) -> Path:
        """The certificate of the authority of this upstream alone, PEM."""
        return self.path / "ca.pem"

    @property
    def authority_key(self) -> Path:
        """Its key, PEM; not encrypted, as the gate's is not: they are used when nobody is there."""
        return self.path / "ca.key"

    @property
    def gate(self) -> Path:
        """The gate's client certificate and its key, in one file: they are replaced in one step, PEM."""
        return self.path / "gate.pem"

    @property
    def server(self) -> Path:
        """The upstream's server certificate and its key, in one file, PEM."""
        return self.path / "server.pem"

    @property
    def handed_out(self) -> Path:
        """The server certificate that was written out last for the upstream's machine, PEM."""
        return self.path / "handed-out.pem"

    @property
    def unsettled(self) -> Path:
        """There while the site is being added or removed: the Caddyfile tells which came of it."""
        return self.path / "unsettled"

    def is_in(self, caddyfile: str) -> bool:
        """Say whether a Caddyfile refers to it."""
        return f"{self.path}/" in caddyfile


def folder_of(home: Home, address: str) -> UpstreamFolder:
    """Return where a site's upstream has its files. An asterisk and a colon become plus signs."""
    return UpstreamFolder(home.upstreams / key_of(address).replace("*", "+").replace(":", "+"))


def folders(home: Home) -> list[UpstreamFolder]:
    """Return the folders there are, by name; those that begin with a dot are not finished."""
    return [UpstreamFolder(path) for path in sorted(home.upstreams.glob("[!.]*")) if path.is_dir()]


def gate_certificates(home: Home) -> list[Path]:
    """Return the client certificates that the Caddyfile has the gate show.

    Raises:
        StorageError: The Caddyfile cannot be read.
    """
    text = read_file(home.caddyfile).decode(errors="replace")
    return [found.gate for found in folders(home) if found.is_in(text) and found.gate.exists()]


def tls_upstream(upstream: str) -> tuple[str, str | ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return an upstream as it is dialled by TLS, such as ``https://10.0.0.5:8443``, and its host.

    Raises:
        InputError: It cannot be one.
    """
    check_upstream(upstream)
    scheme, _, bare = upstream.rpartition("://")
    host, _, port = bare.rpartition(":")
    if upstream.startswith("unix") or scheme not in ("", "https"):
        raise InputError(f"{quoted(upstream)} is not reached by TLS", _RULE)
    if not host or host.endswith(":") or not port.isdigit():
        raise InputError(f"{quoted(upstream)} does not name a host and a port", _RULE)
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if not _NAME.fullmatch(host):
            raise InputError(f"{quoted(host)} is neither a host name nor an IP address", _RULE) from None
        return f"https://{host.lower()}:{port}", host.lower()
    if address.is_unspecified:
        raise InputError(f"{quoted(host)} is no address of any machine", _RULE)
    return f"https://{bare}", address


def server_name(address: str, dialled: object) -> str:
    """Return the name by which the gate knows the server: the site's own, or as dialled for a wildcard."""
    host = host_of(address)
    return str(dialled) if host.startswith("*") else host


def transport(folder: UpstreamFolder, name: str) -> tuple[str, ...]:
    """Write what stands in the braces of ``reverse_proxy``, one line each.

    The server's name is the site's, not the address dialled: Caddy and nginx as upstreams compare it with the
    Host header, and no name at all is sent for an IP address (RFC 6066, section 3). The Host header is the
    client's, as it is without TLS.
    """
    return (
        "header_up Host {hostport}",
        "transport http {",
        f'\ttls_client_auth "{folder.gate}" "{folder.gate}"',
        f'\ttls_trust_pool file "{folder.authority}"',
        f"\ttls_server_name {name}",
        "}",
    )
