# SPDX-License-Identifier: Apache-2.0
"""A public key in words, as OpenSSL prints it inside a certificate."""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_BYTES_PER_LINE = 15
# OpenSSL's and NIST's names of the curves that get certificates here.
_CURVES = {"secp256r1": ("prime256v1", "P-256"), "secp384r1": ("secp384r1", "P-384")}


def lines(public_key: object) -> list[str]:
    """Return the lines below ``Subject Public Key Info:``."""
    return [f"            {line}" for line in _lines(public_key)]


def _lines(public_key: object) -> list[str]:
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return [
            "Public Key Algorithm: ED25519",
            "    ED25519 Public-Key:",
            "    pub:",
            *_octets(public_key.public_bytes_raw()),
        ]
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        asn1, nist = _CURVES.get(public_key.curve.name, (public_key.curve.name, ""))
        return [
            "Public Key Algorithm: id-ecPublicKey",
            f"    Public-Key: ({public_key.key_size} bit)",
            "    pub:",
            *_octets(public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
            f"    ASN1 OID: {asn1}",
            *([f"    NIST CURVE: {nist}"] if nist else []),
        ]
    if isinstance(public_key, rsa.RSAPublicKey):
        numbers = public_key.public_numbers()
        return [
            "Public Key Algorithm: rsaEncryption",
            f"    Public-Key: ({public_key.key_size} bit)",
            "    Modulus:",
            # A zero octet in front when the first bit is set, as DER encodes a positive number.
            *_octets(numbers.n.to_bytes(numbers.n.bit_length() // 8 + 1, "big")),
            f"    Exponent: {numbers.e} ({numbers.e:#x})",
        ]
    return ["Public Key Algorithm: not known here"]


def _octets(value: bytes) -> list[str]:
    step = _BYTES_PER_LINE
    pieces = [value[start : start + step].hex(":") for start in range(0, len(value), step)]
    return [f"        {piece}:" for piece in pieces[:-1]] + [f"        {piece}" for piece in pieces[-1:]]
