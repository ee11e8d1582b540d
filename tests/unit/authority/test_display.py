# SPDX-License-Identifier: Apache-2.0
"""Certificates in words: the same as OpenSSL printed them, and sensible words for what is not ours."""

from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pivgate.authority.display import describe
from pivgate.authority.display_name import name_text
from pivgate.authority.names import common_name

DESCRIBED = Path(__file__).parents[2] / "vectors" / "authority" / "described"
KINDS = sorted(path.stem for path in DESCRIBED.glob("*.pem"))


def test_there_are_vectors() -> None:
    assert len(KINDS) == 15


@pytest.mark.parametrize("kind", KINDS)
def test_described_as_openssl_did(kind: str) -> None:
    certificate = x509.load_pem_x509_certificate((DESCRIBED / f"{kind}.pem").read_bytes())
    assert describe(certificate) == (DESCRIBED / f"{kind}.txt").read_text("utf-8")


def described(now: datetime, *found: x509.ExtensionType) -> str:
    key = ec.generate_private_key(ec.SECP521R1())
    builder = (
        x509.CertificateBuilder()
        .issuer_name(common_name("a"))
        .subject_name(common_name("a"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
    )
    for extension in found:
        builder = builder.add_extension(extension, critical=False)
    return describe(builder.sign(key, hashes.SHA512()))


def test_no_extensions(now: datetime) -> None:
    text = described(now)
    assert "extensions" not in text
    assert "Signature Algorithm: ecdsa-with-SHA512" in text
    assert "ASN1 OID: secp521r1\n        Subject" not in text
    assert "NIST CURVE" not in text


def test_what_a_certificate_of_somebody_else_may_hold(now: datetime) -> None:
    text = described(
        now,
        x509.SubjectAlternativeName(
            [
                x509.DNSName("example.com"),
                x509.UniformResourceIdentifier("https://example.com/"),
                x509.RFC822Name("a@example.com"),
                x509.RegisteredID(NameOID.COMMON_NAME),
            ]
        ),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.SMARTCARD_LOGON]),
        x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(common_name("a"))], 5),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x01\xfe"),
    )
    assert "DNS:example.com, URI:https://example.com/, email:a@example.com, other:" in text
    assert "TLS Web Server Authentication, 1.3.6.1.4.1.311.20.2.2\n" in text
    assert "            2.5.29.35: \n                30:" in text
    assert "            1.2.3.4: \n                01:FE\n" in text


def test_a_key_that_is_not_known(now: datetime) -> None:
    key = ed448.Ed448PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(common_name("a"))
        .subject_name(common_name("a"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
        .sign(key, None)
    )
    assert "Public Key Algorithm: not known here\n" in describe(certificate)
    assert "Signature Algorithm: 1.3.101.113\n" in describe(certificate)


def test_names_with_rare_parts() -> None:
    bits = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x01\xfe", _ASN1Type.BitString)
    pair = x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, "b"), x509.NameAttribute(NameOID.COMMON_NAME, "a")]
    )
    assert name_text(x509.Name([bits])) == "2.5.4.45 = #01FE"
    assert name_text(x509.Name([pair])) in ("CN = a + CN = b", "CN = b + CN = a")
    assert name_text(x509.Name([])) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"),
        (" a", '" a"'),
        ("a ", '"a "'),
        ("#a", '"#a"'),
        ("#", "#"),
        (" ", '" "'),
        ("a#", "a#"),
        ("a~", "a~"),
        ("a,b", '"a,b"'),
        ("a+b", '"a+b"'),
        ("a<b", '"a<b"'),
        ("a>b", '"a>b"'),
        ("a;b", '"a;b"'),
        ("a=b", "a=b"),
        ('a"b', 'a\\"b'),
        ("a\\b", "a\\\\b"),
        ("é", "\\C3\\A9"),
        ("a\x7f\x01", "a\\7F\\01"),
    ],
)
def test_values_of_names(value: str, expected: str) -> None:
    assert name_text(common_name(value)) == f"CN = {expected}"
