# SPDX-License-Identifier: Apache-2.0
"""Is this a client certificate of our authority, in force by its dates? Raises when it is not."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from pivgate.authority.policy import check_public_key
from pivgate.authority.profiles import CLIENT, Contents, extensions
from pivgate.errors import InputError, RefusedError
from pivgate.names import check_user_name

_RENEW = "Issue a new certificate for this key."
_NOT_OURS = "The certificate's extensions are not those of a client certificate of pivgate"


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
    _check_subject(certificate)
    check_public_key(certificate.public_key(), None)


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
        raise RefusedError(_NOT_OURS, _RENEW) from error
    if found != list(wanted):
        raise RefusedError(_NOT_OURS, _RENEW)


def _check_subject(certificate: x509.Certificate) -> None:
    attributes = list(certificate.subject)
    if len(attributes) != 1 or attributes[0].oid != NameOID.COMMON_NAME:
        raise RefusedError("The certificate's subject is not a common name alone", _RENEW)
    try:
        check_user_name(str(attributes[0].value))
    except InputError as error:
        raise RefusedError("The certificate's common name is not the name of a user", _RENEW) from error


def _email(certificate: x509.Certificate) -> str | None:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            return next(iter(extension.value.get_values_for_type(x509.RFC822Name)), None)
    return None
