# SPDX-License-Identifier: Apache-2.0
"""Which hosts opted in, and which lookups in the access tree are not made in the one sure way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_match import hosts_of
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_state import entry_group

_HARMLESS: Final = frozenset(
    ("headers", "vars", "map", "rewrite", "encode", "log_append", "tracing", "request_body")
)
_LOWEST_WITHOUT_CONTENT: Final = 300


@dataclass(frozen=True)
class OptedIn:
    """What a server says about being gated.

    Attributes:
        patterns: Host patterns that are looked up in the access tree, or asked for our certificates.
        findings: Lookups that could admit who is not listed, and gated routes without a host's name.
        nameless: Paths of those routes.
    """

    patterns: tuple[str, ...]
    findings: tuple[Finding, ...]
    nameless: frozenset[str] = frozenset()

    def is_gated(self, route: Node) -> bool:
        """Say whether a route at the top serves gated hosts alone."""
        hosts = hosts_of(route)
        return set(hosts) <= set(self.patterns) if hosts else route.path in self.nameless


def opted_in(server: Node, authority_pem: Path, access: Path) -> OptedIn:
    """Find out which hosts of a server are meant to be gated."""
    patterns: list[str] = []
    findings: list[Finding] = []
    named: set[str] = set()
    nameless: set[str] = set()
    for route in server["routes"].items():
        hosts = hosts_of(route)
        named.update(hosts)
        lookups = _lookups(route, access)
        findings += [_crooked(lookup) for lookup in lookups if not entry_group(lookup.value, access)]
        if lookups:
            patterns += hosts
        if lookups and not hosts:
            findings.append(_nameless(route))
            nameless.add(route.path)
    for policy in server["tls_connection_policies"].items():
        if str(authority_pem) in str(policy["client_authentication"].value):
            names = [name.lower() for name in policy["match"]["sni"].texts()]
            patterns += [name for name in names if name in named]
    return OptedIn(tuple(dict.fromkeys(patterns)), tuple(findings), frozenset(nameless))


def first_content(route: Node) -> Node | None:
    """Return the first handler that gives more away than a redirect or a refusal."""
    for handler in route["handle"].items():
        name = handler["handler"].text()
        if name == "subroute":
            for inner in handler["routes"].items():
                if (found := first_content(inner)) is not None:
                    return found
        elif name == "static_response":
            status = str(handler["status_code"].value)
            if not status.isdigit() or int(status) < _LOWEST_WITHOUT_CONTENT:
                return handler
        elif name not in _HARMLESS:
            return handler
    return None


def open_elsewhere(routes: Iterable[Node], pattern: str, listen: Sequence[str]) -> list[Finding]:
    """Find where routes of another server, which name a protected host, give content for it to everybody.

    Args:
        routes: The routes that name it.
        pattern: The host.
        listen: Where that server listens.
    """
    culprits = [first_content(route) for route in routes]
    return [
        Finding(
            Kind.OPEN_ELSEWHERE,
            f"{pattern} is gated, but {', '.join(listen)} serves it without the gate",
            culprit.path,
            "Whoever asks there needs no key.",
            f"Gate that site too, or let it only redirect: `redir https://{pattern}{{uri}}`.",
            pattern,
        )
        for culprit in culprits
        if culprit is not None
    ]


def _lookups(route: Node, access: Path) -> list[Node]:
    """Return the ``file`` matchers of a route that look for a certificate, or look into the access tree."""
    return [
        lookup
        for lookup in route.members_named("file")
        if lookup["root"].text().startswith(str(access))
        or any("tls.client" in text for text in lookup["try_files"].texts())
    ]


def _nameless(route: Node) -> Finding:
    return Finding(
        Kind.NAMELESS_SITE,
        "A gated site has no host's name",
        route.path,
        "pivgate cannot knock at it, so nothing proves that it is shut.",
        "Give the site a name as its address.",
    )


def _crooked(lookup: Node) -> Finding:
    return Finding(
        Kind.CROOKED_LOOKUP,
        f"A lookup in the access tree is not of the one form that is sure: {lookup.value}",
        lookup.path,
        "Another root, policy or path can match for certificates that are not listed, or for a folder.",
        "Use `import pivgate GROUP { ... }` with the name of one group: small letters, digits, _ and -.",
    )
