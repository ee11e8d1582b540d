# SPDX-License-Identifier: Apache-2.0
"""What is in a certificate, what is never in it, and when none is issued."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID
from hypothesis import given
from hypothesis import strategies as st

from pivgate.authority.issue import (
    CLOCK_SKEW,
    Authority,
    issue_authority,
    issue_client,
    random_serial_number,
)
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import Subject, common_name, parse_distinguished_name
from pivgate.authority.request import Request, parse_request
from pivgate.errors import InputError, RefusedError

NewAuthority = Callable[..., Authority]
RequestOf = Callable[[str], Request]
Randomness = Callable[[int], bytes]

ALICE = Subject("alice", "alice@example.com")
KINDS = ["p256", "p384", "rsa-2048", "ed25519"]

SIGNATURES = {
    KeyAlgorithm.ED25519: SignatureAlgorithmOID.ED25519,
    KeyAlgorithm.P256: SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    KeyAlgorithm.P384: SignatureAlgorithmOID.ECDSA_WITH_SHA384,
}


def key_usages(certificate: x509.Certificate) -> set[str]:
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    names += ("key_agreement", "key_cert_sign", "crl_sign")
    return {name for name in names if getattr(usage, name)}


def assert_is_authority(certificate: x509.Certificate) -> None:
    found = {extension.oid: extension for extension in certificate.extensions}
    assert set(found) == {x509.BasicConstraints.oid, x509.KeyUsage.oid, x509.SubjectKeyIdentifier.oid}
    assert found[x509.BasicConstraints.oid].critical
    assert found[x509.BasicConstraints.oid].value == x509.BasicConstraints(ca=True, path_length=0)
    assert found[x509.KeyUsage.oid].critical
    assert key_usages(certificate) == {"key_cert_sign", "crl_sign"}
    certificate.verify_directly_issued_by(certificate)


def assert_is_client(certificate: x509.Certificate, issuer: x509.Certificate, email: str | None) -> None:
    found = {extension.oid: extension for extension in certificate.extensions}
    expected = {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityKeyIdentifier.oid,
    }
    assert set(found) == expected | ({x509.SubjectAlternativeName.oid} if email else set())
    assert {oid for oid, extension in found.items() if extension.critical} == {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
    }
    assert found[x509.BasicConstraints.oid].value == x509.BasicConstraints(ca=False, path_length=None)
    assert key_usages(certificate) == {"digital_signature"}
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    public_key = certificate.public_key()
    assert found[x509.SubjectKeyIdentifier.oid].value == x509.SubjectKeyIdentifier.from_public_key(public_key)
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    theirs = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert theirs == x509.AuthorityKeyIdentifier(own.digest, None, None)
    if email:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(names) == [x509.RFC822Name(email)]
    certificate.verify_directly_issued_by(issuer)


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_authority(now: datetime, algorithm: KeyAlgorithm) -> None:
    name = parse_distinguished_name("CN=Example Access,O=Example Ltd,C=CH")
    signer = generate(algorithm)
    certificate = issue_authority(name, signer, now=now, days=3650, serial_number=2**100)
    assert_is_authority(certificate)
    assert certificate.version is x509.Version.v3
    assert certificate.subject == certificate.issuer == name
    assert certificate.serial_number == 2**100
    assert certificate.public_key() == signer.public_key
    assert certificate.signature_algorithm_oid == SIGNATURES[algorithm]
    assert certificate.not_valid_before_utc == now - CLOCK_SKEW
    assert certificate.not_valid_after_utc == now + timedelta(days=3650)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("email", [None, "alice@example.com"])
def test_client(
    now: datetime,
    new_authority: NewAuthority,
    request_of: RequestOf,
    randomness: Randomness,
    algorithm: KeyAlgorithm,
    kind: str,
    email: str | None,
) -> None:
    authority = new_authority(algorithm, start=now - timedelta(days=1))
    request = request_of(kind)
    certificate = issue_client(
        request, Subject("alice", email), authority, now=now, days=365, randomness=randomness
    )
    assert_is_client(certificate, authority.certificate, email)
    assert certificate.version is x509.Version.v3
    assert certificate.subject == common_name("alice")
    assert certificate.public_key() == request.public_key
    assert certificate.signature_algorithm_oid == SIGNATURES[algorithm]
    assert certificate.not_valid_before_utc == now - CLOCK_SKEW
    assert certificate.not_valid_after_utc == now + timedelta(days=365)


def test_nothing_of_a_hostile_request_gets_in_but_its_key(
    now: datetime, authority: Authority, vector: Callable[[str], bytes], randomness: Randomness
) -> None:
    request = parse_request(vector("good/hostile.pem"))
    certificate = issue_client(request, ALICE, authority, now=now, days=365, randomness=randomness)
    assert_is_client(certificate, authority.certificate, "alice@example.com")
    assert certificate.subject == common_name("alice")
    der = certificate.public_bytes(Encoding.DER)
    hostile = x509.load_der_x509_csr(request.der)
    asked = {value.value.public_bytes() for value in hostile.extensions}
    assert asked
    given_der = {value.value.public_bytes() for value in certificate.extensions}
    assert not asked & given_der
    for word in (b"root", b"Somebody Else", b"example.com\x82", b"chosen by the sender"):
        assert word not in der


def test_the_same_inputs_give_the_same_certificate(
    now: datetime, authority: Authority, request_of: RequestOf
) -> None:
    issued = {
        issue_client(
            request_of("p384"), ALICE, authority, now=now, days=365, randomness=lambda size: b"\xa5" * size
        )
        for _ in range(3)
    }
    assert len(issued) == 1


def test_microseconds_are_cut_off(
    authority: Authority, now: datetime, request_of: RequestOf, randomness: Randomness
) -> None:
    later = now + timedelta(hours=1, microseconds=999_999)
    certificate = issue_client(request_of("p256"), ALICE, authority, now=later, days=1, randomness=randomness)
    assert certificate.not_valid_before_utc == now + timedelta(hours=1) - CLOCK_SKEW


def test_it_never_outlasts_the_authority(
    now: datetime, new_authority: NewAuthority, request_of: RequestOf, randomness: Randomness
) -> None:
    authority = new_authority(days=100)
    for days, expected in ((1, 1), (99, 99), (100, 100), (101, 100), (36525, 100)):
        certificate = issue_client(
            request_of("p256"), ALICE, authority, now=now, days=days, randomness=randomness
        )
        assert certificate.not_valid_after_utc == now + timedelta(days=expected)


def test_it_never_begins_before_the_authority(
    now: datetime, authority: Authority, request_of: RequestOf, randomness: Randomness
) -> None:
    moment = now - timedelta(minutes=3)
    certificate = issue_client(
        request_of("p256"), ALICE, authority, now=moment, days=1, randomness=randomness
    )
    assert certificate.not_valid_before_utc == authority.starts > moment - CLOCK_SKEW


@pytest.mark.parametrize("days", [0, -1, 36526, 10**9])
def test_impossible_numbers_of_days(
    now: datetime, authority: Authority, request_of: RequestOf, randomness: Randomness, days: int
) -> None:
    with pytest.raises(InputError, match=f"cannot last {days} days"):
        issue_client(request_of("p256"), ALICE, authority, now=now, days=days, randomness=randomness)
    with pytest.raises(InputError, match=f"cannot last {days} days"):
        issue_authority(common_name("a"), authority.signer, now=now, days=days, serial_number=1)


@pytest.mark.parametrize("serial_number", [0, -5, 2**159, 2**200])
def test_serial_numbers_that_no_authority_may_have(
    now: datetime, authority: Authority, serial_number: int
) -> None:
    with pytest.raises(InputError, match="serial number"):
        issue_authority(common_name("a"), authority.signer, now=now, days=1, serial_number=serial_number)


@pytest.mark.parametrize("serial_number", [1, 2**159 - 1])
def test_serial_numbers_that_an_authority_may_have(
    now: datetime, authority: Authority, serial_number: int
) -> None:
    certificate = issue_authority(
        common_name("a"), authority.signer, now=now, days=1, serial_number=serial_number
    )
    assert certificate.serial_number == serial_number


WEAK = [
    "rsa-1024",
    "rsa-exponent-3",
    "rsa-roca",
    "rsa-close-primes",
    "rsa-small-factor",
    "ed25519-small-order",
]


@pytest.mark.parametrize("name", WEAK)
def test_weak_keys_get_no_certificate(
    now: datetime,
    authority: Authority,
    vector: Callable[[str], bytes],
    randomness: Randomness,
    name: str,
) -> None:
    request = parse_request(vector(f"bad/{name}.pem"))
    with pytest.raises(RefusedError):
        issue_client(request, ALICE, authority, now=now, days=365, randomness=randomness)


def test_an_expired_authority_issues_nothing(
    now: datetime, new_authority: NewAuthority, request_of: RequestOf, randomness: Randomness
) -> None:
    authority = new_authority(days=1)
    end = now + timedelta(days=1)
    issue_client(request_of("p256"), ALICE, authority, now=end, days=1, randomness=randomness)
    with pytest.raises(RefusedError, match="ended at 2026-03-02 12:00:00 UTC") as caught:
        issue_client(
            request_of("p256"),
            ALICE,
            authority,
            now=end + timedelta(seconds=1),
            days=1,
            randomness=randomness,
        )
    assert caught.value.hint


def test_a_clock_before_the_authority_is_not_believed(
    now: datetime, authority: Authority, request_of: RequestOf, randomness: Randomness
) -> None:
    with pytest.raises(RefusedError, match="clock says 2026-03-01 11:54:59 UTC.*starts at") as caught:
        issue_client(
            request_of("p256"),
            ALICE,
            authority,
            now=authority.starts - timedelta(seconds=1),
            days=1,
            randomness=randomness,
        )
    assert "clock" in caught.value.hint


@given(st.binary(min_size=16, max_size=16))
def test_every_serial_number_is_positive_and_short_and_keeps_126_random_bits(octets: bytes) -> None:
    number = random_serial_number(lambda size: octets[:size])
    assert 0 < number < 2**159
    assert number.bit_length() == 127
    assert number % 2**126 == int.from_bytes(octets, "big") % 2**126


def usage(**changes: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    names += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**({name: name in ("key_cert_sign", "crl_sign") for name in names} | changes))


MAY = x509.BasicConstraints(ca=True, path_length=0)
MAY_NOT = x509.BasicConstraints(ca=False, path_length=None)
IDENTIFIER = x509.SubjectKeyIdentifier(b"0123456789abcdef0123")
SOUND = (MAY, usage(), IDENTIFIER)

NOT_AN_AUTHORITY: dict[str, tuple[x509.ExtensionType, ...]] = {
    "no extensions": (),
    "not an authority": (MAY_NOT, usage(), IDENTIFIER),
    "no basic constraints": (usage(), IDENTIFIER),
    "no certificates": (MAY, usage(key_cert_sign=False), IDENTIFIER),
    "no revocation lists": (MAY, usage(crl_sign=False), IDENTIFIER),
    "no key usage": (MAY, IDENTIFIER),
    "no key identifier": (MAY, usage()),
    "damaged extension": (
        MAY,
        usage(),
        x509.UnrecognizedExtension(x509.SubjectKeyIdentifier.oid, b"\xff"),
    ),
}


def by_hand(authority: Authority, found: tuple[x509.ExtensionType, ...]) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority.name)
        .issuer_name(authority.name)
        .public_key(authority.signer.public_key)
        .serial_number(1)
        .not_valid_before(authority.starts)
        .not_valid_after(authority.ends)
    )
    for extension in found:
        builder = builder.add_extension(extension, critical=True)
    return authority.signer.sign_certificate(builder)


class TestStartCheck:
    """What is checked before an authority is used."""

    @pytest.mark.parametrize("algorithm", KeyAlgorithm)
    def test_sound(self, now: datetime, new_authority: NewAuthority, algorithm: KeyAlgorithm) -> None:
        new_authority(algorithm).check(now)

    @pytest.mark.parametrize("algorithm", KeyAlgorithm)
    @pytest.mark.parametrize("other", KeyAlgorithm)
    def test_key_of_another_authority(
        self, now: datetime, new_authority: NewAuthority, algorithm: KeyAlgorithm, other: KeyAlgorithm
    ) -> None:
        mixed = Authority(new_authority(algorithm).certificate, generate(other))
        with pytest.raises(RefusedError, match="does not belong to its certificate") as caught:
            mixed.check(now)
        assert "backup" in caught.value.hint

    def test_dates(self, now: datetime, authority: Authority) -> None:
        authority.check(authority.starts)
        authority.check(authority.ends)
        for moment in (authority.starts - timedelta(seconds=1), authority.ends + timedelta(seconds=1)):
            with pytest.raises(RefusedError):
                authority.check(moment)

    @pytest.mark.parametrize("fault", NOT_AN_AUTHORITY)
    def test_certificate_that_may_not_sign(self, now: datetime, authority: Authority, fault: str) -> None:
        found = by_hand(authority, NOT_AN_AUTHORITY[fault])
        with pytest.raises(RefusedError, match="not one that may sign") as caught:
            Authority(found, authority.signer).check(now)
        assert "backup" in caught.value.hint

    def test_by_hand_makes_what_may_sign(self, now: datetime, authority: Authority) -> None:
        Authority(by_hand(authority, SOUND), authority.signer).check(now)


def test_times_of_another_zone_are_the_same_times(
    now: datetime, authority: Authority, request_of: RequestOf
) -> None:
    elsewhere = now.astimezone(timezone(timedelta(hours=9)))
    certificates = [
        issue_client(
            request_of("p256"), ALICE, authority, now=moment, days=1, randomness=lambda size: b"1" * size
        )
        for moment in (now, elsewhere)
    ]
    assert certificates[0] == certificates[1]
    assert certificates[0].not_valid_after_utc == (now + timedelta(days=1)).astimezone(UTC)
