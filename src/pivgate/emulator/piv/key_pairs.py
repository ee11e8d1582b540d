# SPDX-License-Identifier: Apache-2.0
"""Key pairs: make them, take them from outside, use them, show their public half.

Sources: SP 800-73-4 part 2 section 3.3.2 (public keys), Yubico's "Import asymmetric key pair", SP 800-78-4.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.firmware import KeyType
from pivgate.emulator.piv import fields

PrivateKey = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey
)

_EXPONENT = 65537
_RSA_BITS = MappingProxyType(
    {KeyType.RSA1024: 1024, KeyType.RSA2048: 2048, KeyType.RSA3072: 3072, KeyType.RSA4096: 4096}
)
_CURVES: Mapping[KeyType, ec.EllipticCurve] = MappingProxyType(
    {KeyType.ECCP256: ec.SECP256R1(), KeyType.ECCP384: ec.SECP384R1()}
)
_MODULUS, _PUBLIC_EXPONENT, _POINT = 0x81, 0x82, 0x86
_PRIME_P, _PRIME_Q, _EXPONENT_P, _EXPONENT_Q, _COEFFICIENT = range(0x01, 0x06)
_SCALAR, _ED25519_SEED, _X25519_SCALAR = 0x06, 0x07, 0x08
# The digest is already made; the hash only tells the library its length.
_ECDSA = MappingProxyType(
    {
        KeyType.ECCP256: ec.ECDSA(Prehashed(hashes.SHA256())),
        KeyType.ECCP384: ec.ECDSA(Prehashed(hashes.SHA384())),
    }
)
_FIELD_BYTES = MappingProxyType({KeyType.ECCP256: 32, KeyType.ECCP384: 48})


def type_of(key: PrivateKey) -> KeyType:
    """Return the algorithm of a key.

    Raises:
        KeyError: No YubiKey knows a key of this size or on this curve.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        return KeyType[f"RSA{key.key_size}"]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {curve.name: key_type for key_type, curve in _CURVES.items()}[key.curve.name]
    return KeyType.ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else KeyType.X25519


def generate(key_type: KeyType) -> PrivateKey:
    """Make a key pair, with the operating system's randomness: the library takes no other."""
    if key_type in _RSA_BITS:
        return rsa.generate_private_key(_EXPONENT, _RSA_BITS[key_type])
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type])
    return (
        ed25519.Ed25519PrivateKey.generate()
        if key_type is KeyType.ED25519
        else x25519.X25519PrivateKey.generate()
    )


def from_elements(key_type: KeyType, elements: Mapping[int, bytes]) -> PrivateKey:
    """Build a private key from the elements of IMPORT ASYMMETRIC.

    Raises:
        StatusError: 6A80 when elements are missing, left over, of a wrong length, or do not fit each other.
    """
    importer = _IMPORTERS[key_type]
    try:
        return importer(key_type, elements)
    except ValueError:
        raise StatusError(StatusWord.INCORRECT_DATA) from None


def _import_rsa(key_type: KeyType, elements: Mapping[int, bytes]) -> PrivateKey:
    fields.require(set(elements) == {_PRIME_P, _PRIME_Q, _EXPONENT_P, _EXPONENT_Q, _COEFFICIENT})
    half = _RSA_BITS[key_type] // 16
    fields.require(all(len(element) == half for element in elements.values()))
    p, q, dmp1, dmq1, iqmp = (
        int.from_bytes(elements[tag], "big") for tag in range(_PRIME_P, _COEFFICIENT + 1)
    )
    fields.require((p * q).bit_length() == _RSA_BITS[key_type])
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    # The library checks that all of this belongs together, and raises ValueError if not.
    return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, public).private_key()


def _import_curve(key_type: KeyType, elements: Mapping[int, bytes]) -> PrivateKey:
    fields.require(set(elements) == {_SCALAR} and len(elements[_SCALAR]) == _FIELD_BYTES[key_type])
    return ec.derive_private_key(int.from_bytes(elements[_SCALAR], "big"), _CURVES[key_type])


def _import_ed25519(_key_type: KeyType, elements: Mapping[int, bytes]) -> PrivateKey:
    fields.require(set(elements) == {_ED25519_SEED})
    return ed25519.Ed25519PrivateKey.from_private_bytes(elements[_ED25519_SEED])


def _import_x25519(_key_type: KeyType, elements: Mapping[int, bytes]) -> PrivateKey:
    fields.require(set(elements) == {_X25519_SCALAR})
    return x25519.X25519PrivateKey.from_private_bytes(elements[_X25519_SCALAR])


_IMPORTERS: Mapping[KeyType, Callable[[KeyType, Mapping[int, bytes]], PrivateKey]] = MappingProxyType(
    dict.fromkeys(_RSA_BITS, _import_rsa)
    | dict.fromkeys(_CURVES, _import_curve)
    | {KeyType.ED25519: _import_ed25519, KeyType.X25519: _import_x25519}
)


def public_template(key: PrivateKey) -> bytes:
    """Return the public half as the card shows it: modulus and exponent, or a point."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        modulus = numbers.n.to_bytes(key.key_size // 8, "big")
        return tlv.build(_MODULUS, modulus) + tlv.build(_PUBLIC_EXPONENT, numbers.e.to_bytes(3, "big"))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    else:
        point = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return tlv.build(_POINT, point)


def sign(key_type: KeyType, key: PrivateKey, data: bytes) -> bytes:
    """Apply a private key: ECDSA over a digest, Ed25519 over a message, the bare RSA operation over a block.

    Raises:
        StatusError: 6A80 when the data has a length that the key cannot take, or the key cannot sign.
    """
    if isinstance(key, ec.EllipticCurvePrivateKey):
        length = _FIELD_BYTES[key_type]
        fields.require(0 < len(data) <= length)
        # A short digest is the same number with zeros before it (FIPS 186-4, section 6.4).
        return key.sign(data.rjust(length, b"\0"), _ECDSA[key_type])
    if isinstance(key, rsa.RSAPrivateKey):
        return _rsa_private(key, data)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    raise StatusError(StatusWord.INCORRECT_DATA)


def _rsa_private(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """Raise a block to the private exponent, by the Chinese remainder theorem (RFC 8017, section 5.1.2)."""
    numbers = key.private_numbers()
    length = key.key_size // 8
    message = int.from_bytes(block, "big")
    fields.require(len(block) == length and message < numbers.public_numbers.n)
    p, q = numbers.p, numbers.q
    by_p = pow(message % p, numbers.dmp1, p)
    by_q = pow(message % q, numbers.dmq1, q)
    return (by_q + (by_p - by_q) * numbers.iqmp % p * q).to_bytes(length, "big")


def agree(key_type: KeyType, key: PrivateKey, peer: bytes) -> bytes:
    """Agree on a secret: the x coordinate (ECDH), or the u coordinate (X25519).

    Raises:
        StatusError: 6A80 when the peer's public key is none on this key's curve, or the key cannot agree.
    """
    # The library says ValueError of a peer that is no point on the curve.
    with suppress(ValueError):
        if isinstance(key, ec.EllipticCurvePrivateKey):
            # Compressed points are not known to the card.
            fields.require(len(peer) == 1 + 2 * _FIELD_BYTES[key_type])
            point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[key_type], peer)
            return key.exchange(ec.ECDH(), point)
        if isinstance(key, x25519.X25519PrivateKey):
            return key.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
    raise StatusError(StatusWord.INCORRECT_DATA)
