# SPDX-License-Identifier: Apache-2.0
"""What the audit has to say about a configuration that would not keep the gate shut."""

from dataclasses import dataclass, replace
from enum import Enum

from pivgate.errors import GateError, RefusedError


class Kind(Enum):
    """Every kind of hole; the value is its heading in ``docs/reference/audit.md``."""

    ADMIN_EXPOSED = "admin-exposed"
    ADMIN_OFF = "admin-off"
    ADMIN_REMOTE = "admin-remote"
    ANSWERS_FIRST = "answers-first"
    CLIENT_AUTH_MODE = "client-auth-mode"
    CONFIG_FETCHED = "config-fetched"
    CROOKED_LOOKUP = "crooked-lookup"
    ERROR_ANSWERS = "error-answers"
    FALLS_THROUGH = "falls-through"
    HEADER_SPELLING = "header-spelling"
    IDENTITY_FORGED = "identity-forged"
    IDENTITY_UNPROVED = "identity-unproved"
    LISTENER_WRAPPER = "listener-wrapper"
    NAMELESS_SITE = "nameless-site"
    NO_CLIENT_CERTIFICATE = "no-client-certificate"
    NOT_GATED = "not-gated"
    OPEN_ELSEWHERE = "open-elsewhere"
    PLAIN_HTTP = "plain-http"
    PROTOCOLS = "protocols"
    SHARED_UPSTREAM = "shared-upstream"
    SHUTDOWN_DELAY = "shutdown-delay"
    STRICT_SNI_OFF = "strict-sni-off"
    TRUST_POOL = "trust-pool"
    UNIX_LISTENER = "unix-listener"
    UNKNOWN_UPSTREAM = "unknown-upstream"
    VERDICT = "verdict"


@dataclass(frozen=True)
class Finding:
    """One hole.

    Attributes:
        kind: What kind of hole.
        what: What the configuration says.
        where: JSON path in the adapted configuration.
        risk: What somebody could do with it.
        remedy: What to write instead.
        host: The gated host it is about; empty for a server or the whole configuration.
        file: The Caddyfile it comes from; empty when that cannot be told.
        line: The line there, from 1; 0 when that cannot be told.
    """

    kind: Kind
    what: str
    where: str
    risk: str
    remedy: str
    host: str = ""
    file: str = ""
    line: int = 0

    def about(self, pattern: str, name: str) -> "Finding":
        """Return it told of a host pattern, where a name that stands for it was judged."""
        if self.host != name:
            return self
        return replace(self, what=self.what.replace(name, pattern), host=pattern)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else ""
        return f"{place}{self.what}. {self.risk} ({self.kind.value}, at {self.where})"


class AuditError(GateError):
    """The configuration must not be loaded.

    Attributes:
        findings: Every hole that was found, at least one.
    """

    # Caddy would take it: it is a check of ours that says no.
    exit_code = RefusedError.exit_code

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        count = "one hole" if len(findings) == 1 else f"{len(findings)} holes"
        listed = "\n".join(f"  - {finding}" for finding in findings)
        remedies = "\n".join(dict.fromkeys(finding.remedy for finding in findings))
        super().__init__(f"This configuration would leave {count} in the gate:\n{listed}", remedies)
        self.findings = findings
