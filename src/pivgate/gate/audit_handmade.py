# SPDX-License-Identifier: Apache-2.0
"""The same questions for sites that ask for client certificates without pivgate. Pure.

Nothing is known of what such a certificate may open, so only the handshake and the ways around it are judged.
"""

from collections.abc import Sequence
from typing import Any, Final

from pivgate.gate.audit_admin import tcp_findings
from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_lines import Source, locate
from pivgate.gate.audit_match import Match, RoutesByHost, hosts_of, policy_match, representative
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_opted import open_elsewhere
from pivgate.gate.audit_routes import error_findings
from pivgate.gate.audit_server import policy_findings, server_findings, shutdown_findings
from pivgate.gate.audit_upstreams import upstream_findings
from pivgate.gate.caddyfile_address import host_of

_HTTP_PORT: Final = 80
_DEMAND: Final = (
    "In `client_auth`, write `mode require_and_verify` and `trust_pool file /path/to/ca.pem`, with the "
    "authority that signs your clients."
)
_EVERY_NAME: Final = "every name"
_POOLS: Final = ("ca", "trusted_ca_certs", "trusted_ca_certs_pem_files")


def examine_handmade(
    config: dict[str, Any], gated: frozenset[str], asking: frozenset[str], sources: Sequence[Source] = ()
) -> tuple[list[str], tuple[Finding, ...]]:
    """Look for ways around client certificates that the operator asks for by hand.

    Args:
        config: What ``caddy adapt`` made of a Caddyfile.
        gated: Hosts that are behind pivgate, which has judged them; empty for one without a name.
        asking: Addresses of which the Caddyfile says that they ask for client certificates.
        sources: Files in which a finding's line is looked for.

    Returns:
        The hosts that ask for certificates, and what was found.

    Raises:
        GateError: It is not a configuration that Caddy could have made.
    """
    root = Node(config)
    http = root["apps"]["http"]
    http_port = http["http_port"].value or _HTTP_PORT
    servers = [_Server(server, gated) for server in http["servers"].children()]
    hosts = list(dict.fromkeys(host for server in servers for host in server.hosts))
    findings = [*tcp_findings(root), *shutdown_findings(http)] if hosts else []
    for server in servers:
        findings += server_findings(server.node, http_port) if server.hosts else []
        for host in server.hosts:
            findings += server.audit_host(host)
            findings += [hole for other in servers for hole in other.serving_openly(host)]
    if hosts:
        findings += upstream_findings([(server.node, server.is_judged) for server in servers])
    findings += _lost(asking, frozenset(hosts) | gated)
    return hosts, tuple(locate(dict.fromkeys(findings), config, sources))


class _Server:
    """One server, and the hosts for which it asks for certificates by itself."""

    def __init__(self, node: Node, gated: frozenset[str]) -> None:
        self.node = node
        self.gated = gated
        self.policies = node["tls_connection_policies"].items()
        routes = node["routes"].items()
        named = [name for route in routes for name in hosts_of(route)]
        named += [name.lower() for policy in self.policies for name in policy["match"]["sni"].texts()]
        self.hosts = [
            name for name in dict.fromkeys(named) if name and name not in gated and self._asks(name)
        ]
        nameless = any(not hosts_of(route) for route in routes) and "" not in gated
        if nameless and self._asks(_EVERY_NAME):
            self.hosts.append(_EVERY_NAME)
        self._routes = RoutesByHost(routes)
        self._errors = RoutesByHost(node["errors"]["routes"].items())

    def _asks(self, host: str) -> bool:
        """Say whether a handshake for a host may meet a policy that asks for a certificate."""
        for policy in self.policies:
            possible = policy_match(policy, representative(host))
            if possible is not Match.NO and policy["client_authentication"].members():
                return True
            if possible is Match.YES:
                return False
        return False

    def is_judged(self, route: Node) -> bool:
        """Say whether a route serves only hosts that ask for certificates, by hand or by pivgate."""
        hosts = hosts_of(route)
        return set(hosts) <= {*self.hosts, *self.gated} if hosts else _EVERY_NAME in self.hosts

    def audit_host(self, host: str) -> list[Finding]:
        """Audit the handshake for a host, and the answers to its errors."""
        name = representative(host)
        findings = policy_findings(self.node, name, _any_authority)
        findings += error_findings(self._errors.concerning(name), name)
        return [finding.about(host, name) for finding in findings]

    def serving_openly(self, host: str) -> list[Finding]:
        """Find where it gives content for a host that another server asks a certificate for."""
        if host in self.hosts:
            return []
        naming = self._routes.naming(representative(host))
        return open_elsewhere(naming, host, self.node["listen"].texts())


def _lost(asking: frozenset[str], found: frozenset[str]) -> list[Finding]:
    return [
        Finding(
            Kind.NO_CLIENT_CERTIFICATE,
            f"{address} has `client_auth` in the Caddyfile, but no TLS connection policy of its own",
            "apps.http.servers",
            "Caddy adds a policy of its own there, which asks nobody for a certificate.",
            "Names on different ports need a block each.",
            host_of(address),
        )
        for address in sorted(asking)
        if "{" not in address and host_of(address) and host_of(address) not in found
    ]


def _any_authority(client: Node, name: str) -> Finding | None:
    """Say what is wrong unless a certificate of some chosen authority is demanded (modules/caddytls)."""
    pool = any(client[key].value for key in _POOLS)
    mode = client["mode"].text() or ("require_and_verify" if pool else "require")
    if mode != "require_and_verify":
        return Finding(
            Kind.CLIENT_AUTH_MODE,
            f"The TLS handshake for {name} has the mode {mode!r} instead of 'require_and_verify'",
            client.path,
            "No certificate is needed."
            if mode in ("request", "verify_if_given")
            else "No trust pool is looked at: certificates of any authority get through, expired ones too.",
            _DEMAND,
            name,
        )
    if not pool or client["ca"]["provider"].value == "system":
        return Finding(
            Kind.TRUST_POOL,
            f"The TLS handshake for {name} verifies against the authorities that the system trusts",
            client.path,
            "Whoever has a certificate of any of these public authorities gets through.",
            _DEMAND,
            name,
        )
    return None
