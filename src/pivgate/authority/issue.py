# SPDX-License-Identifier: Apache-2.0
"""Issuing: request, profile, signer, clock and randomness in, certificate out. No I/O."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pivgate.authority.keys import Signer, verify_signature
from pivgate.authority.names import Subject
from pivgate.authority.policy import check_public_key
from pivgate.authority.profiles import AUTHORITY, CLIENT, Contents, Profile, extensions
from pivgate.authority.request import Request
from pivgate.errors import InputError, RefusedError

Randomness = Callable[[int], bytes]

# Certificates begin a little in the past, so that a machine whose clock is slow takes them at once.
CLOCK_SKEW = timedelta(minutes=5)
DAYS_LIMIT = 36525
# Positive and at most 20 octets (RFC 5280, section 4.1.2.2).
SERIAL_NUMBER_LIMIT = 2**159


@dataclass(frozen=True)
class Authority:
    """A certificate that may sign others, with the signer that holds its key."""

    certificate: x509.Certificate
    signer: Signer

    @cached_property
    def name(self) -> x509.Name:
        """The name that stands as issuer in what it signs."""
        return self.certificate.subject

    @cached_property
    def starts(self) -> datetime:
        """Start of the certificate, UTC."""
        return self.certificate.not_valid_before_utc

    @cached_property
    def ends(self) -> datetime:
        """End of the certificate, UTC."""
        return self.certificate.not_valid_after_utc

    @cached_property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """The identifier of its key, as what it signs carries it."""
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)

    def check_dates(self, now: datetime) -> None:
        """Accept a time at which the authority may sign.

        Raises:
            RefusedError: The authority is expired, or the clock is before its start.
        """
        if now < self.starts:
            raise RefusedError(
                f"The clock says {_date(now)}, but the authority starts at {_date(self.starts)}",
                "Set this machine's clock, then run the command again.",
            )
        if now > self.ends:
            raise RefusedError(
                f"The authority ended at {_date(self.ends)}",
                "Make a new authority and issue new certificates; check the clock too.",
            )

    def check(self, now: datetime, randomness: Randomness = os.urandom) -> None:
        """Accept an authority that can be used now: in its dates, and with the key of its certificate.

        Raises:
            RefusedError: Its certificate is not an authority's, it is expired, the clock is before its start,
                or key and certificate do not match.
        """
        _check_role(self.certificate)
        self.check_dates(now)
        # The words in front keep the signature from being one of a certificate.
        nonce = b"pivgate: proof that key and certificate match: " + randomness(32)
        try:
            verify_signature(self.certificate.public_key(), self.signer.sign(nonce), nonce)
        except InvalidSignature as error:
            raise RefusedError(
                "The authority's key does not belong to its certificate",
                "Restore both files from the same backup.",
            ) from error


def _check_role(certificate: x509.Certificate) -> None:
    try:
        found = certificate.extensions
        constraints = found.get_extension_for_class(x509.BasicConstraints).value
        usage = found.get_extension_for_class(x509.KeyUsage).value
        found.get_extension_for_class(x509.SubjectKeyIdentifier)
        able = constraints.ca and usage.key_cert_sign and usage.crl_sign
    except (ValueError, x509.DuplicateExtension, x509.ExtensionNotFound):
        able = False
    if not able:
        raise RefusedError(
            "The authority's certificate is not one that may sign others",
            "Restore the authority's certificate from a backup.",
        )


def random_serial_number(randomness: Randomness) -> int:
    """Return a serial number: positive, of 16 octets, 126 bits of it random (RFC 5280, section 4.1.2.2)."""
    return int.from_bytes(randomness(16), "big") & (2**126 - 1) | 2**126


def build(
    profile: Profile,
    contents: Contents,
    *,
    subject: x509.Name,
    issuer: x509.Name,
    serial_number: int,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """Lay out a certificate, ready to be signed."""
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(contents.public_key)
        .serial_number(serial_number)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for extension in extensions(profile, contents):
        builder = builder.add_extension(extension.value, extension.critical)
    return builder


def issue_authority(
    name: x509.Name, signer: Signer, *, now: datetime, days: int, serial_number: int
) -> x509.Certificate:
    """Issue the certificate of an authority to itself.

    Args:
        name: Its name.
        signer: Its key.
        now: The time, UTC.
        days: How long it is to last from now.
        serial_number: From ``random_serial_number``.

    Raises:
        InputError: That number of days, or that serial number, is not possible.
    """
    _check_days(days)
    if not 0 < serial_number < SERIAL_NUMBER_LIMIT:
        raise InputError("The authority's serial number is out of range", "Let pivgate choose it.")
    second = now.replace(microsecond=0)
    builder = build(
        AUTHORITY,
        Contents(signer.public_key),
        subject=name,
        issuer=name,
        serial_number=serial_number,
        validity=(second - CLOCK_SKEW, second + timedelta(days=days)),
    )
    return signer.sign_certificate(builder)


def issue_client(
    request: Request,
    subject: Subject,
    authority: Authority,
    *,
    now: datetime,
    days: int,
    randomness: Randomness,
) -> x509.Certificate:
    """Issue a client certificate. Nothing of the request but its public key gets into it.

    Args:
        request: Whose key is certified.
        subject: For whom, from the registry.
        authority: Who signs.
        now: The time, UTC.
        days: How long it is to last from now; it never outlasts the authority.
        randomness: Gives that many random bytes.

    Raises:
        RefusedError: The key is weak, or the authority may not sign at this time.
        InputError: That number of days is not possible.
    """
    _check_days(days)
    authority.check_dates(now)
    check_public_key(request.public_key, None)
    second = now.replace(microsecond=0)
    builder = build(
        CLIENT,
        Contents(request.public_key, authority.key_identifier, subject.email),
        subject=subject.name,
        issuer=authority.name,
        serial_number=random_serial_number(randomness),
        validity=(
            max(second - CLOCK_SKEW, authority.starts),
            min(second + timedelta(days=days), authority.ends),
        ),
    )
    return authority.signer.sign_certificate(builder)


def _check_days(days: int) -> None:
    if not 1 <= days <= DAYS_LIMIT:
        raise InputError(f"A certificate cannot last {days} days", f"Choose from 1 to {DAYS_LIMIT} days.")


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
