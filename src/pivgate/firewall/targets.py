# SPDX-License-Identifier: Apache-2.0
"""What a rule may speak of: addresses, ports and upstreams, read from text into types of their own. Pure.

Only these values reach the text of a rule: nothing that anybody typed does.
"""

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from pivgate.errors import InputError
from pivgate.names import quoted

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HIGHEST_PORT: Final = 65535
_SSH: Final = 22
# RFC 4291, section 2.5.5.2: the last 32 bits of such an address are one of IPv4.
_MAPPED: Final = 96
_DEFAULT_PORTS: Final = {"http": 80, "h2c": 80, "https": 443}

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NAME_LIMIT: Final = 253
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_UPSTREAM = re.compile(
    r"(?:(?P<scheme>https?|h2c)://|tcp[46]?/)?"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_UNIX = re.compile(r"unix(?:\+h2c)?/(?P<path>[^|\x00]+)(?:\|0?[0-7]{3})?")

_GATE_RULE: Final = (
    "Write the address from which the gate calls the upstream, such as 10.0.0.1, fd00::1 or a network such "
    "as 172.18.0.0/16; 127.0.0.1 for a gate on this machine."
)
_PORT_RULE: Final = "Write a port from 1 to 65535, or a range such as 8000-8003."
_UPSTREAM_RULE: Final = "Write it as in the Caddyfile: 10.0.0.1:8000, [fd00::1]:8000 or app.internal:8000."


@dataclass(frozen=True, order=True)
class Ports:
    """A port, or several in a row.

    Attributes:
        low: The first.
        high: The last; the same for one port.
    """

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    def __contains__(self, port: int) -> bool:
        return self.low <= port <= self.high


@dataclass(frozen=True)
class Upstream:
    """Where a site's requests are sent, as a TCP address.

    Attributes:
        host: A name or an IP address; ``localhost`` when none was written.
        port: TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The address, when no name has to be looked up."""
        try:
            return plain(ipaddress.ip_address(self.host))
        except ValueError:
            return None


@dataclass(frozen=True)
class Socket:
    """A unix socket as upstream: nothing of it can be reached over a network."""

    path: str

    def __str__(self) -> str:
        return f"unix/{self.path}"


def plain(address: Address) -> Address:
    """Return an IPv4 address that was written as IPv6 (RFC 4291, section 2.5.5.2) as what is on the wire."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def parse_gate(text: str) -> Network:
    """Read an address, or a network, from which a gate calls its upstreams.

    Raises:
        InputError: It is none, or one that no single gate can have: everybody's, a group's, an interface's.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise InputError(
            f"{quoted(text)} cannot be the address of a gate: {_reason(text)}", _GATE_RULE
        ) from error
    if isinstance(network, IPv6Network):
        if network.network_address.scope_id is not None:
            raise InputError(
                f"{quoted(text)} names an interface, which a rule on another machine cannot know", _GATE_RULE
            )
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= _MAPPED:
            network = IPv4Network((mapped, network.prefixlen - _MAPPED))
    first = network.network_address
    if network.prefixlen == 0 or first.is_unspecified:
        raise InputError(f"{quoted(text)} would let everybody in", _GATE_RULE)
    if first.is_multicast or first == IPv4Address("255.255.255.255"):
        raise InputError(f"{quoted(text)} is nobody's own address", _GATE_RULE)
    return network


def _reason(text: str) -> str:
    if re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+", text):
        return "its host part is not zero, or its prefix too long"
    return "it is no IP address"


def parse_ports(text: str) -> Ports:
    """Read a port or a range of ports.

    Raises:
        InputError: It is none, or holds port 22, by which machines are looked after.
    """
    match = _PORTS.fullmatch(text) if text.isascii() else None
    low = int(match[1]) if match else 0
    high = int(match[2] or match[1]) if match else 0
    if not 0 < low <= high <= _HIGHEST_PORT:
        raise InputError(f"{quoted(text)} is not a port", _PORT_RULE)
    ports = Ports(low, high)
    if _SSH in ports:
        raise InputError(
            f"{quoted(text)} holds port {_SSH}: closing it would lock out whoever looks after this machine",
            "Name only the ports of upstreams.",
        )
    return ports


def parse_upstream(text: str) -> Upstream | Socket:
    """Read an upstream as Caddy and its Caddyfile write it.

    Source: https://caddyserver.com/docs/conventions#network-addresses

    Raises:
        InputError: It is none, has no port, or a placeholder of which only Caddy knows the value.
    """
    if match := _UNIX.fullmatch(text):
        return Socket(match["path"])
    match = _UPSTREAM.fullmatch(text) if text.isascii() else None
    if match is None:
        raise InputError(f"{quoted(text)} is not the address of an upstream", _UPSTREAM_RULE)
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS.get(match["scheme"] or "", 0)
    if not 0 < port <= _HIGHEST_PORT:
        raise InputError(f"{quoted(text)} does not name a port from 1 to {_HIGHEST_PORT}", _UPSTREAM_RULE)
    host = match["six"] or match["host"] or "localhost"
    if (match["six"] or _like_ipv4(host)) and not _is_address(host):
        raise InputError(f"{quoted(text)} has no valid IP address", _UPSTREAM_RULE)
    if not match["six"] and (len(host) > _NAME_LIMIT or not _NAME.fullmatch(host)):
        raise InputError(f"{quoted(text)} has no valid host name", _UPSTREAM_RULE)
    return Upstream(host.lower(), port)


def _like_ipv4(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+", host) is not None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
