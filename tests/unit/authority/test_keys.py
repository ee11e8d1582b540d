# SPDX-License-Identifier: Apache-2.0
"""The authority's key: signing, keeping it in a file, and every way of not getting it out again."""

import base64
import os
import re
from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pivgate.authority.keys import KeyAlgorithm, generate, is_encrypted, load_signer, verify_signature
from pivgate.errors import SecretError, StorageError

PASSPHRASE = b"correct horse battery staple"

SIZES = {
    KeyAlgorithm.ED25519: "Ed25519PublicKey",
    KeyAlgorithm.P256: "secp256r1",
    KeyAlgorithm.P384: "secp384r1",
}


@pytest.fixture(scope="module")
def encrypted() -> bytes:
    return generate(KeyAlgorithm.ED25519).encrypted_pem(PASSPHRASE)


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_the_kinds_of_key(algorithm: KeyAlgorithm) -> None:
    public_key = generate(algorithm).public_key
    kind = (
        public_key.curve.name
        if isinstance(public_key, ec.EllipticCurvePublicKey)
        else type(public_key).__name__
    )
    assert SIZES[algorithm] in kind


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_kept_and_read_again(algorithm: KeyAlgorithm) -> None:
    signer = generate(algorithm)
    pem = signer.encrypted_pem(PASSPHRASE)
    assert is_encrypted(pem)
    assert load_signer(pem, PASSPHRASE).public_key == signer.public_key


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_signatures_verify_and_only_as_they_were_made(algorithm: KeyAlgorithm) -> None:
    signer = generate(algorithm)
    signature = signer.sign(b"data")
    verify_signature(signer.public_key, signature, b"data")
    for key, data in ((signer.public_key, b"other data"), (generate(algorithm).public_key, b"data")):
        with pytest.raises(InvalidSignature):
            verify_signature(key, signature, data)


def test_keys_that_no_authority_has_verify_nothing() -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    with pytest.raises(InvalidSignature):
        verify_signature(key.public_key(), b"", b"")
    with pytest.raises(InvalidSignature):
        verify_signature(ed448.Ed448PrivateKey.generate().public_key(), b"", b"")


def test_the_key_cannot_be_seen_in_the_file() -> None:
    signer = generate(KeyAlgorithm.ED25519)
    plain = signer.encrypted_pem(b"", allow_empty=True)
    secret = load_pem_private_key(plain, None).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    protected = signer.encrypted_pem(PASSPHRASE)
    assert secret not in re.sub(rb"\s", b"", protected)
    assert b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in protected


def test_the_passphrase_is_stretched_with_scrypt(encrypted: bytes) -> None:
    der = load_pem_body(encrypted)
    # The object identifier of scrypt, then N = 16384, r = 8, p = 5.
    assert bytes.fromhex("2b06010401da47040b") in der
    assert bytes.fromhex("02024000020108020105") in der


def load_pem_body(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def test_two_files_of_one_key_share_neither_salt_nor_vector() -> None:
    signer = generate(KeyAlgorithm.ED25519)
    assert signer.encrypted_pem(PASSPHRASE) != signer.encrypted_pem(PASSPHRASE)


def test_randomness_is_passed_in(randomness: Callable[[int], bytes]) -> None:
    asked: list[int] = []

    def counted(size: int) -> bytes:
        asked.append(size)
        return b"\x01" * size

    signer = generate(KeyAlgorithm.P384)
    assert signer.encrypted_pem(PASSPHRASE, randomness=counted) == signer.encrypted_pem(
        PASSPHRASE, randomness=counted
    )
    assert asked == [16, 16, 16, 16]


def test_an_empty_passphrase_only_when_it_is_asked_for() -> None:
    signer = generate(KeyAlgorithm.P256)
    with pytest.raises(SecretError, match="without a passphrase") as caught:
        signer.encrypted_pem(b"")
    assert caught.value.hint
    pem = signer.encrypted_pem(b"", allow_empty=True)
    assert not is_encrypted(pem)
    assert load_signer(pem, b"").public_key == signer.public_key


def test_a_passphrase_is_used_even_where_none_would_be_allowed() -> None:
    assert is_encrypted(generate(KeyAlgorithm.P256).encrypted_pem(PASSPHRASE, allow_empty=True))


def test_a_key_in_the_clear_needs_no_passphrase_and_minds_none() -> None:
    pem = generate(KeyAlgorithm.P256).encrypted_pem(b"", allow_empty=True)
    load_signer(pem, PASSPHRASE)


@pytest.mark.parametrize("wrong", [b"Correct horse battery staple", PASSPHRASE + b"\n", b"x", b"\xff\x00"])
def test_wrong_passphrase(encrypted: bytes, wrong: bytes) -> None:
    with pytest.raises(SecretError, match="passphrase does not open") as caught:
        load_signer(encrypted, wrong)
    assert "again" in caught.value.hint
    assert "backup" in caught.value.hint


def test_missing_passphrase(encrypted: bytes) -> None:
    with pytest.raises(SecretError, match="no passphrase was given") as caught:
        load_signer(encrypted, b"")
    assert caught.value.hint


@pytest.mark.parametrize("passphrase", [b"\x00", b"p\x00q", "Zürich 🔑".encode(), os.urandom(1000)])
def test_any_bytes_may_be_a_passphrase(passphrase: bytes) -> None:
    signer = generate(KeyAlgorithm.ED25519)
    assert load_signer(signer.encrypted_pem(passphrase), passphrase).public_key == signer.public_key


def test_files_that_openssl_would_write_are_read_too() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    assert load_signer(pem, PASSPHRASE).public_key == key.public_key()


def damaged(pem: bytes) -> dict[str, bytes]:
    lines = pem.splitlines(keepends=True)
    return {
        "empty": b"",
        "truncated": pem[: len(pem) // 2],
        "no end": b"".join(lines[:-1]),
        "no line ends": b"".join(lines).replace(b"\n", b""),
        "binary": bytes(range(256)),
        "two keys": pem + pem,
        "text around": b"keep this secret\n" + pem,
        "a certificate": pem.replace(b"ENCRYPTED PRIVATE KEY", b"CERTIFICATE"),
        "labels differ": pem.replace(b"END ENCRYPTED", b"END"),
    }


@pytest.mark.parametrize("fault", damaged(b"").keys())
def test_damaged_file(encrypted: bytes, fault: str) -> None:
    with pytest.raises(StorageError, match="damaged") as caught:
        load_signer(damaged(encrypted)[fault], PASSPHRASE)
    assert "backup" in caught.value.hint


def test_damaged_inside_when_it_is_not_encrypted() -> None:
    pem = generate(KeyAlgorithm.P256).encrypted_pem(b"", allow_empty=True)
    body = pem.splitlines()[1]
    with pytest.raises(StorageError, match="damaged"):
        load_signer(pem.replace(body, body[::-1]), b"")


def test_damaged_inside_when_it_is_encrypted(encrypted: bytes) -> None:
    lines = encrypted.splitlines(keepends=True)
    with pytest.raises(StorageError, match="damaged"):
        load_signer(b"".join([lines[0], lines[1][::-1], *lines[2:]]), PASSPHRASE)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP521R1()),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["rsa", "p521", "ed448"],
)
def test_kinds_of_key_that_no_authority_has(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey,
) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(StorageError, match="kind of key") as caught:
        load_signer(pem, b"")
    assert "P-384" in caught.value.hint


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_no_bytes_do_more_than_raise_our_errors(data: bytes) -> None:
    with pytest.raises(StorageError):
        load_signer(data, PASSPHRASE)
