# SPDX-License-Identifier: Apache-2.0
"""Is this certificate from this authority, and in force now? Checked before it goes onto a key, and after."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pivgate.errors import RefusedError


def check_issued(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> None:
    """Check signature and dates (RFC 5280, section 6.1.3, for a chain of two).

    Args:
        certificate: The holder's.
        authority: The one that should have signed it.
        now: The time, in UTC.

    Raises:
        RefusedError: It is another's, was changed, or is outside its dates.
    """
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise RefusedError(
            "The certificate was not signed by this authority",
            "Compare the authority (`pivgate ca show`) with the certificate's issuer (`pivgate key show`).",
        ) from error
    if now < certificate.not_valid_before_utc:
        raise RefusedError(
            f"The certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "Set the clock of this machine right.",
        )
    if now > certificate.not_valid_after_utc:
        raise RefusedError(
            f"The certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "Renew it with `pivgate key renew`.",
        )
