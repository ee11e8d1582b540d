# SPDX-License-Identifier: Apache-2.0
"""Private keys encrypted under a passphrase, as PKCS#8 with a key derivation that resists guessing.

``cryptography`` writes PKCS#8 with PBKDF2 and 2,048 rounds, a pace at which a graphics card tries millions of
passphrases a second, and offers no way to ask for more. So the envelope is written here: PBES2 (RFC 8018,
section 6.2) with scrypt (RFC 7914, section 7) and AES-256-CBC. ``cryptography`` and ``openssl pkey`` read it.
"""

import base64
import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

# OWASP's advice on password storage names these three among its equal choices. Of those it is the one that
# `openssl pkey` can read: OpenSSL gives scrypt 32 MiB unless told otherwise, and 128 * N * r is 16 MiB.
_COST = 2**14
_BLOCK_SIZE = 8
_PARALLELISM = 5

_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42

_SEQUENCE, _INTEGER, _OCTET_STRING = 0x30, 0x02, 0x04


def encrypt(private_key_info: bytes, passphrase: bytes, randomness: Callable[[int], bytes]) -> bytes:
    """Encrypt a PKCS#8 private key.

    Args:
        private_key_info: The key, DER, as in RFC 5958 section 2.
        passphrase: Any bytes, at least one.
        randomness: Gives that many random bytes.

    Returns:
        An ``ENCRYPTED PRIVATE KEY`` in PEM.
    """
    salt, vector = randomness(16), randomness(16)
    key = hashlib.scrypt(
        passphrase, salt=salt, n=_COST, r=_BLOCK_SIZE, p=_PARALLELISM, maxmem=2**25, dklen=32
    )
    padder = PKCS7(algorithms.AES.block_size).padder()
    padded = padder.update(private_key_info) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    derivation = _der(
        _SEQUENCE,
        _SCRYPT
        + _der(
            _SEQUENCE,
            _der(_OCTET_STRING, salt) + _integer(_COST) + _integer(_BLOCK_SIZE) + _integer(_PARALLELISM),
        ),
    )
    cipher = _der(_SEQUENCE, _AES_256_CBC + _der(_OCTET_STRING, vector))
    algorithm = _der(_SEQUENCE, _PBES2 + _der(_SEQUENCE, derivation + cipher))
    return _pem(_der(_SEQUENCE, algorithm + _der(_OCTET_STRING, ciphertext)))


def check_envelope(der: bytes) -> None:
    """Accept what has the form of an encrypted private key, whether or not anybody can open it.

    This tells a damaged file from a wrong passphrase, as far as that can be told without the passphrase.

    Raises:
        ValueError: It is not an EncryptedPrivateKeyInfo (RFC 5958, section 3).
    """
    tag, content, rest = _read(der)
    if tag != _SEQUENCE or rest:
        raise ValueError("not one sequence")
    tag, _, rest = _read(content)
    if tag != _SEQUENCE:
        raise ValueError("no algorithm")
    tag, ciphertext, rest = _read(rest)
    if tag != _OCTET_STRING or rest or not ciphertext:
        raise ValueError("no ciphertext")


def _read(data: bytes) -> tuple[int, bytes, bytes]:
    """Split off one element: its tag, its content, and what follows it."""
    if len(data) < 2:
        raise ValueError("an element is cut off")
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("an element is cut off")
    return data[0], data[start : start + size], data[start + size :]


def _der(tag: int, value: bytes) -> bytes:
    length = len(value)
    if length < 0x80:
        return bytes((tag, length)) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + value


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _pem(der: bytes) -> bytes:
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    body = "\n".join(lines)
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode(
        "ascii"
    )
