# SPDX-License-Identifier: Apache-2.0
"""Whether a site without a gate leads to an upstream that stands behind one.

There is no way to say that this is on purpose: an upstream that answers gated and open requests on one
address cannot tell whose ``X-Client-User`` it may believe.
"""

import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pivgate.errors import GateError
from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_match import hosts_of
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_opted import first_content

_NETWORK = re.compile(r"(?P<network>[a-z0-9+]+)/(?P<address>.*)")
_LOOPBACK = "this machine"


@dataclass(frozen=True)
class Destination:
    """Where a ``reverse_proxy`` sends requests.

    Attributes:
        key: What all spellings of one destination have in common.
        dial: As the configuration spells it.
        where: JSON path of the handler.
        question: Whether it is only asked whether to go on, as ``forward_auth`` does.
    """

    key: str
    dial: str
    where: str
    question: bool


def upstream_findings(servers: Sequence[tuple[Node, Callable[[Node], bool]]]) -> list[Finding]:
    """Find ways to gated upstreams that lead past the gate.

    Args:
        servers: Each server, with what says of one of its routes that it serves gated hosts alone.
    """
    gated: dict[str, str] = {}
    opened: list[tuple[Destination, str]] = []
    for server, is_gated in servers:
        # Routes of a site without a name stand side by side; with one, they are within the site's own.
        nameless = _roots([route.value for route in server["routes"].items() if not hosts_of(route)])
        for route in server["routes"].items():
            hosts = hosts_of(route)
            found = list(destinations(route, server["named_routes"], nameless))
            if is_gated(route):
                gated |= {each.key: ", ".join(hosts) for each in found if not each.question}
            else:
                name = ", ".join(hosts) or f"the site on {', '.join(server['listen'].texts())}"
                opened += [(each, name) for each in found]
        # Errors of gated hosts are judged by what answers them, whoever it is.
        for route in server["errors"]["routes"].items():
            if not is_gated(route):
                opened += [
                    (each, ", ".join(hosts_of(route)) or "every site")
                    for each in destinations(route, server["named_routes"])
                ]
    leading = [_finding(destination, name, gated) for destination, name in opened if gated]
    listening = [
        _listening(server, gated)
        for server, is_gated in servers
        if any(first_content(route) for route in server["routes"].items() if not is_gated(route))
    ]
    return [finding for finding in (*leading, *listening) if finding is not None]


def _listening(server: Node, gated: dict[str, str]) -> Finding | None:
    """Find a site without a gate that is itself, in the same Caddy, what a gated site sends requests to."""
    for text in server["listen"].texts():
        for end in _tcp(text):
            key = normalised(str(end))
            if key in gated and (end.is_everywhere or not key.startswith(_LOOPBACK)):
                return Finding(
                    Kind.SHARED_UPSTREAM,
                    f"The site on {text} has no gate, and is itself behind the gate of {gated[key]}",
                    server["listen"].path,
                    "Whoever asks there needs no key.",
                    "Write `bind 127.0.0.1` into it, or let it listen on a unix socket.",
                )
    return None


def _tcp(listen: str) -> list[Tcp]:
    # What cannot be read as an address is none that a gated site sends requests to.
    with suppress(GateError):
        return [end for end in parse_listen(listen) if isinstance(end, Tcp)]
    return []


def _finding(destination: Destination, name: str, gated: dict[str, str]) -> Finding | None:
    if "{" in destination.dial:
        return Finding(
            Kind.UNKNOWN_UPSTREAM,
            f"Where {name} sends requests is only known while it serves: {destination.dial}",
            destination.where,
            "It has no gate, and can lead to what stands behind one.",
            "Write the upstream's address; for an environment variable `{$NAME}`, read with the file.",
        )
    if destination.key not in gated:
        return None
    return Finding(
        Kind.SHARED_UPSTREAM,
        f"{name} has no gate, and sends requests to {destination.dial}, which is behind the gate "
        f"of {gated[destination.key]}",
        destination.where,
        "Whoever asks there reaches the upstream without a key, and may write the identity headers.",
        "Gate that site too; or let the upstream answer what is meant to be open on a port of its own.",
    )


