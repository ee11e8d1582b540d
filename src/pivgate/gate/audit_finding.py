# SPDX-License-Identifier: Apache-2.0
"""What the audit has to say about a configuration that would not keep the gate shut."""

from dataclasses import dataclass

from pivgate.errors import GateError


@dataclass(frozen=True)
class Finding:
    """One hole.

    Attributes:
        what: What the configuration says.
        where: JSON path in the adapted configuration.
        risk: What somebody could do with it.
        remedy: What to write instead.
    """

    what: str
    where: str
    risk: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.risk} (at {self.where})"


class AuditError(GateError):
    """The configuration must not be loaded.

    Attributes:
        findings: Every hole that was found, at least one.
    """

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        count = "one hole" if len(findings) == 1 else f"{len(findings)} holes"
        listed = "\n".join(f"  - {finding}" for finding in findings)
        remedies = "\n".join(dict.fromkeys(finding.remedy for finding in findings))
        super().__init__(f"This configuration would leave {count} in the gate:\n{listed}", remedies)
        self.findings = findings
