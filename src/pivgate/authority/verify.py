# SPDX-License-Identifier: Apache-2.0
"""Is this a client certificate of our authority, in force by its dates? Raises when it is not."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from pivgate.authority.profiles import CLIENT, Contents, extensions
from pivgate.errors import RefusedError

_RENEW = "Issue a new certificate for this key."


def verify_client(
    certificate: x509.Certificate, authority_certificate: x509.Certificate, now: datetime
) -> None:
    """Verify what a certificate says about itself: who signed it, when it holds, what it is for.

    Whether it was revoked is not in it; ask the registry.

    Args:
        certificate: The client's.
        authority_certificate: Ours.
        now: The time, UTC.

    Raises:
        RefusedError: A check said no; the message says which.
    """
    _check_issuer(certificate, authority_certificate)
    _check_dates("The authority", authority_certificate, now)
    _check_dates("The certificate", certificate, now)
    _check_profile(certificate, authority_certificate)


def _check_issuer(certificate: x509.Certificate, authority_certificate: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(authority_certificate)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RefusedError("The certificate was not signed by this authority", _RENEW) from error


def _check_dates(what: str, certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        raise RefusedError(
            f"{what} does not hold before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC",
            "Wait until then, or set this machine's clock.",
        )
    if now > certificate.not_valid_after_utc:
        raise RefusedError(f"{what} ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC", _RENEW)


def _check_profile(certificate: x509.Certificate, authority_certificate: x509.Certificate) -> None:
    try:
        found = list(certificate.extensions)
        own = authority_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        wanted = extensions(
            CLIENT,
            Contents(
                certificate.public_key(),
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own),
                _email(certificate),
            ),
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.ExtensionNotFound) as error:
        raise RefusedError("The certificate is not one of pivgate's client certificates", _RENEW) from error
    if found != list(wanted):
        raise RefusedError("The certificate is not one of pivgate's client certificates", _RENEW)


def _email(certificate: x509.Certificate) -> str | None:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            return next(iter(extension.value.get_values_for_type(x509.RFC822Name)), None)
    return None
