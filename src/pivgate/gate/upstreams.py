# SPDX-License-Identifier: Apache-2.0
"""Where the gated sites of a configuration send their requests. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.audit_match import hosts_of
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_opted import opted_in


def upstreams(config: dict[str, Any], authority_pem: Path, access: Path) -> list[str]:
    """List the upstreams of every gated host, as Caddy dials them; each once, in the configuration's order.

    Upstreams that Caddy looks up while it serves are listed by their source, such as ``srv:_app._tcp.test``.

    Args:
        config: What ``caddy adapt`` made of the Caddyfile.
        authority_pem: The authority's certificate, by which gated hosts are known.
        access: The access tree, likewise.

    Raises:
        GateError: It is not a configuration that Caddy could have made.
    """
    proxies = _proxies(config, authority_pem, access)
    return list(dict.fromkeys(dial for proxy in proxies for dial in _dials(proxy)))


@dataclass(frozen=True)
class Shown:
    """By what the gate and an upstream know each other.

    Attributes:
        server_name: The name that the gate asks for; empty for the one that it dials.
        certificate: The gate's client certificate, PEM.
        key: Its key, PEM.
    """

    server_name: str
    certificate: Path
    key: Path


def mutual_tls(config: dict[str, Any], authority_pem: Path, access: Path) -> dict[str, Shown]:
    """Return the upstreams to which the gate shows a certificate, as Caddy dials them.

    Args:
        config: What ``caddy adapt`` made of the Caddyfile.
        authority_pem: The authority's certificate, by which gated hosts are known.
        access: The access tree, likewise.

    Raises:
        GateError: It is not a configuration that Caddy could have made.
    """
    found: dict[str, Shown] = {}
    for proxy in _proxies(config, authority_pem, access):
        tls = proxy["transport"]["tls"]
        pair = [tls[name].text() for name in ("client_certificate_file", "client_certificate_key_file")]
        if all(pair):
            shown = Shown(tls["server_name"].text(), *map(Path, pair))
            found |= dict.fromkeys(_dials(proxy), shown)
    return found


def serving_ports(config: dict[str, Any]) -> frozenset[int]:
    """Return every TCP port on which a configuration serves others than this machine itself.

    Raises:
        GateError: It is not a configuration that Caddy could have made.
    """
    servers = Node(config)["apps"]["http"]["servers"].children()
    texts = [text for server in servers for text in server["listen"].texts()]
    endpoints = [endpoint for text in texts for endpoint in parse_listen(text)]
    return frozenset(each.port for each in endpoints if isinstance(each, Tcp) and not _is_loopback(each.host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _proxies(config: dict[str, Any], authority_pem: Path, access: Path) -> Iterator[Node]:
    """Yield every ``reverse_proxy`` of a gated host."""
    for server in Node(config)["apps"]["http"]["servers"].children():
        gated = set(opted_in(server, authority_pem, access).patterns)
        for route in server["routes"].items():
            if gated.intersection(hosts_of(route)):
                yield from _within(route, server["named_routes"], frozenset())


def _within(node: Node, named_routes: Node, followed: frozenset[str]) -> Iterator[Node]:
    if isinstance(node.value, dict):
        if node["handler"].value == "reverse_proxy":
            yield node
        elif node["handler"].value == "invoke" and (name := node["name"].text()) not in followed:
            yield from _within(named_routes[name], named_routes, followed | {name})
        for member in node.children():
            yield from _within(member, named_routes, followed)
    elif isinstance(node.value, list):
        for entry in node.items():
            yield from _within(entry, named_routes, followed)


def _dials(handler: Node) -> Iterator[str]:
    for upstream in handler["upstreams"].items():
        yield upstream["dial"].text()
    dynamic = handler["dynamic_upstreams"]
    if dynamic.value is not None:
        yield f"{dynamic['source'].text()}:{dynamic['name'].text()}"
