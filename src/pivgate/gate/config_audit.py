# SPDX-License-Identifier: Apache-2.0
"""Reads an adapted configuration before Caddy may load it, and refuses one that would leave a hole. Pure.

The audit proves the shape of our snippet at the start of every gated host's chain; it does not compare with
one known text. What it cannot follow it refuses: the probes find out what a running gate does, the audit
keeps a gate from running that nobody has seen to be shut.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.audit_admin import admin_findings
from pivgate.gate.audit_finding import AuditError, Finding
from pivgate.gate.audit_match import RoutesByHost, representative
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_opted import first_content, opted_in
from pivgate.gate.audit_routes import Walk, error_findings
from pivgate.gate.audit_server import policy_findings, server_findings
from pivgate.gate.audit_verdict import is_verdict_server, verdict_findings
from pivgate.gate.caddyfile_address import host_of
from pivgate.gate.sites import GatedSite

__all__ = ["AuditError", "AuditInput", "Finding", "audit"]

_HTTP_PORT: Final = 80


@dataclass(frozen=True)
class AuditInput:
    """What the configuration must refer to.

    Attributes:
        authority_pem: The authority's certificate.
        access: The access tree.
        admin_socket: Caddy's admin API.
        verdict_socket: Where the running gate tells its verdict.
        opted_in: Addresses of which the Caddyfile says that they are gated; each must be found so, but for
            those with a placeholder.
    """

    authority_pem: Path
    access: Path
    admin_socket: Path
    verdict_socket: Path
    opted_in: frozenset[str] = frozenset()


def audit(config: dict[str, Any], expected: AuditInput) -> list[GatedSite]:
    """Prove that nobody gets past the gate of a configuration.

    Args:
        config: What ``caddy adapt`` made of the Caddyfile.
        expected: What it must refer to.

    Returns:
        Every gated host with the ports it is served on, in the configuration's order.

    Raises:
        AuditError: It has holes; all that were found are listed.
        GateError: It is not a configuration that Caddy could have made.
    """
    root = Node(config)
    http = root["apps"]["http"]
    http_port = http["http_port"].value or _HTTP_PORT
    servers = http["servers"].children()
    findings = admin_findings(root, expected.admin_socket)
    findings += verdict_findings(servers, expected.verdict_socket, expected.access)
    gated = [server for server in servers if not is_verdict_server(server, expected.verdict_socket)]
    audited = [_Server(server, expected) for server in gated]
    sites: list[GatedSite] = []
    for server in audited:
        findings += server.opted_in.findings
        findings += server_findings(server.node, http_port) if server.opted_in.patterns else []
        for pattern in server.opted_in.patterns:
            groups, holes = server.audit_host(representative(pattern))
            findings += holes
            findings += [hole for other in audited for hole in other.serving_openly(pattern)]
            sites += [
                GatedSite(pattern, port, groups, listen) for port, listen in _listeners(server.node, findings)
            ]
    findings += _not_gated(sites, expected.opted_in)
    if findings:
        raise AuditError(tuple(dict.fromkeys(findings)))
    return sites


class _Server:
    """One server, with its routes in the order in which hosts are audited against them."""

    def __init__(self, node: Node, expected: AuditInput) -> None:
        self.node = node
        self.expected = expected
        self.opted_in = opted_in(node, expected.authority_pem, expected.access)
        self._routes = RoutesByHost(node["routes"].items())
        self._errors = RoutesByHost(node["errors"]["routes"].items())

    def audit_host(self, host: str) -> tuple[tuple[str, ...], list[Finding]]:
        """Audit one of its hosts; return the groups that are asked for, and what was found."""
        walk = Walk(host, self.expected.access, self.node["named_routes"])
        walk.server(self._routes.concerning(host), self.node["routes"].path)
        findings = walk.findings
        findings += policy_findings(self.node, host, self.expected.authority_pem)
        findings += error_findings(self._errors.concerning(host), host)
        return tuple(walk.groups), findings

    def serving_openly(self, pattern: str) -> list[Finding]:
        """Find where it names a host that another server gates, and gives content for it without the gate."""
        if pattern in self.opted_in.patterns:
            return []
        culprits = [first_content(route) for route in self._routes.naming(representative(pattern))]
        return [
            Finding(
                f"{pattern} is gated, but {', '.join(self.node['listen'].texts())} serves it "
                "without the gate",
                culprit.path,
                "Whoever asks there needs no key.",
                f"Gate that site too, or let it only redirect: `redir https://{pattern}{{uri}}`.",
            )
            for culprit in culprits
            if culprit is not None
        ]


def _listeners(server: Node, findings: list[Finding]) -> list[tuple[int, tuple[str, ...]]]:
    """Return a server's ports, each with the addresses that have it."""
    listen: dict[int, list[str]] = {}
    for text in server["listen"].texts():
        for endpoint in parse_listen(text):
            if isinstance(endpoint, Tcp):
                listen.setdefault(endpoint.port, []).append(text)
            else:
                findings.append(
                    Finding(
                        f"A gated site listens on {text}",
                        server["listen"].path,
                        "Nothing proves that whoever connects there showed a certificate to Caddy itself.",
                        "Bind gated sites to TCP addresses alone.",
                    )
                )
    return [(port, tuple(texts)) for port, texts in listen.items()]


def _not_gated(sites: list[GatedSite], wanted: frozenset[str]) -> list[Finding]:
    found = {site.host for site in sites}
    return [
        Finding(
            f"{address} opted in, but the configuration has no gated site of that name",
            "apps.http.servers",
            "It would be served without a gate, or not at all.",
            "Look for a snippet or an environment variable that changes what the Caddyfile says.",
        )
        for address in sorted(wanted)
        # What an environment variable stands for is known to Caddy alone; its name is not in the result.
        if "{" not in address and host_of(address) not in found
    ]
