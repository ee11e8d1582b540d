# SPDX-License-Identifier: Apache-2.0
"""Every way of getting in that is tried on a site before its configuration counts as applied. Pure.

The static audit reads the configuration; these attempts ask the running Caddy. They knock at each address on
which a gated host is answered, by its own server or by any other that names the same host.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pivgate.gate.addresses import Endpoint, Tcp, parse_listen
from pivgate.gate.sites import GatedSite

# RFC 6761: no such name can exist, so no site is called that.
UNKNOWN_NAME = "pivgate-probe.invalid"


class Way(Enum):
    """One way of trying to get in, as it is shown."""

    NO_CERTIFICATE = "no certificate"
    FOREIGN = "a foreign authority's certificate"
    EXPIRED = "an expired certificate"
    REVOKED = "a revoked certificate"
    REVOKED_H2 = "a revoked certificate, HTTP/2"
    OTHER_NAME = "a handshake for another site behind the gate"
    OPEN_NAME = "a handshake for a site without a gate"
    UNKNOWN_NAME = "a handshake for an unknown name"
    NO_NAME = "a handshake for no name"
    PLAIN = "no encryption"

    @property
    def certificate(self) -> str | None:
        """Name of the certificate that is shown, if any."""
        return _CERTIFICATES.get(self)

    @property
    def protocols(self) -> tuple[str, ...]:
        """What is offered by ALPN (RFC 7301), the preferred first."""
        return ("http/1.1",) if self in (Way.REVOKED, Way.PLAIN) else ("h2", "http/1.1")

    @property
    def certainly_nameless(self) -> bool:
        """Whether the server cannot have a certificate for the name that is asked for."""
        return self in (Way.UNKNOWN_NAME, Way.NO_NAME)


# A handshake for another gated site must succeed, or its refusal would prove nothing about names.
_CERTIFICATES = {
    Way.FOREIGN: "foreign",
    Way.EXPIRED: "expired",
    Way.REVOKED: "revoked",
    Way.REVOKED_H2: "revoked",
    Way.OTHER_NAME: "revoked",
}


@dataclass(frozen=True)
class Attempt:
    """One try.

    Attributes:
        site: The site that must not open, as it is shown: host and port.
        way: How it is tried.
        endpoint: Where to connect.
        host: Name in the request; also in the handshake, unless ``server_name`` differs.
        server_name: Name in the handshake (SNI, RFC 6066, section 3); None for none.
        port: Port in the request's Host header.
    """

    site: str
    way: Way
    endpoint: Endpoint
    host: str
    server_name: str | None
    port: int

    @property
    def shown(self) -> str:
        """What is tried, for people."""
        own = isinstance(self.endpoint, Tcp) and self.endpoint.port == self.port
        return self.way.value if own else f"{self.way.value}, at {self.endpoint}"


def plan(config: Mapping[str, Any], sites: Iterable[GatedSite]) -> tuple[Attempt, ...]:
    """List every attempt for these sites in this configuration.

    Raises:
        GateError: A server listens where pivgate cannot connect, so nothing about it can be proved.
    """
    gated = list(sites)
    gated_hosts = frozenset(site.host for site in gated)
    servers = _servers(config)
    return tuple(
        attempt
        for site in gated
        for attempt in _attempts(site, [one for one in gated if one.host == site.host], gated_hosts, servers)
    )


_AT_HOME = (Way.NO_CERTIFICATE, Way.FOREIGN, Way.EXPIRED, Way.REVOKED, Way.REVOKED_H2, Way.PLAIN)
_ELSEWHERE = (Way.NO_CERTIFICATE, Way.FOREIGN, Way.EXPIRED, Way.REVOKED, Way.PLAIN)


@dataclass(frozen=True)
class _Server:
    """Where a server listens, and the hosts its routes name, in order.

    Routes for any host are the static audit's business.
    """

    endpoints: frozenset[Endpoint]
    hosts: tuple[str, ...]

    def names(self, host: str) -> bool:
        return any(_covers(pattern, host) for pattern in self.hosts)


def _attempts(
    site: GatedSite, same_host: list[GatedSite], gated_hosts: frozenset[str], servers: list[_Server]
) -> Iterator[Attempt]:
    own = _own(site)
    names: dict[Way, str | None] = {
        **dict.fromkeys(_AT_HOME, site.host),
        Way.UNKNOWN_NAME: UNKNOWN_NAME,
        Way.NO_NAME: None,
        **_other_names(site, own, gated_hosts, servers),
    }
    for endpoint in sorted(own, key=str):
        yield from _knock(site, endpoint, names)
    at_home = {endpoint for one in same_host for endpoint in _own(one)}
    elsewhere = {
        endpoint
        for server in servers
        if not server.endpoints <= at_home and server.names(site.host)
        for endpoint in server.endpoints - at_home
    }
    for endpoint in sorted(elsewhere, key=str):
        yield from _knock(site, endpoint, dict.fromkeys(_ELSEWHERE, site.host))


def _own(site: GatedSite) -> frozenset[Endpoint]:
    """Return where a site is served; the server it is on may have other ports, each of them another site."""
    found = frozenset(endpoint for listen in site.listen for endpoint in parse_listen(listen))
    return frozenset(end for end in found if not isinstance(end, Tcp) or end.port == site.port)


def _knock(site: GatedSite, endpoint: Endpoint, names: Mapping[Way, str | None]) -> Iterator[Attempt]:
    host = example(site.host)
    for way, name in names.items():
        server_name = None if name is None else example(name)
        yield Attempt(f"{site.host}:{site.port}", way, endpoint.near, host, server_name, site.port)


def _other_names(
    site: GatedSite, own: frozenset[Endpoint], gated_hosts: frozenset[str], servers: list[_Server]
) -> dict[Way, str]:
    """Choose names of handshakes that are not meant for this site, one behind the gate and one without."""
    names: dict[Way, str] = {}
    for server in servers:
        if server.endpoints.isdisjoint(own):
            continue
        for host in server.hosts:
            if example(host) == example(site.host):
                continue
            names.setdefault(Way.OTHER_NAME if host in gated_hosts else Way.OPEN_NAME, host)
            if len(names) == 2:
                return names
    return names


def example(host: str) -> str:
    """Return a name that a host pattern covers: itself, or a made-up one in place of the asterisk."""
    return host.replace("*", "pivgate-probe")


def _covers(pattern: str, host: str) -> bool:
    """Say whether Caddy's host matcher takes one for the other: each asterisk stands for one label."""
    pattern, host = pattern.lower(), example(host).lower()
    if "*" not in pattern:
        return pattern == host
    pattern_labels, labels = pattern.split("."), host.split(".")
    return len(pattern_labels) == len(labels) and all(
        one in ("*", other) for one, other in zip(pattern_labels, labels, strict=True)
    )


def _servers(config: Mapping[str, Any]) -> list[_Server]:
    http = (config.get("apps") or {}).get("http") or {}
    return [
        _Server(
            frozenset(end for text in server.get("listen") or [] for end in parse_listen(text)),
            tuple(sorted(_hosts(server))),
        )
        for server in (http.get("servers") or {}).values()
    ]


def _hosts(server: Mapping[str, Any]) -> set[str]:
    return {
        host
        for route in server.get("routes") or []
        for matcher in route.get("match") or []
        for host in matcher.get("host") or []
    }
