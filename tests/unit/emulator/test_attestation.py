# SPDX-License-Identifier: Apache-2.0
"""Attestation certificates: the same shape as real ones, another name, and a chain that openssl follows.

The vectors are attestation certificates of real YubiKeys; where they come from is said in each file.
"""

from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from pivgate.emulator.attestation import (
    EMULATOR,
    FIRMWARE_VERSION,
    FORM_FACTOR,
    POLICIES,
    SERIAL_NUMBER,
    AttestationIdentity,
    Attested,
    factory_identity,
    issue_statement,
)
from pivgate.emulator.firmware import FIRMWARE

VECTORS = Path(__file__).parents[2] / "vectors" / "attestation"
REAL = {
    "4.3.7": "fw-4.3.7-9a-p256-u2f-root.pem",
    "5.2.7": "fw-5.2.7-9a-rsa2048.pem",
    "5.4.3": "fw-5.4.3-9a-p256.pem",
    "5.7.4": "fw-5.7.4-9a-p384.pem",
}
SERIAL = 15890263


def real(name: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((VECTORS / name).read_bytes())


def statement(
    identity: AttestationIdentity,
    version: str,
    public_key: CertificatePublicKeyTypes | None = None,
    randomness: bytes = b"\xaa" * 20,
) -> x509.Certificate:
    der = issue_statement(
        Attested(0x9A, public_key or ec.generate_private_key(ec.SECP256R1()).public_key(), 2, 1),
        FIRMWARE[version],
        SERIAL,
        issuer_key=identity.key,
        issuer_name=identity.certificate.subject,
        randomness=lambda length: randomness[:length],
    )
    return x509.load_der_x509_certificate(der)


def shape(certificate: x509.Certificate) -> list[tuple[str, bool, object]]:
    """What must agree with a real one: extensions in order, criticality, and values that are not its own."""
    own = {SERIAL_NUMBER, POLICIES, FORM_FACTOR, ExtensionOID.SUBJECT_KEY_IDENTIFIER}
    own.add(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    return [
        (extension.oid.dotted_string, extension.critical, None if extension.oid in own else extension.value)
        for extension in certificate.extensions
    ]


def assert_same_shape(ours: x509.Certificate, theirs: x509.Certificate) -> None:
    assert ours.version is theirs.version is x509.Version.v3
    assert shape(ours) == shape(theirs)
    assert ours.not_valid_before_utc == theirs.not_valid_before_utc
    assert ours.not_valid_after_utc == theirs.not_valid_after_utc
    assert ours.signature_algorithm_oid == theirs.signature_algorithm_oid
    assert [attribute.oid for attribute in ours.subject] == [attribute.oid for attribute in theirs.subject]


def raw(certificate: x509.Certificate, identifier: x509.ObjectIdentifier) -> bytes:
    value = certificate.extensions.get_extension_for_oid(identifier).value
    assert isinstance(value, x509.UnrecognizedExtension)
    return value.value


@pytest.mark.parametrize("version", FIRMWARE)
class TestLikeRealOnes:
    def test_statement(self, version: str) -> None:
        theirs, _ = real(REAL[version])
        ours = statement(factory_identity(FIRMWARE[version]), version)
        assert_same_shape(ours, theirs)
        assert ours.subject == theirs.subject
        assert raw(ours, POLICIES) == b"\x02\x01"
        if version != "4.3.7":
            assert raw(ours, SERIAL_NUMBER) == b"\x02\x04" + SERIAL.to_bytes(4, "big")
            assert raw(ours, FORM_FACTOR) == raw(theirs, FORM_FACTOR)

    def test_serial_number_of_the_statement(self, version: str) -> None:
        theirs, _ = real(REAL[version])
        ours = statement(factory_identity(FIRMWARE[version]), version)
        assert ours.serial_number.bit_length() == theirs.serial_number.bit_length()

    def test_device_certificate(self, version: str) -> None:
        _, theirs = real(REAL[version])
        identity = factory_identity(FIRMWARE[version])
        assert_same_shape(identity.certificate, theirs)
        assert isinstance(identity.key, rsa.RSAPrivateKey)
        assert identity.key.key_size == 2048
        assert identity.key.public_key() == identity.certificate.public_key()
        assert raw(identity.certificate, FIRMWARE_VERSION) == bytes(FIRMWARE[version].version)
        assert identity.certificate.serial_number.bit_length() <= 64

    def test_every_name_above_a_statement_says_emulator(self, version: str) -> None:
        identity = factory_identity(FIRMWARE[version])
        for certificate in (identity.certificate, *identity.chain):
            for name in (certificate.subject, certificate.issuer):
                assert name.rfc4514_string().startswith(f"CN={EMULATOR} ")
        names = {certificate.subject for certificate in (identity.certificate, *identity.chain)}
        real_names = {
            certificate.subject for path in VECTORS.glob("*.pem") for certificate in real(path.name)
        }
        assert not names & real_names

    def test_every_signature_holds(self, version: str) -> None:
        identity = factory_identity(FIRMWARE[version])
        chain = [statement(identity, version), identity.certificate, *identity.chain]
        for certificate, issuer in pairwise([*chain, chain[-1]]):
            certificate.verify_directly_issued_by(issuer)

    def test_made_once_a_process(self, version: str) -> None:
        assert factory_identity(FIRMWARE[version]) is factory_identity(FIRMWARE[version])


@pytest.mark.parametrize(("version", "index"), [("4.3.7", 1), ("5.2.7", 0), ("5.4.3", 0), ("5.7.4", 2)])
def test_root_is_shaped_as_the_real_one(version: str, index: int) -> None:
    ours = factory_identity(FIRMWARE[version]).root
    theirs = real("yubico-roots.pem")[index]
    assert_same_shape(ours, theirs)
    assert ours.serial_number.bit_length() <= theirs.serial_number.bit_length() + 1


def test_intermediates_are_shaped_as_the_real_ones() -> None:
    piv, intermediate, _ = factory_identity(FIRMWARE["5.7.4"]).chain
    _, theirs_intermediate, _, theirs_piv = real("yubico-intermediates.pem")
    assert_same_shape(piv, theirs_piv)
    assert_same_shape(intermediate, theirs_intermediate)


@pytest.mark.parametrize("version", ["4.3.7", "5.2.7", "5.4.3"])
def test_older_firmware_has_only_a_root_above_the_device(version: str) -> None:
    assert len(factory_identity(FIRMWARE[version]).chain) == 1


def test_firmware_with_the_same_shape_shares_its_root() -> None:
    roots = [factory_identity(FIRMWARE[version]).root for version in ("5.2.7", "5.4.3")]
    assert roots[0] == roots[1]


@pytest.mark.parametrize(
    "public_key",
    [
        pytest.param(rsa.generate_private_key(65537, 2048).public_key(), id="RSA-2048"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()).public_key(), id="P-384"),
        pytest.param(ed25519.Ed25519PrivateKey.generate().public_key(), id="Ed25519"),
        pytest.param(x25519.X25519PrivateKey.generate().public_key(), id="X25519"),
    ],
)
def test_every_kind_of_key_is_attested(public_key: CertificatePublicKeyTypes) -> None:
    attested = statement(factory_identity(FIRMWARE["5.7.4"]), "5.7.4", public_key).public_key()
    assert attested.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public_key.public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def test_serial_number_comes_from_the_randomness_given() -> None:
    identity = factory_identity(FIRMWARE["4.3.7"])
    assert statement(identity, "4.3.7", randomness=bytes(19) + b"\x01").serial_number == 1, "zero is none"
    assert statement(identity, "4.3.7", randomness=b"\x7f" * 20).serial_number == int("7f" * 16, 16)
