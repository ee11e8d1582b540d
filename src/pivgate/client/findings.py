# SPDX-License-Identifier: Apache-2.0
"""What a login from the command line found out, and what the gate's answers mean. Pure."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tlslite.constants import AlertDescription

from pivgate.client.site import Site
from pivgate.errors import PivgateError, RefusedError
from pivgate.yubikey.tls_connection import AlertError, no_common_version

_NO_CERTIFICATE = (AlertDescription.certificate_required, AlertDescription.bad_certificate)
_NO_SUCH_SITE = (AlertDescription.internal_error, AlertDescription.unrecognized_name)
_NOTHING_IN_COMMON = (
    AlertDescription.protocol_version,
    AlertDescription.handshake_failure,
    AlertDescription.insufficient_security,
)

# The gate's own words, from its refusal in plain text.
_REFUSAL = re.compile(
    r"\Arefused: (?P<reason>[^\n]+)\nAsk (?P<contact>[^\n]+), and name this certificate: "
    r"(?P<fingerprint>[0-9a-f]{64})\n?\Z"
)


@dataclass
class Findings:
    """What was found out so far; filled in as the login goes on.

    Attributes:
        url: What was asked for.
        address: Where it connected to.
        subject: Who the certificate on the key says that its holder is. What the site thinks, only it knows.
        issuer: The certificate's authority.
        fingerprint: SHA-256 of the certificate.
        not_before: From when it is valid.
        not_after: Until when it is valid.
        certificate_asked: Whether the server asked for a certificate; None when it did not come to that.
        authorities: The authorities that the server named when it asked; empty for any.
        server_certificate: The server's certificate, and the verdict on it.
        tls: Version of TLS.
        cipher: Cipher suite.
        status: HTTP status of the answer.
        location: Where the site sends us on to.
        gate_reason: Why the gate refuses, in its own words.
        gate_contact: Whom the gate tells to ask.
        signatures: Made on the key.
        milliseconds: Per step: connect, handshake (without the signature), signature, request.
    """

    url: str
    address: str
    subject: str
    issuer: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    certificate_asked: bool | None = None
    authorities: list[str] | None = None
    server_certificate: str | None = None
    tls: str | None = None
    cipher: str | None = None
    status: int | None = None
    location: str | None = None
    gate_reason: str | None = None
    gate_contact: str | None = None
    signatures: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)


def begin(site: Site, certificate: x509.Certificate) -> Findings:
    """Write down what is known before anybody was asked."""
    return Findings(
        url=f"{site.origin}{site.path}",
        address=f"{site.address[0]} port {site.address[1]}",
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def explain_alert(error: AlertError, found: Findings, now: datetime) -> PivgateError:
    """Say what an alert (RFC 8446, section 6.2) means for this certificate.

    Args:
        error: The alert.
        found: What is known.
        now: The time, UTC: of a certificate outside its dates a server says only that it does not take it.
    """
    alert = error.description
    if alert in _NO_SUCH_SITE:
        return RefusedError(
            "The server knows no site of that name, or has no certificate for it",
            "Check how the name is spelt; `pivgate status` on the gate's machine shows its sites.",
        )
    if alert in _NOTHING_IN_COMMON:
        return no_common_version(found.url)
    if now > found.not_after:
        return RefusedError(
            "The gate refuses the certificate on this key: it has expired on "
            f"{found.not_after:%Y-%m-%d %H:%M} UTC",
            "Renew it: `pivgate key provision --user … --replace`, or ask whoever runs the site.",
        )
    if now < found.not_before:
        return RefusedError(
            "The gate refuses the certificate on this key: it is not valid before "
            f"{found.not_before:%Y-%m-%d %H:%M} UTC",
            "Wait until then. If that time has passed, the clock of this machine or of the gate is wrong.",
        )
    if alert == AlertDescription.unknown_ca:
        return RefusedError(
            f"The gate does not know the authority that issued the certificate on this key, {found.issuer}",
            "Use the key that was provisioned for this site, or provision this one with --replace.",
        )
    if alert in _NO_CERTIFICATE:
        return RefusedError(
            f"The gate does not take the certificate on this key, {found.subject}",
            "Compare its authority with those that the site names, and the clocks of both machines.",
        )
    return error


def judge_answer(found: Findings, body: str) -> None:
    """Decide what an answer says about the login; the gate's reason is written into the findings.

    Args:
        found: With the status of the answer.
        body: The answer's text, or its beginning.

    Raises:
        RefusedError: The gate refused, or the site does not ask for certificates.
    """
    if not found.certificate_asked:
        raise RefusedError(
            f"{found.url} did not ask for a certificate: the site is not behind a gate, "
            f"anybody gets its answer ({found.status})",
            "If it should be: whoever runs it puts it there with `pivgate site add`, and looks with "
            "`pivgate site check`. A proxy in front that ends TLS looks the same.",
        )
    refusal = _REFUSAL.match(body) if found.status in (400, 403) else None
    if refusal:
        found.gate_reason, found.gate_contact = refusal["reason"], refusal["contact"]
        if refusal["fingerprint"] != found.fingerprint:
            raise RefusedError(
                f"The gate saw another certificate than the one on this key: {refusal['fingerprint']}",
                "Something between here and the gate ends TLS and logs in by itself.",
            )
        raise RefusedError(
            f"The gate refuses: {found.gate_reason}",
            f"Ask {found.gate_contact}, and name this certificate: {found.fingerprint}",
        )
    if found.status == 421:
        raise RefusedError(
            "The server says 421: the name in the handshake is not the one in the request, or not of a "
            "site there",
            "Use the site's own name in the URL, not an IP address or an alias.",
        )
    if found.status in (401, 403):
        raise RefusedError(
            f"The gate let us in, but the site behind it answers {found.status}",
            "The certificate is good. Ask whoever runs the site what it allows you.",
        )
