# SPDX-License-Identifier: Apache-2.0
"""Which hosts opted in, and which lookups in the access tree are not made in the one sure way."""

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


def opted_in(server: Node, authority_pem: Path, access: Path) -> list[str]:
    """List the host patterns that are looked up in the access tree, or asked for our certificates."""
    patterns: list[str] = []
    for route in server["routes"].items():
        if _lookups(route, access):
            patterns += hosts_of(route)
    named = {name for route in server["routes"].items() for name in hosts_of(route)}
    for policy in server["tls_connection_policies"].items():
        if str(authority_pem) in str(policy["client_authentication"].value):
            names = [name.lower() for name in policy["match"]["sni"].texts()]
            patterns += [name for name in names if name in named]
    return list(dict.fromkeys(patterns))


def lookup_findings(server: Node, access: Path) -> list[Finding]:
    """Find lookups that could admit who is not listed, and gated routes without a host's name."""
    findings = []
    for route in server["routes"].items():
        lookups = _lookups(route, access)
        findings += [_crooked(lookup) for lookup in lookups if not entry_group(lookup.value, access)]
        if lookups and not hosts_of(route):
            findings.append(
                Finding(
                    "A gated site has no host's name",
                    route.path,
                    "pivgate cannot knock at it, so nothing proves that it is shut.",
                    "Give the site a name as its address.",
                )
            )
    return findings


def first_content(route: Node) -> Node | None:
    """Return the first handler that gives more away than a redirect or a refusal."""
    for handler in route["handle"].items():
        name = handler["handler"].text()
        if name == "subroute":
            for inner in handler["routes"].items():
                if (found := first_content(inner)) is not None:
                    return found
        elif name == "static_response":
            status = str(handler["status_code"].value or 200)
            if not status.isdigit() or int(status) < _LOWEST_WITHOUT_CONTENT:
                return handler
        elif name not in _HARMLESS:
            return handler
    return None


def _lookups(route: Node, access: Path) -> list[Node]:
    """Return the ``file`` matchers of a route that look for a certificate, or look into the access tree."""
    found = [
        node["file"]
        for node in route.walk()
        if isinstance(node.value, dict) and isinstance(node.value.get("file"), dict)
    ]
    return [
        lookup
        for lookup in found
        if lookup["root"].text().startswith(str(access))
        or any("tls.client" in text for text in lookup["try_files"].texts())
    ]


def _crooked(lookup: Node) -> Finding:
    return Finding(
        f"A lookup in the access tree is not of the one form that is sure: {lookup.value}",
        lookup.path,
        "Another root, policy or path can match for certificates that are not listed, or for a folder.",
        "Use `import pivgate GROUP { ... }` with the name of one group: small letters, digits, _ and -.",
    )
