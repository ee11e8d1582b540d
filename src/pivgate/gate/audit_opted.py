# SPDX-License-Identifier: Apache-2.0
"""Which hosts opted in, and which lookups in the access tree are not made in the one sure way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.gate.audit_finding import Finding
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
    """

    patterns: tuple[str, ...]
    findings: tuple[Finding, ...]


def opted_in(server: Node, authority_pem: Path, access: Path) -> OptedIn:
    """Find out which hosts of a server are meant to be gated."""
    patterns: list[str] = []
    findings: list[Finding] = []
    named: set[str] = set()
    for route in server["routes"].items():
        hosts = hosts_of(route)
        named.update(hosts)
        lookups = _lookups(route, access)
        findings += [_crooked(lookup) for lookup in lookups if not entry_group(lookup.value, access)]
        if lookups:
            patterns += hosts
        if lookups and not hosts:
            findings.append(_nameless(route))
    for policy in server["tls_connection_policies"].items():
        if str(authority_pem) in str(policy["client_authentication"].value):
            names = [name.lower() for name in policy["match"]["sni"].texts()]
            patterns += [name for name in names if name in named]
    return OptedIn(tuple(dict.fromkeys(patterns)), tuple(findings))


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
        "A gated site has no host's name",
        route.path,
        "pivgate cannot knock at it, so nothing proves that it is shut.",
        "Give the site a name as its address.",
    )


def _crooked(lookup: Node) -> Finding:
    return Finding(
        f"A lookup in the access tree is not of the one form that is sure: {lookup.value}",
        lookup.path,
        "Another root, policy or path can match for certificates that are not listed, or for a folder.",
        "Use `import pivgate GROUP { ... }` with the name of one group: small letters, digits, _ and -.",
    )
