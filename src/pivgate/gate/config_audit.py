# SPDX-License-Identifier: Apache-2.0
"""Reads an adapted configuration before Caddy may load it, and refuses one that would leave a hole. Pure.

The audit proves the shape of our snippet at the start of every gated host's chain; it does not compare with
one known text. What it cannot follow it refuses: the probes find out what a running gate does, the audit
keeps a gate from running that nobody has seen to be shut.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.audit_admin import admin_findings
from pivgate.gate.audit_finding import AuditError, Finding, Kind
from pivgate.gate.audit_lines import Source, locate
from pivgate.gate.audit_match import RoutesByHost, representative
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_opted import open_elsewhere, opted_in
from pivgate.gate.audit_routes import Walk, error_findings
from pivgate.gate.audit_server import our_authority, policy_findings, server_findings, shutdown_findings
from pivgate.gate.audit_spellings import spelling_findings
from pivgate.gate.audit_upstreams import upstream_findings
from pivgate.gate.audit_verdict import is_verdict_server, verdict_findings
from pivgate.gate.caddyfile_address import host_of
from pivgate.gate.sites import GatedSite

__all__ = ["AuditError", "AuditInput", "Finding", "audit", "examine"]

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
        sources: The Caddyfile, and the files it imports, in which a finding's line is looked for.
    """

    authority_pem: Path
    access: Path
    admin_socket: Path
    verdict_socket: Path
    opted_in: frozenset[str] = frozenset()
    sources: tuple[Source, ...] = ()


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
    examined = examine(config, expected)
    if examined.findings:
        raise AuditError(examined.findings)
    return examined.sites


@dataclass(frozen=True)
class Examined:
    """What was found in a configuration.

    Attributes:
        sites: Every gated host with the ports it is served on.
        hosts: Every host that opted in, wherever it is served; empty for one without a name.
        findings: Every hole.
    """

    sites: list[GatedSite]
    hosts: frozenset[str]
    findings: tuple[Finding, ...]


def examine(config: dict[str, Any], expected: AuditInput) -> Examined:
    """Look for holes, and return what was found instead of raising it.

    Raises:
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
        if server.opted_in.patterns:
            findings += server_findings(server.node, http_port) + spelling_findings(server.node)
        for pattern in server.opted_in.patterns:
            name = representative(pattern)
            groups, holes = server.audit_host(name)
            findings += [hole.about(pattern, name) for hole in holes]
            findings += [hole for other in audited for hole in other.serving_openly(pattern)]
            found, holes = _listeners(server.node, pattern)
            findings += holes
            sites += [GatedSite(pattern, port, groups, listen) for port, listen in found]
    findings += upstream_findings([(server.node, server.opted_in.is_gated) for server in audited])
    findings += shutdown_findings(http) if sites else []
    hosts = frozenset(pattern for server in audited for pattern in server.opted_in.patterns)
    hosts |= {"" for server in audited if server.opted_in.nameless}
    findings += _not_gated(hosts, expected.opted_in)
    located = locate(dict.fromkeys(findings), config, expected.sources)
    return Examined(sites, hosts, tuple(located))


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
        findings += policy_findings(self.node, host, partial(our_authority, self.expected.authority_pem))
        findings += error_findings(self._errors.concerning(host), host)
        return tuple(walk.groups), findings

    def serving_openly(self, pattern: str) -> list[Finding]:
        """Find where it names a host that another server gates, and gives content for it without the gate."""
        if pattern in self.opted_in.patterns:
            return []
        naming = self._routes.naming(representative(pattern))
        return open_elsewhere(naming, pattern, self.node["listen"].texts())


def _listeners(server: Node, host: str) -> tuple[list[tuple[int, tuple[str, ...]]], list[Finding]]:
    """Return a server's ports, each with the addresses that have it, and what is no port."""
    listen: dict[int, list[str]] = {}
    findings = []
    for text in server["listen"].texts():
        for endpoint in parse_listen(text):
            if isinstance(endpoint, Tcp):
                listen.setdefault(endpoint.port, []).append(text)
            else:
                findings.append(
                    Finding(
                        Kind.UNIX_LISTENER,
                        f"A gated site listens on {text}",
                        server["listen"].path,
                        "Nothing proves that whoever connects there showed a certificate to Caddy itself.",
                        "Bind gated sites to TCP addresses alone.",
                        host,
                    )
                )
    return [(port, tuple(texts)) for port, texts in listen.items()], findings


def _not_gated(found: frozenset[str], wanted: frozenset[str]) -> list[Finding]:
    return [
        Finding(
            Kind.NOT_GATED,
            f"{address} opted in, but the configuration has no gated site of that name",
            "apps.http.servers",
            "It would be served without a gate, or not at all.",
            "Look for a snippet or an environment variable that changes what the Caddyfile says.",
            host_of(address),
        )
        for address in sorted(wanted)
        # What an environment variable stands for is known to Caddy alone; its name is not in the result.
        if "{" not in address and host_of(address) not in found
    ]