def destinations(node: Node, named_routes: Node, roots: Sequence[str] = ()) -> Iterator[Destination]:
    """Yield every destination within a route, and within the named routes it invokes.

    Args:
        node: The route.
        named_routes: The server's.
        roots: Folders that its site may serve from, besides those that the route itself names.
    """
    yield from _within(node, named_routes, frozenset(), [*_roots(node.value), *roots] or [""])


def _within(
    node: Node, named_routes: Node, followed: frozenset[str], root: Sequence[str]
) -> Iterator[Destination]:
    if isinstance(node.value, dict):
        if node["handler"].value == "reverse_proxy":
            yield from _proxied(node, root)
        elif node["handler"].value == "invoke" and (name := node["name"].text()) not in followed:
            yield from _within(named_routes[name], named_routes, followed | {name}, root)
        for member in node.children():
            yield from _within(member, named_routes, followed, root)
    elif isinstance(node.value, list):
        for entry in node.items():
            yield from _within(entry, named_routes, followed, root)


def _proxied(handler: Node, roots: Sequence[str]) -> Iterator[Destination]:
    transport = handler["transport"]
    # One PHP may run many sites: which one, the folder says.
    suffixes = [""]
    if transport["protocol"].value == "fastcgi":
        own = transport["root"].text()
        suffixes = [f" {posixpath.normpath(root)}" for root in ([own] if own else roots)]
    question = _is_question(handler)
    dials = [upstream["dial"].text() for upstream in handler["upstreams"].items()]
    for dial in (*dials, *_sources(handler["dynamic_upstreams"])):
        for suffix in suffixes:
            yield Destination(normalised(dial) + suffix, dial, handler.path, question)


def _sources(dynamic: Node) -> Iterator[str]:
    if dynamic["source"].value == "multi":
        for source in dynamic["sources"].items():
            yield from _sources(source)
    elif dynamic["source"].value == "srv":
        yield "srv/" + ".".join(filter(None, (dynamic[key].text() for key in ("service", "proto", "name"))))
    elif dynamic.value is not None:
        yield f"{dynamic['name'].text()}:{dynamic['port'].text() or '80'}"


def _is_question(handler: Node) -> bool:
    """Say whether an upstream is asked by a request of its own, and a good answer is not handed on."""
    first = next(iter(handler["handle_response"].items()), Node(None))
    return (
        handler["rewrite"]["method"].value == "GET"
        and first["match"].value == {"status_code": [2]}
        and all(
            inner["handler"].text() in ("vars", "headers")
            for route in first["routes"].items()
            for inner in route["handle"].items()
        )
    )


def normalised(dial: str) -> str:
    """Return what all spellings of a dial address have in common; placeholders stay as they are.

    All addresses of the loopback are one: an upstream that listens on one of them mostly listens on all.
    """
    network, address = "tcp", dial
    if match := _NETWORK.fullmatch(dial):
        network, address = match["network"], match["address"]
    if network.startswith("unix"):
        return f"unix/{posixpath.normpath(address.partition('|')[0].replace('//', '/'))}"
    if network == "srv":
        return f"srv/{address.lower().rstrip('.')}"
    host, _, port = address.rpartition(":")
    return f"{_host(host.strip('[]').lower().rstrip('.'))}:{port.lstrip('0')}"


def _host(name: str) -> str:
    if name in ("", "localhost") or name.endswith(".localhost"):
        return _LOOPBACK
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return _LOOPBACK if address.is_loopback or address.is_unspecified else str(address)


def _roots(value: object) -> list[str]:
    """Return every folder that a site may serve from."""
    if isinstance(value, dict):
        root = value.get("root")
        found = [root] if value.get("handler") == "vars" and isinstance(root, str) else []
        return [*found, *_roots(list(value.values()))]
    if isinstance(value, list):
        return [root for entry in value for root in _roots(entry)]
    return []
