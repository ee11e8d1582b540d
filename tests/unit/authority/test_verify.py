# SPDX-License-Identifier: Apache-2.0
"""A certificate of ours passes; every way of not being one is refused with its reason."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pivgate.authority.issue import Authority, build, issue_client
from pivgate.authority.keys import KeyAlgorithm
from pivgate.authority.names import Subject, common_name
from pivgate.authority.profiles import CLIENT, Contents, extensions
from pivgate.authority.request import Request, parse_request
from pivgate.authority.verify import verify_client
from pivgate.errors import RefusedError

NewAuthority = Callable[..., Authority]
Extensions = list[x509.Extension[x509.ExtensionType]]

PUBLIC_KEY = ec.generate_private_key(ec.SECP384R1()).public_key()
DAY = timedelta(days=1)


@pytest.fixture
def certificate(
    now: datetime,
    authority: Authority,
    request_of: Callable[[str], Request],
    randomness: Callable[[int], bytes],
) -> x509.Certificate:
    subject = Subject("alice", "alice@example.com")
    return issue_client(request_of("p384"), subject, authority, now=now, days=365, randomness=randomness)


def refused(certificate: x509.Certificate, authority: Authority, now: datetime, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as caught:
        verify_client(certificate, authority.certificate, now)
    assert caught.value.hint


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa-2048", "ed25519"])
@pytest.mark.parametrize("email", [None, "alice@example.com"])
def test_ours(
    now: datetime,
    new_authority: NewAuthority,
    request_of: Callable[[str], Request],
    randomness: Callable[[int], bytes],
    algorithm: KeyAlgorithm,
    kind: str,
    email: str | None,
) -> None:
    authority = new_authority(algorithm)
    issued = issue_client(
        request_of(kind), Subject("alice", email), authority, now=now, days=9, randomness=randomness
    )
    for moment in (issued.not_valid_before_utc, now, issued.not_valid_after_utc):
        verify_client(issued, authority.certificate, moment)


def test_dates(now: datetime, authority: Authority, certificate: x509.Certificate) -> None:
    second = timedelta(seconds=1)
    refused(certificate, authority, certificate.not_valid_after_utc + second, "The certificate ended at 2027")
    late = by_hand(authority, validity=(now + DAY, now + 2 * DAY))
    refused(late, authority, now, "The certificate does not hold before 2026-03-02 12:00:00 UTC")
    verify_client(late, authority.certificate, now + DAY)


def test_dates_of_the_authority(now: datetime, new_authority: NewAuthority) -> None:
    authority = new_authority(days=2)
    long = by_hand(authority, validity=(authority.starts - DAY, authority.ends + DAY))
    verify_client(long, authority.certificate, now)
    refused(long, authority, authority.ends + timedelta(seconds=1), "The authority ended at")
    refused(long, authority, authority.starts - timedelta(seconds=1), "The authority does not hold before")


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_an_authority_of_the_same_name(
    now: datetime, new_authority: NewAuthority, algorithm: KeyAlgorithm
) -> None:
    ours, theirs = new_authority(algorithm), new_authority(algorithm)
    impostor = Authority(ours.certificate, theirs.signer)
    refused(by_hand(impostor), ours, now, "not signed by this authority")


def test_an_authority_with_another_kind_of_key(now: datetime, new_authority: NewAuthority) -> None:
    ours, theirs = new_authority(KeyAlgorithm.P256), new_authority(KeyAlgorithm.ED25519)
    impostor = Authority(ours.certificate, theirs.signer)
    refused(by_hand(impostor), ours, now, "not signed by this authority")
    refused(by_hand(Authority(theirs.certificate, ours.signer)), theirs, now, "not signed by this authority")


def test_another_name_of_the_issuer(now: datetime, new_authority: NewAuthority) -> None:
    ours = new_authority()
    renamed = new_authority(name=common_name("Another"))
    impostor = Authority(renamed.certificate, ours.signer)
    refused(by_hand(impostor), ours, now, "not signed by this authority")


def test_one_changed_bit_of_the_signature(
    now: datetime, authority: Authority, certificate: x509.Certificate
) -> None:
    der = bytearray(certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    refused(x509.load_der_x509_certificate(bytes(der)), authority, now, "not signed by this authority")


def test_the_authority_itself_is_no_client(now: datetime, authority: Authority) -> None:
    refused(authority.certificate, authority, now, "extensions are not those of a client")


def by_hand(
    authority: Authority,
    *,
    subject: x509.Name | None = None,
    validity: tuple[datetime, datetime] | None = None,
    change: Callable[[Extensions], Extensions] = lambda unchanged: unchanged,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey = PUBLIC_KEY,
) -> x509.Certificate:
    """Sign something that ``issue_client`` would not."""
    contents = Contents(public_key, authority.key_identifier, "alice@example.com")
    builder = (
        x509.CertificateBuilder()
        .issuer_name(authority.name)
        .subject_name(common_name("alice") if subject is None else subject)
        .public_key(public_key)
        .serial_number(77)
    )
    start, end = validity or (authority.starts, authority.ends)
    builder = builder.not_valid_before(start).not_valid_after(end)
    for extension in change(list(extensions(CLIENT, contents))):
        builder = builder.add_extension(extension.value, extension.critical)
    return authority.signer.sign_certificate(builder)


def test_by_hand_makes_what_passes(now: datetime, authority: Authority) -> None:
    verify_client(by_hand(authority), authority.certificate, now)


def replaced(value: x509.ExtensionType, critical: bool = False) -> Callable[[Extensions], Extensions]:
    return lambda found: [
        x509.Extension(value.oid, critical, value) if extension.oid == value.oid else extension
        for extension in found
    ]


def without(oid: x509.ObjectIdentifier) -> Callable[[Extensions], Extensions]:
    return lambda found: [extension for extension in found if extension.oid != oid]


def usage(**changes: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    names += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**({name: name == "digital_signature" for name in names} | changes))


OTHER_KEY = x509.AuthorityKeyIdentifier(b"0123456789abcdef0123", None, None)

NOT_THE_PROFILE: dict[str, Callable[[Extensions], Extensions]] = {
    "an authority": replaced(x509.BasicConstraints(ca=True, path_length=None), critical=True),
    "basic constraints not critical": replaced(x509.BasicConstraints(ca=False, path_length=None)),
    "no basic constraints": without(x509.BasicConstraints.oid),
    "may sign certificates": replaced(usage(key_cert_sign=True), critical=True),
    "may not sign": replaced(usage(digital_signature=False, key_agreement=True), critical=True),
    "key usage not critical": replaced(usage()),
    "no key usage": without(x509.KeyUsage.oid),
    "for servers": replaced(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
    "for servers too": replaced(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    ),
    "for anything": without(x509.ExtendedKeyUsage.oid),
    "another key identifier": replaced(x509.SubjectKeyIdentifier(b"0123456789abcdef0123")),
    "no key identifier": without(x509.SubjectKeyIdentifier.oid),
    "another authority's key": replaced(OTHER_KEY),
    "no authority's key": without(x509.AuthorityKeyIdentifier.oid),
    "a host's name": replaced(x509.SubjectAlternativeName([x509.DNSName("example.com")])),
    "two addresses": replaced(
        x509.SubjectAlternativeName([x509.RFC822Name("a@example.com"), x509.RFC822Name("b@example.com")])
    ),
    "one more extension": lambda found: [
        *found,
        x509.Extension(
            x509.ObjectIdentifier("1.2.3.4"),
            False,
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
        ),
    ],
}


@pytest.mark.parametrize("fault", NOT_THE_PROFILE)
def test_not_the_profile(now: datetime, authority: Authority, fault: str) -> None:
    refused(by_hand(authority, change=NOT_THE_PROFILE[fault]), authority, now, "extensions are not those")


def test_an_extension_that_cannot_be_read(now: datetime, authority: Authority) -> None:
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\xff")
    refused(by_hand(authority, change=replaced(broken)), authority, now, "extensions are not those")


def test_an_authority_without_key_identifier(now: datetime, authority: Authority) -> None:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(authority.name)
        .subject_name(authority.name)
        .public_key(authority.signer.public_key)
        .serial_number(1)
        .not_valid_before(authority.starts)
        .not_valid_after(authority.ends)
    )
    bare = Authority(authority.signer.sign_certificate(builder), authority.signer)
    refused(by_hand(authority), bare, now, "extensions are not those")


SUBJECTS = {
    "nobody": x509.Name([]),
    "two names": x509.Name([*common_name("alice"), *common_name("bob")]),
    "an organisation": x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "alice")]),
}


@pytest.mark.parametrize("fault", SUBJECTS)
def test_other_subjects(now: datetime, authority: Authority, fault: str) -> None:
    refused(by_hand(authority, subject=SUBJECTS[fault]), authority, now, "not a common name alone")


@pytest.mark.parametrize("name", ["pivgate probe: never admitted", "alice smith", "\u202egro.elpmaxe"])
def test_common_names_that_no_user_has(now: datetime, authority: Authority, name: str) -> None:
    refused(by_hand(authority, subject=common_name(name)), authority, now, "not the name of a user")


def test_a_weak_key_that_was_certified_all_the_same(
    now: datetime, authority: Authority, vector: Callable[[str], bytes]
) -> None:
    weak = parse_request(vector("bad/rsa-roca.pem")).public_key
    assert isinstance(weak, rsa.RSAPublicKey)
    refused(by_hand(authority, public_key=weak), authority, now, "ROCA")


def test_build_and_extensions_agree(authority: Authority) -> None:
    contents = Contents(PUBLIC_KEY, authority.key_identifier)
    builder = build(
        CLIENT,
        contents,
        subject=common_name("alice"),
        issuer=authority.name,
        serial_number=77,
        validity=(authority.starts, authority.ends),
    )
    certificate = authority.signer.sign_certificate(builder)
    assert tuple(certificate.extensions) == extensions(CLIENT, contents)
