# SPDX-License-Identifier: Apache-2.0
"""Every request vector, good and bad; and that no bytes at all bring the parser down."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from pivgate.authority.policy import check_public_key
from pivgate.authority.request import SIZE_LIMIT, parse_request
from pivgate.errors import InputError, PivgateError, RefusedError

REQUESTS = Path(__file__).parents[2] / "vectors" / "authority" / "requests"

Vector = Callable[[str], bytes]

# What stands in a vector that cannot be parsed, and a word of the reason that must be given.
UNREADABLE = {
    "empty.pem": "empty",
    "blank.pem": "empty",
    "not-pem.pem": "neither DER nor a whole PEM block",
    "truncated.pem": "neither DER nor a whole PEM block",
    "truncated.der": "not a PKCS#10 structure",
    "truncated-inside.pem": "not a PKCS#10 structure",
    "version-2.pem": "not a PKCS#10 structure",
    "trailing-bytes.der": "not a PKCS#10 structure",
    "trailing-bytes.pem": "not a PKCS#10 structure",
    "two-requests.pem": "more than one PEM block",
    "second-block-truncated.pem": "more than one PEM block",
    "bad-base64.pem": "not base64",
    "surplus-base64-padding.pem": "not base64",
    "a-certificate.pem": "is a CERTIFICATE, not a request",
    "a-certificate-under-a-wrong-label.pem": "not a PKCS#10 structure",
}

# Requests that are well formed and refused before anybody looks at how strong the key is.
REFUSED = {
    "bad-signature.pem": "signature does not verify",
    "changed-subject.pem": "signature does not verify",
    "sha1-signature.pem": "sha1",
    "unknown-signature-algorithm.pem": "signed with an algorithm that is not known",
    "secp256k1.pem": "curve secp256k1",
    "p224.pem": "curve secp224r1",
    "p521.pem": "curve secp521r1",
    "brainpoolp384.pem": "curve brainpoolP384r1",
    "ed448.pem": "Ed448",
    "x25519.pem": "X25519 key is refused: it can only agree on keys, it cannot sign",
    "unknown-kind-of-key.pem": "kind of key that is not known",
    "dsa.pem": "DSA",
}

# Requests that prove possession, of a key that is worth nothing.
WEAK = {
    "rsa-1024.pem": "1024 bits is refused: it is too short",
    "rsa-2040.pem": "2040 bits is refused: it is too short",
    "rsa-3000.pem": "3000 bits is refused: YubiKeys make 2048, 3072, 4096 bits",
    "rsa-8192.pem": "8192 bits is refused: YubiKeys make",
    "rsa-exponent-3.pem": "public exponent 3 ",
    "rsa-exponent-odd-choice.pem": "public exponent 65539 ",
    "rsa-roca.pem": "ROCA",
    "rsa-close-primes.pem": "two primes are close together",
    "rsa-small-factor.pem": "small factor",
    "ed25519-small-order.pem": "small order",
}

GOOD = sorted(path.name for path in (REQUESTS / "good").iterdir())


def test_no_bad_vector_is_left_untried() -> None:
    assert {path.name for path in (REQUESTS / "bad").iterdir()} == {*UNREADABLE, *REFUSED, *WEAK}


@pytest.mark.parametrize(("name", "reason"), UNREADABLE.items())
def test_unreadable(vector: Vector, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        parse_request(vector(f"bad/{name}"))
    assert caught.value.hint


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_refused(vector: Vector, name: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as caught:
        parse_request(vector(f"bad/{name}"))
    assert caught.value.hint


@pytest.mark.parametrize(("name", "reason"), WEAK.items())
def test_weak_key(vector: Vector, name: str, reason: str) -> None:
    request = parse_request(vector(f"bad/{name}"))
    with pytest.raises(RefusedError, match=reason) as caught:
        check_public_key(request.public_key, None)
    assert caught.value.hint


def test_x25519_is_told_what_to_use_instead(vector: Vector) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_request(vector("bad/x25519.pem"))
    assert "p384" in caught.value.hint


@pytest.mark.parametrize("name", GOOD)
def test_good(vector: Vector, name: str) -> None:
    data = vector(f"good/{name}")
    request = parse_request(data)
    csr = x509.load_der_x509_csr(request.der)
    assert request.public_key == csr.public_key()
    if name.endswith(".der"):
        assert request.der == data


def test_pem_and_der_of_one_request_are_the_same_request(vector: Vector) -> None:
    assert parse_request(vector("good/p384.pem")) == parse_request(vector("good/p384.der"))


def test_larger_than_the_limit(vector: Vector) -> None:
    sound = vector("good/p384.pem")
    parse_request(sound.rjust(SIZE_LIMIT, b"\n"))
    with pytest.raises(InputError, match=f"{SIZE_LIMIT + 1} bytes; at most {SIZE_LIMIT}"):
        parse_request(sound.rjust(SIZE_LIMIT + 1, b"\n"))


@given(st.binary(max_size=400))
def test_no_bytes_do_more_than_raise_our_errors(data: bytes) -> None:
    with pytest.raises(PivgateError):
        parse_request(data)


@pytest.mark.parametrize("name", ["p256", "p384", "rsa-2048", "ed25519", "hostile"])
def test_no_changed_octet_is_overlooked(vector: Vector, name: str) -> None:
    csr = x509.load_pem_x509_csr(vector(f"good/{name}.pem"))
    sound = csr.public_bytes(Encoding.DER)
    # In front of the signature stands how many of its bits do not count: it is not itself part of anything.
    unused_bits = len(sound) - len(csr.signature) - 1
    for place in set(range(len(sound))) - {unused_bits}:
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(sound)
            changed[place] ^= change
            with pytest.raises(PivgateError):
                parse_request(bytes(changed))


def test_no_cut_off_octet_is_overlooked(vector: Vector) -> None:
    sound = vector("good/p384.der")
    for size in range(len(sound)):
        with pytest.raises(PivgateError):
            parse_request(sound[:size])
