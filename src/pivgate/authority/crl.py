# SPDX-License-Identifier: Apache-2.0
"""The revocation list (RFC 5280, section 5), for those who check outside the gate."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509

from pivgate.authority.issue import Authority
from pivgate.errors import InputError

DAYS_LIMIT = 365


class Reason(StrEnum):
    """Why a certificate is revoked (RFC 5280, section 5.3.1), as far as it can happen here."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


@dataclass(frozen=True)
class Revoked:
    """One line of the list.

    Attributes:
        serial_number: Of the certificate.
        revoked_at: When, UTC.
        reason: Why.
    """

    serial_number: int
    revoked_at: datetime
    reason: Reason = Reason.UNSPECIFIED


def issue_crl(
    authority: Authority, revoked: Iterable[Revoked], *, number: int, now: datetime, days: int
) -> x509.CertificateRevocationList:
    """Issue a revocation list.

    Args:
        authority: Who signs.
        revoked: What is on it.
        number: Greater than that of every list before.
        now: The time, UTC.
        days: Until the next list is due.

    Raises:
        RefusedError: The authority may not sign at this time.
        InputError: That number of days is not possible.
    """
    if not 1 <= days <= DAYS_LIMIT:
        raise InputError(f"A revocation list cannot last {days} days", f"Choose from 1 to {DAYS_LIMIT} days.")
    authority.check_dates(now)
    second = now.replace(microsecond=0)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=authority.name,
        last_update=second.replace(tzinfo=None),
        next_update=min(second + timedelta(days=days), authority.ends).replace(tzinfo=None),
        extensions=[
            x509.Extension(x509.AuthorityKeyIdentifier.oid, False, authority.key_identifier),
            x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(number)),
        ],
        revoked_certificates=[_entry(line) for line in revoked],
    )
    return authority.signer.sign_crl(builder)


def _entry(line: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(
        line.serial_number, line.revoked_at.replace(tzinfo=None, microsecond=0)
    )
    # An unspecified reason is said by leaving it out (RFC 5280, section 5.3.1).
    if line.reason is not Reason.UNSPECIFIED:
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(line.reason.value)), critical=False)
    return builder.build()
