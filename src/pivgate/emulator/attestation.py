# SPDX-License-Identifier: Apache-2.0
"""Attestation: the chain above a key, and the statements that it signs.

The shapes are those of certificates made by real YubiKeys (lengths of serial numbers, validity, extensions
and their order); the names are not: every certificate above a statement says that it is an emulator's.
Extensions: Yubico, "PIV attestation", https://developers.yubico.com/PIV/Introduction/PIV_attestation.html
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pivgate.emulator import tlv
from pivgate.emulator.firmware import AttestationShape, Firmware, FormFactor

Randomness = Callable[[int], bytes]
AttestationKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_YUBICO_PIV = "1.3.6.1.4.1.41482.3"
FIRMWARE_VERSION = x509.ObjectIdentifier(f"{_YUBICO_PIV}.3")
SERIAL_NUMBER = x509.ObjectIdentifier(f"{_YUBICO_PIV}.7")
POLICIES = x509.ObjectIdentifier(f"{_YUBICO_PIV}.8")
FORM_FACTOR = x509.ObjectIdentifier(f"{_YUBICO_PIV}.9")

EMULATOR = "Emulator (not Yubico)"
"""How the name of every certificate above a statement begins."""

_INTEGER = 0x02
_KEY_SIZE = 2048
_EXPONENT = 65537

_VALIDITY = {
    AttestationShape.EARLY: (datetime(2014, 8, 1, tzinfo=UTC), datetime(2050, 9, 4, tzinfo=UTC)),
    AttestationShape.LEGACY: (datetime(2016, 3, 14, tzinfo=UTC), datetime(2052, 4, 17, tzinfo=UTC)),
    AttestationShape.CURRENT: (
        datetime(2024, 12, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ),
}


@dataclass(frozen=True)
class AttestationIdentity:
    """What the factory puts into a key so that it can attest.

    Attributes:
        key: The private key of slot f9.
        certificate: Its certificate, which the key hands out.
        chain: What stands above that certificate, its issuer first and the root last; not held by the key.
    """

    key: AttestationKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate_der(self) -> bytes:
        """The certificate of slot f9 as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def root(self) -> x509.Certificate:
        """The trust anchor: whoever wants to accept this emulator must say so by trusting this."""
        return self.chain[-1]


@dataclass(frozen=True)
class Attested:
    """The key that a statement is about.

    Attributes:
        slot: The slot, 0x9A for instance.
        public_key: The public half.
        pin_policy: 1 never, 2 once, 3 always, 4 match once, 5 match always.
        touch_policy: 1 never, 2 always, 3 cached.
    """

    slot: int
    public_key: CertificatePublicKeyTypes
    pin_policy: int
    touch_policy: int


def issue_statement(
    attested: Attested,
    firmware: Firmware,
    serial: int,
    *,
    issuer_key: AttestationKey,
    issuer_name: x509.Name,
    randomness: Randomness,
) -> bytes:
    """Attest that a key pair was made in this device.

    Args:
        attested: The key pair and its policies.
        firmware: The device's firmware.
        serial: The device's serial number.
        issuer_key: The private key in slot f9.
        issuer_name: The subject of the certificate of slot f9.
        randomness: For the certificate's serial number.

    Returns:
        The statement, a certificate in DER.
    """
    shape = firmware.attestation
    early = shape is AttestationShape.EARLY
    number = randomness(16) if early else b"\x01" + randomness(15)
    builder = _certificate(
        _name(f"YubiKey PIV Attestation {attested.slot:02x}"),
        issuer_name,
        attested.public_key,
        number,
        _VALIDITY[shape],
    )
    builder = _with_raw(builder, FIRMWARE_VERSION, bytes(firmware.version))
    if not early:
        # Always four bytes: a real key does not shorten the INTEGER.
        builder = _with_raw(builder, SERIAL_NUMBER, tlv.build(_INTEGER, serial.to_bytes(4, "big")))
    builder = _with_raw(builder, POLICIES, bytes((attested.pin_policy, attested.touch_policy)))
    if firmware.form_factor is not FormFactor.UNKNOWN:
        builder = _with_raw(builder, FORM_FACTOR, bytes((firmware.form_factor,)))
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)


@cache
def factory_identity(firmware: Firmware) -> AttestationIdentity:
    """Return the identity that this process's factory puts into every key of a firmware.

    Made once a process, since RSA keys take long to make. Real keys do not share theirs.
    """
    authority = _authority(firmware.attestation)
    key = _generate()
    return AttestationIdentity(
        key, _issue_device(firmware, authority, key.public_key(), os.urandom), authority.chain
    )


@dataclass(frozen=True)
class _Authority:
    key: rsa.RSAPrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def name(self) -> x509.Name:
        return self.chain[0].subject


@cache
def _authority(shape: AttestationShape) -> _Authority:
    if shape is AttestationShape.CURRENT:
        return _current_authority(os.urandom)
    number, name, path_length = {
        AttestationShape.EARLY: (457200631, "U2F Root CA", 0),
        AttestationShape.LEGACY: (263751, "PIV Root CA", 1),
    }[shape]
    key = _generate()
    subject = _name(f"{EMULATOR} {name} Serial {number}")
    root = (
        _certificate(subject, subject, key.public_key(), number.to_bytes(4, "big"), _VALIDITY[shape])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # Not critical, against RFC 5280: so are the real ones.
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=False)
        .add_extension(_key_usage(digital_signature=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Authority(key, (root,))


def _current_authority(randomness: Randomness) -> _Authority:
    authority: _Authority | None = None
    names = ("Attestation Root 1", "Attestation Intermediate B 1", "PIV Attestation B 1")
    for path_length, name in zip((3, 2, 1), names, strict=True):
        key = _generate()
        subject = _name(f"{EMULATOR} {name}")
        issuer = authority or _Authority(key, ())
        issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        certificate = (
            _certificate(
                subject,
                issuer.name if issuer.chain else subject,
                key.public_key(),
                # 159 bits, so that the number stays within 20 bytes of DER.
                (int.from_bytes(randomness(20), "big") >> 1).to_bytes(20, "big"),
                _VALIDITY[AttestationShape.CURRENT],
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_identifier, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .sign(issuer.key, hashes.SHA256() if authority else hashes.SHA512())
        )
        authority = _Authority(key, (certificate, *issuer.chain))
    assert authority is not None  # noqa: S101 - for the type checker: the loop above runs three times
    return authority


def _issue_device(
    firmware: Firmware, authority: _Authority, public_key: rsa.RSAPublicKey, randomness: Randomness
) -> x509.Certificate:
    """Issue the certificate of slot f9."""
    shape = firmware.attestation
    builder = _certificate(
        _name(f"{EMULATOR} PIV Attestation"), authority.name, public_key, randomness(8), _VALIDITY[shape]
    )
    builder = _with_raw(builder, FIRMWARE_VERSION, bytes(firmware.version))
    if shape is not AttestationShape.EARLY:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(authority.key, hashes.SHA256())


def _generate() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(_EXPONENT, _KEY_SIZE)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: CertificatePublicKeyTypes,
    number: bytes,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        # Zero is no serial number (RFC 5280, section 4.1.2.2).
        .serial_number(int.from_bytes(number, "big") or 1)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )


def _with_raw(
    builder: x509.CertificateBuilder, identifier: x509.ObjectIdentifier, value: bytes
) -> x509.CertificateBuilder:
    return builder.add_extension(x509.UnrecognizedExtension(identifier, value), critical=False)


def _key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
