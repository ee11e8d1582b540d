# SPDX-License-Identifier: Apache-2.0
"""The envelope of an encrypted key: what it is made of, and which damage is seen without the passphrase."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from pivgate.authority.keys import KeyAlgorithm, generate, load_signer
from pivgate.authority.pkcs8 import check_envelope, encrypt
from pivgate.errors import StorageError

PASSPHRASE = b"correct horse battery staple"

ALGORITHM = bytes.fromhex("3003060100")
CIPHERTEXT = bytes.fromhex("0402abcd")


def sequence(*content: bytes) -> bytes:
    body = b"".join(content)
    return bytes((0x30, len(body))) + body


BROKEN = {
    "empty": b"",
    "one octet": b"\x30",
    "cut off": sequence(ALGORITHM, CIPHERTEXT)[:-1],
    "more behind it": sequence(ALGORITHM, CIPHERTEXT) + b"\x00",
    "not a sequence": b"\x31" + sequence(ALGORITHM, CIPHERTEXT)[1:],
    "nothing in it": sequence(),
    "algorithm not a sequence": sequence(CIPHERTEXT, CIPHERTEXT),
    "no ciphertext": sequence(ALGORITHM),
    "ciphertext not octets": sequence(ALGORITHM, ALGORITHM),
    "ciphertext empty": sequence(ALGORITHM, b"\x04\x00"),
    "ciphertext cut off": sequence(ALGORITHM, b"\x04\x03\xab\xcd"),
    "more behind the ciphertext": sequence(ALGORITHM, CIPHERTEXT, b"\x05\x00"),
    "length without end": b"\x30\xff" + bytes(20),
}


def der_of(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def pem_of(der: bytes) -> bytes:
    label = b"ENCRYPTED PRIVATE KEY-----\n"
    return b"-----BEGIN " + label + base64.encodebytes(der) + b"-----END " + label


@pytest.fixture(scope="module")
def envelope() -> bytes:
    return der_of(generate(KeyAlgorithm.ED25519).encrypted_pem(PASSPHRASE))


def test_sound(envelope: bytes) -> None:
    check_envelope(envelope)
    check_envelope(sequence(ALGORITHM, CIPHERTEXT))


@pytest.mark.parametrize("fault", BROKEN)
def test_broken(fault: str) -> None:
    with pytest.raises(ValueError, match=r"not one|no |cut off"):
        check_envelope(BROKEN[fault])
    if BROKEN[fault]:
        with pytest.raises(StorageError):
            load_signer(pem_of(BROKEN[fault]), PASSPHRASE)


def test_every_cut_is_seen_without_the_passphrase(envelope: bytes) -> None:
    for size in range(1, len(envelope)):
        with pytest.raises(StorageError, match="damaged"):
            load_signer(pem_of(envelope[:size]), b"")


def test_a_kind_of_key_that_nobody_knows_is_damage() -> None:
    pem = generate(KeyAlgorithm.ED25519).encrypted_pem(b"", allow_empty=True)
    unknown = der_of(pem).replace(bytes.fromhex("06032b6570"), bytes.fromhex("06032b657f"))
    with pytest.raises(StorageError, match="damaged"):
        load_signer(pem_of(unknown).replace(b"ENCRYPTED ", b""), b"")


@pytest.mark.parametrize("size", [1, 16, 120, 5000])
def test_the_lines_and_lengths_are_those_of_pem_and_der(size: int) -> None:
    pem = encrypt(bytes(size), PASSPHRASE, lambda wanted: b"\x80" * wanted)
    lines = pem.splitlines()
    assert lines[0] == b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
    assert lines[-1] == b"-----END ENCRYPTED PRIVATE KEY-----"
    assert all(len(line) == 64 for line in lines[1:-2])
    assert 0 < len(lines[-2]) <= 64
    check_envelope(der_of(pem))


def test_the_library_reads_it(envelope: bytes) -> None:
    load_der_private_key(envelope, PASSPHRASE)
