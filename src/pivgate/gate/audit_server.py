# SPDX-License-Identifier: Apache-2.0
"""What a server that carries a gated host must be: TLS with our authority's certificates alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from pivgate.gate.addresses import Endpoint, Tcp, parse_listen
from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_match import Match, policy_match
from pivgate.gate.audit_node import Node

_PROTOCOLS: Final = {"h1", "h2"}
_WRAPPERS: Final = {"tls", "http_redirect", "proxy_protocol"}
_SNIPPET: Final = "Leave the site's `client_auth` to `import pivgate`, and let pivgate write the snippet."
# Caddy 2.11.7 gives one policy to all names of a block; of several ports, the last one's names stay in it.
_BLOCKS: Final = f"{_SNIPPET} Names on different ports need a block each."


def server_findings(server: Node, http_port: int) -> list[Finding]:
    """Check what holds for a whole server with a gated host on it."""
    findings = []
    if any(isinstance(end, Tcp) and end.port == http_port for end in endpoints(server)):
        findings.append(
            Finding(
                Kind.PLAIN_HTTP,
                f"A gated site is served on port {http_port}, which Caddy serves as plain HTTP",
                server["listen"].path,
                "No certificate is asked for there, and everything is readable on the way.",
                "Take the port and `http://` away from the site's address.",
            )
        )
    if server["strict_sni_host"].value not in (None, True):
        findings.append(
            Finding(
                Kind.STRICT_SNI_OFF,
                "strict_sni_host is switched off",
                server["strict_sni_host"].path,
                "A connection made for an open site, without a certificate, can ask for a gated one.",
                "Remove `strict_sni_host` from the `servers` option.",
            )
        )
    findings += _protocols(server)
    for wrapper in server["listener_wrappers"].items():
        if wrapper["wrapper"].text() not in _WRAPPERS:
            findings.append(
                Finding(
                    Kind.LISTENER_WRAPPER,
                    f"The listener wrapper `{wrapper['wrapper'].text()}` stands before TLS",
                    wrapper.path,
                    "It can answer, or end TLS, before a certificate was asked for.",
                    "Remove it from `listener_wrappers`.",
                )
            )
    return findings


def shutdown_findings(http: Node) -> list[Finding]:
    """Check that a replaced configuration does not go on serving (modules/caddyhttp/app.go, Stop)."""
    delay = http["shutdown_delay"]
    if not delay.value:
        return []
    return [
        Finding(
            Kind.SHUTDOWN_DELAY,
            "shutdown_delay is set",
            delay.path,
            "When a port goes away, the configuration that was replaced goes on serving for that long, with "
            "the sites and groups that it had.",
            "Remove `shutdown_delay` from the global options.",
        )
    ]


def endpoints(server: Node) -> list[Endpoint]:
    """Return what a server listens on.

    Raises:
        GateError: An address is of a kind that cannot be probed.
    """
    return [endpoint for text in server["listen"].texts() for endpoint in parse_listen(text)]


def policy_findings(server: Node, name: str, judge: Callable[[Node, str], Finding | None]) -> list[Finding]:
    """Check every TLS connection policy that a handshake for a server name may be made with.

    Args:
        server: The server.
        name: The server name, not a pattern.
        judge: Says what is wrong with a policy that asks for certificates.
    """
    for policy in server["tls_connection_policies"].items():
        possible = policy_match(policy, name)
        if possible is Match.NO:
            continue
        if finding := _policy(policy, name, judge):
            return [finding]
        if possible is Match.YES:
            return []
    return [
        Finding(
            Kind.NO_CLIENT_CERTIFICATE,
            f"No TLS connection policy demands a certificate for {name}",
            server["tls_connection_policies"].path,
            "Caddy adds a policy of its own there, which asks nobody for a certificate.",
            _BLOCKS,
            name,
        )
    ]


def _policy(policy: Node, name: str, judge: Callable[[Node, str], Finding | None]) -> Finding | None:
    if policy["drop"].value is True:
        return None
    if not policy["client_authentication"].members():
        return Finding(
            Kind.NO_CLIENT_CERTIFICATE,
            f"The TLS handshake for {name} asks for no certificate",
            policy.path,
            "Everybody gets through the handshake.",
            _BLOCKS,
            name,
        )
    return judge(policy["client_authentication"], name)


def our_authority(authority_pem: Path, client: Node, name: str) -> Finding | None:
    """Say what is wrong unless a certificate of our authority, and of no other, is demanded."""
    mode = client["mode"].text()
    ca = {"provider": "file", "pem_files": [str(authority_pem)]}
    if mode != "require_and_verify":
        return Finding(
            Kind.CLIENT_AUTH_MODE,
            f"The TLS handshake for {name} has the mode {mode!r} instead of 'require_and_verify'",
            client.path,
            "Certificates of any authority get through, or none is needed.",
            _SNIPPET,
            name,
        )
    if client["ca"].value != ca or not client.members().keys() <= {"mode", "ca", "verifiers"}:
        return Finding(
            Kind.TRUST_POOL,
            f"The TLS handshake for {name} verifies against something else than {authority_pem}",
            client.path,
            "Certificates of another authority get through; without a trust pool, those of every public one.",
            _SNIPPET,
            name,
        )
    return None


def _protocols(server: Node) -> list[Finding]:
    lists = [server["protocols"], *server["listen_protocols"].items()]
    for position, protocols in enumerate(lists):
        named = set(protocols.texts())
        if (position == 0 or named) and (not named or not named <= _PROTOCOLS):
            return [
                Finding(
                    Kind.PROTOCOLS,
                    "Other protocols than HTTP/1.1 and HTTP/2 are on for a gated site",
                    protocols.path,
                    "Client certificates over HTTP/3 have been reported to go unasked after a reload.",
                    "Write `servers { protocols h1 h2 }` in the global options.",
                )
            ]
    return []
