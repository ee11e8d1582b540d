# SPDX-License-Identifier: Apache-2.0
"""The revocation list (RFC 5280, section 5), for those who check outside the gate."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from pivgate.authority.issue import Authority
from pivgate.errors import InputError

DAYS_LIMIT = 365
# CRLNumber and serial numbers have at most 20 octets (RFC 5280, sections 4.1.2.2 and 5.2.3).
_NUMBER_LIMIT = 2**159

# The reasons that a full list of client certificates may give (RFC 5280, section 5.3.1), by the names they
# have there. Not "removeFromCRL", which only a delta list may hold, nor those for authorities.
_REASONS = {
    flag.value: flag
    for flag in (
        x509.ReasonFlags.key_compromise,
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
        x509.ReasonFlags.certificate_hold,
        x509.ReasonFlags.privilege_withdrawn,
    )
}


@dataclass(frozen=True)
class Revoked:
    """One line of the list.

    Attributes:
        serial_number: Of the certificate.
        revoked_at: When, UTC.
        reason: As RFC 5280 names it, for example ``keyCompromise``. Any other word counts as ``unspecified``:
            a certificate is never left off the list because somebody worded its reason differently.
    """

    serial_number: int
    revoked_at: datetime
    reason: str = "unspecified"


def issue_crl(
    authority: Authority, revoked: Iterable[Revoked], *, number: int, now: datetime, days: int
) -> x509.CertificateRevocationList:
    """Issue a revocation list.

    Args:
        authority: Who signs.
        revoked: What is on it.
        number: Greater than that of every list before.
        now: The time, UTC.
        days: Until the next list is due; the list never outlasts the authority.

    Raises:
        RefusedError: The authority may not sign at this time.
        InputError: That number of days, or that number of a list, is not possible.
    """
    if not 1 <= days <= DAYS_LIMIT:
        raise InputError(f"A revocation list cannot last {days} days", f"Choose from 1 to {DAYS_LIMIT} days.")
    if not 0 <= number < _NUMBER_LIMIT:
        raise InputError(
            f"A revocation list cannot have the number {number}", "Number lists 1, 2, 3 and so on."
        )
    authority.check_dates(now)
    second = now.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    due = min(second + timedelta(days=days), authority.ends.replace(tzinfo=None))
    # The constructor instead of add_revoked_certificate: that copies the whole list for every line of it.
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=authority.name,
        last_update=second,
        next_update=due,
        revoked_certificates=[_entry(line) for line in revoked],
    )
    builder = builder.add_extension(authority.key_identifier, critical=False)
    return authority.signer.sign_crl(builder.add_extension(x509.CRLNumber(number), critical=False))


def _entry(line: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(line.serial_number)
    builder = builder.revocation_date(line.revoked_at.replace(microsecond=0))
    # An unspecified reason is given by leaving it out (RFC 5280, section 5.3.1).
    if (flag := _REASONS.get(line.reason)) is not None:
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()
