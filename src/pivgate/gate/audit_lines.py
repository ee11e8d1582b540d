# SPDX-License-Identifier: Apache-2.0
"""Which line of a Caddyfile a finding comes from, as far as that can be told. Pure.

Caddy's JSON does not say where it comes from. A site is known by its names and port; within it, a directive
is known by the handler it became, and among several by how many of its words, and of those of the directives
around it, are found again in the handler and in the matchers on the way to it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from pivgate.errors import GateError
from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_match import hosts_of
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_spellings import OPTIONS as SPELLING_OPTIONS
from pivgate.gate.caddyfile_address import host_of
from pivgate.gate.caddyfile_blocks import Block, BlockKind, Directive, blocks, directives
from pivgate.gate.caddyfile_tokens import CaddyfileError, Token, tokenize

# Directives that become a handler of another name.
_DIRECTIVES: Final = {
    "reverse_proxy": ("reverse_proxy", "forward_auth", "php_fastcgi"),
    "static_response": ("respond", "redir", "abort"),
    "authentication": ("basic_auth", "basicauth"),
    "vars": ("vars", "root", "fs"),
    "headers": ("header", "request_header"),
    "rewrite": ("rewrite", "uri", "method", "try_files"),
}
_OPTIONS: Final = (
    *("admin", "shutdown_delay", "strict_sni_host", "protocols", "listener_wrappers"),
    *SPELLING_OPTIONS,
)
_HANDSHAKE: Final = frozenset((Kind.CLIENT_AUTH_MODE, Kind.TRUST_POOL, Kind.NO_CLIENT_CERTIFICATE))
_LISTENING: Final = frozenset((Kind.PLAIN_HTTP, Kind.UNIX_LISTENER))
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Source:
    """A file that the configuration was made from.

    Attributes:
        name: As the operator calls it.
        text: What is in it.
    """

    name: str
    text: str


@dataclass(frozen=True)
class _Place:
    source: Source
    block: Block


def locate(findings: Iterable[Finding], config: dict[str, Any], sources: Sequence[Source]) -> list[Finding]:
    """Give each finding its file and line, where they can be told.

    Args:
        findings: What was found.
        config: The adapted configuration.
        sources: The Caddyfile first, then the files it imports.
    """
    findings = list(findings)
    try:
        places = [_Place(source, block) for source in sources if findings for block in blocks(source.text)]
    except CaddyfileError:
        # Caddy has read it; where our reading of it fails, only the lines are missing.
        places = []
    return [_located(finding, config, places) if places else finding for finding in findings]


def _located(finding: Finding, config: dict[str, Any], places: Sequence[_Place]) -> Finding:
    steps = [name or int(index) for name, index in _STEP.findall(finding.where)]
    if option := next((name for name in _OPTIONS if name in steps), ""):
        found = _option(option, places)
    elif finding.kind is Kind.VERDICT:
        found = _import_of_the_snippet(places)
    elif "named_routes" in steps:
        name = "".join(map(str, steps[steps.index("named_routes") + 1 :][:1]))
        found = _in_block(config, steps, [each for each in places if f"&({name})" in each.block.addresses])
    else:
        found = _in_site(finding, config, steps, places)
    return replace(finding, file=found[0], line=found[1]) if found else finding


def _option(name: str, places: Sequence[_Place]) -> tuple[str, int] | None:
    for place in places:
        if place.block.kind is BlockKind.OPTIONS:
            lines = [each.words[0].line for each, _ in _directives(place.block.body) if each.name == name]
            return place.source.name, (lines or [place.block.line])[0]
    return None


def _import_of_the_snippet(places: Sequence[_Place]) -> tuple[str, int] | None:
    source = places[0].source if places else None
    tokens = tokenize(source.text) if source else []
    lines = [token.line for token in tokens if token.text.rpartition("/")[2].startswith("pivgate.caddy")]
    return (source.name, lines[0]) if source and lines else None


def _in_site(
    finding: Finding, config: dict[str, Any], steps: Sequence[str | int], places: Sequence[_Place]
) -> tuple[str, int] | None:
    *_, server = _walk(config, steps[:4])
    hosts = [finding.host]
    if "routes" in steps:
        *_, route = _walk(config, steps[: steps.index("routes") + 2])
        hosts = hosts_of(Node(route)) if isinstance(route, dict) else hosts
    ports = _ports(server)
    sites = [place for place in places if place.block.kind is BlockKind.SITE]
    found = [place for place in sites if _serves(place.block, hosts, ports)]
    if hosts == [""]:
        # What is wrong with a whole server is told of the first site on it.
        found = [place for place in sites if _ports_of(place.block) & ports]
    found = found or [place for place in sites if _serves(place.block, hosts, frozenset())]
    if finding.kind in _HANDSHAKE or finding.kind is Kind.CROOKED_LOOKUP:
        return _opted_in(found)
    if finding.kind in _LISTENING or "handle" not in steps:
        return next(((place.source.name, place.block.line) for place in found), None)
    return _in_block(config, steps, found)


def _opted_in(places: Sequence[_Place]) -> tuple[str, int] | None:
    for place in places:
        lines: dict[str, int] = {}
        for each, _ in _directives(place.block.body):
            if each.name != "import" or (each.words[1:2] and each.words[1].text.startswith("pivgate")):
                lines.setdefault(each.name, each.words[0].line)
        line = next((lines[name] for name in ("client_auth", "tls", "import") if name in lines), 0)
        return place.source.name, line or place.block.line
    return None


def _in_block(
    config: dict[str, Any], steps: Sequence[str | int], places: Sequence[_Place]
) -> tuple[str, int] | None:
    """Return the directive that became a handler, or else where its block begins."""
    way = list(_walk(config, steps))
    handler = next((each for each in reversed(way) if isinstance(each, dict) and "handler" in each), {})
    matchers = [each.get("match") for each in way if isinstance(each, dict)]
    known = {*_texts(handler), *_texts(matchers)}
    kind = str(handler.get("handler", ""))
    names = _DIRECTIVES.get(kind, (kind,))
    best: tuple[int, str, int] | None = None
    for place in places:
        for directive, around in _directives(place.block.body):
            on_errors = any(each.name == "handle_errors" for each in around)
            if directive.name in names and on_errors == ("errors" in steps):
                words = [*directive.words[1:], *directive.body]
                words += [word for each in around for word in each.words[1:]]
                texts = {token.text for token in words if not token.opens and not token.closes}
                score = len(texts & known) - len(texts - known)
                if best is None or score > best[0]:
                    best = score, place.source.name, directive.words[0].line
    if best is not None:
        return best[1:]
    return next(((place.source.name, place.block.line) for place in places), None)


def _directives(
    body: Sequence[Token], around: tuple[Directive, ...] = ()
) -> list[tuple[Directive, tuple[Directive, ...]]]:
    """List all directives within a block, each with those around it."""
    found = []
    for directive in directives(body):
        found.append((directive, around))
        found += _directives(directive.body, (*around, directive))
    return found


def asking_addresses(text: str) -> list[str]:
    """List the addresses of the sites that have `client_auth` in their own blocks.

    Raises:
        CaddyfileError: The file's quotes or braces do not close.
    """
    return [
        address
        for block in blocks(text)
        if block.kind is BlockKind.SITE
        and any(directive.name == "client_auth" for directive, _ in _directives(block.body))
        for address in block.addresses
    ]


def _walk(value: Any, steps: Sequence[str | int]) -> Iterator[Any]:
    """Yield every value on the way along a JSON path, as far as it leads."""
    for step in steps:
        yield value
        known = step in value if isinstance(value, dict) else False
        if not known and not (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            return
        value = value[step]
    yield value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _ports(server: Any) -> frozenset[int]:
    listen = Node(server)["listen"].texts() if isinstance(server, dict) else []
    with suppress(GateError):
        return frozenset(end.port for text in listen for end in parse_listen(text) if isinstance(end, Tcp))
    return frozenset()


def _serves(block: Block, hosts: Sequence[str], ports: frozenset[int]) -> bool:
    """Say whether an address of a block has one of the hosts (or no name, if there are none) and ports."""
    for address in block.addresses:
        scheme, _, rest = address.rpartition("://")
        name = host_of(rest)
        if (name in hosts or (not hosts and not name)) and (not ports or _port(scheme, rest) in ports):
            return True
    return False


def _ports_of(block: Block) -> frozenset[int]:
    split = (address.rpartition("://") for address in block.addresses)
    return frozenset(_port(scheme, rest) for scheme, _, rest in split)


def _port(scheme: str, address: str) -> int:
    port = address.partition("/")[0].rpartition(":")[2]
    return int(port) if port.isdigit() else {"http": 80}.get(scheme, 443)
