# SPDX-License-Identifier: Apache-2.0
"""The authority's own key: which kinds there are, how it signs, how it is kept in a file."""

import base64
import os
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from pivgate.authority import pkcs8
from pivgate.errors import SecretError, StorageError

AuthorityPublicKey: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
AuthorityPrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

_RESTORE = "Restore the authority's key from a backup."


class KeyAlgorithm(StrEnum):
    """The kinds of key an authority may have."""

    ED25519 = "ed25519"
    P256 = "p256"
    P384 = "p384"


_CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.P256: ec.SECP256R1(),
    KeyAlgorithm.P384: ec.SECP384R1(),
}
# The hash that is as strong as the curve (RFC 5480, section 4).
_HASHES: dict[str, hashes.SHA256 | hashes.SHA384] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
}


class Signer(Protocol):
    """Whatever holds the authority's private key, a file or a device, and signs with it."""

    @property
    def public_key(self) -> AuthorityPublicKey:
        """The public half of the key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign bytes as they are; used to prove that this is the certificate's key."""
        ...

    def sign_certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign a certificate."""
        ...

    def sign_crl(self, builder: x509.CertificateRevocationListBuilder) -> x509.CertificateRevocationList:
        """Sign a revocation list."""
        ...


class FileSigner:
    """A signer whose private key is in this process, and at rest in an encrypted file."""

    def __init__(self, private_key: AuthorityPrivateKey) -> None:
        self._private_key = private_key
        # Ed25519 brings its own hash.
        self._hash = (
            None if isinstance(private_key, ed25519.Ed25519PrivateKey) else _HASHES[private_key.curve.name]
        )

    @property
    def public_key(self) -> AuthorityPublicKey:
        """The public half of the key."""
        return self._private_key.public_key()

    def sign(self, data: bytes) -> bytes:
        """Sign bytes as they are."""
        if isinstance(self._private_key, ed25519.Ed25519PrivateKey):
            return self._private_key.sign(data)
        return self._private_key.sign(data, _ecdsa(self._private_key.curve))

    def sign_certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign a certificate."""
        return builder.sign(self._private_key, self._hash)

    def sign_crl(self, builder: x509.CertificateRevocationListBuilder) -> x509.CertificateRevocationList:
        """Sign a revocation list."""
        return builder.sign(self._private_key, self._hash)

    def encrypted_pem(
        self,
        passphrase: bytes,
        *,
        allow_empty: bool = False,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> bytes:
        """Return the private key as PKCS#8 in PEM, encrypted with scrypt and AES-256 under a passphrase.

        Args:
            passphrase: What the key is encrypted under.
            allow_empty: Write the key in the clear when the passphrase is empty.
            randomness: Gives that many random bytes, for salt and initialisation vector.

        Raises:
            SecretError: The passphrase is empty, and that was not allowed.
        """
        if not passphrase:
            if not allow_empty:
                raise SecretError(
                    "The authority's key would be kept without a passphrase",
                    "Give a passphrase; to keep the key in the clear, ask for that explicitly.",
                )
            return self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        plain = self._private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return pkcs8.encrypt(plain, passphrase, randomness)


def verify_signature(public_key: object, signature: bytes, data: bytes) -> None:
    """Verify what ``Signer.sign`` returned.

    Raises:
        InvalidSignature: Another key made it, it is of other data, or no authority has such a kind of key.
    """
    match public_key:
        case ed25519.Ed25519PublicKey():
            public_key.verify(signature, data)
        case ec.EllipticCurvePublicKey() if public_key.curve.name in _HASHES:
            public_key.verify(signature, data, _ecdsa(public_key.curve))
        case _:
            raise InvalidSignature


def _ecdsa(curve: ec.EllipticCurve) -> ec.ECDSA:
    return ec.ECDSA(_HASHES[curve.name])


def generate(algorithm: KeyAlgorithm) -> FileSigner:
    """Make a new key, from the randomness of the cryptographic library."""
    if algorithm is KeyAlgorithm.ED25519:
        return FileSigner(ed25519.Ed25519PrivateKey.generate())
    return FileSigner(ec.generate_private_key(_CURVES[algorithm]))


_BLOCK = re.compile(
    rb"\s*-----BEGIN (ENCRYPTED |)PRIVATE KEY-----[ \t]*\r?\n"
    rb"([A-Za-z0-9+/=\s]+)-----END \1PRIVATE KEY-----\s*"
)


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a key file needs a passphrase. It is not otherwise looked at."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def load_signer(pem: bytes, passphrase: bytes) -> FileSigner:
    """Read a private key that ``encrypted_pem``, or ``openssl pkcs8 -topk8``, wrote.

    Args:
        pem: The content of the file.
        passphrase: What it is encrypted under; empty when it is not encrypted. For a key in the clear a
            passphrase is not needed and not looked at.

    Raises:
        SecretError: The key is encrypted and the passphrase is missing or wrong.
        StorageError: The file is damaged, or holds a kind of key that no authority here has.
    """
    block = _BLOCK.fullmatch(pem)
    if block is None:
        raise _damaged()
    encrypted = bool(block[1])
    try:
        der = base64.b64decode(b"".join(block[2].split()), validate=True)
        if encrypted:
            pkcs8.check_envelope(der)
    except ValueError as error:
        raise _damaged() from error
    if encrypted and not passphrase:
        raise SecretError(
            "The authority's key is encrypted and no passphrase was given", "Give its passphrase."
        )
    try:
        private_key = load_der_private_key(der, passphrase if encrypted else None)
    except UnsupportedAlgorithm as error:
        raise _damaged() from error
    except ValueError as error:
        if not encrypted:
            raise _damaged() from error
        raise SecretError(
            "The passphrase does not open the authority's key",
            "Try again. If the passphrase is certainly right, the file is damaged: restore it from a backup.",
        ) from error
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return FileSigner(private_key)
    if isinstance(private_key, ec.EllipticCurvePrivateKey) and private_key.curve.name in _HASHES:
        return FileSigner(private_key)
    raise StorageError(
        "The authority's key file holds a kind of key that pivgate does not use for authorities",
        "An authority's key is Ed25519, P-256 or P-384. " + _RESTORE,
    )


def _damaged() -> StorageError:
    return StorageError("The authority's key file is damaged", _RESTORE)
