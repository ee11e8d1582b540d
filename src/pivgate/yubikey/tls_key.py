# SPDX-License-Identifier: Apache-2.0
"""A private key that stays in a YubiKey, with the face that tlslite-ng expects of a private key."""

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class HandshakeSigner(Protocol):
    """What makes the client's signature, on the key."""

    def sign(
        self,
        message: bytes,
        hash_algorithm: hashes.HashAlgorithm | Prehashed | None,
        rsa_padding: padding.AsymmetricPadding | None,
    ) -> bytes:
        """Return a signature over ``message``, in the form X.509 uses for this kind of key."""


@dataclass(frozen=True)
class Login:
    """The client certificate and the key that proves it."""

    certificate: x509.Certificate
    signer: HandshakeSigner


class _Curve:
    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self.baselen = (key.curve.key_size + 7) // 8


class TlsliteKey:
    """The face that tlslite-ng expects of a private key."""

    def __init__(self, login: Login) -> None:
        public_key = login.certificate.public_key()
        self._signer = login.signer
        self._public_key = public_key
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            self.key_type = "ecdsa"
            self.curve_name = f"NIST{public_key.curve.key_size}p"
            self.private_key = self
            self.curve = _Curve(public_key)
        elif isinstance(public_key, rsa.RSAPublicKey):
            self.key_type = "rsa"
        else:
            self.key_type = "Ed25519"

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        # Only asked of RSA keys, to choose a hash that fits.
        return self._public_key.key_size if isinstance(self._public_key, rsa.RSAPublicKey) else 0

    def sign(self, digest: bytes, scheme: str | None, hash_name: str, salt_length: int | None) -> bytearray:
        """Sign a digest made by tlslite-ng."""
        algorithm = _HASHES[hash_name]()
        pss = padding.PSS(padding.MGF1(algorithm), salt_length or 0) if scheme == "pss" else None
        return bytearray(self._signer.sign(bytes(digest), Prehashed(algorithm), pss))

    def hashAndSign(self, message: bytes, *_ignored: object) -> bytearray:  # noqa: N802 - tlslite's name
        """Sign a whole message: Ed25519 hashes for itself."""
        return bytearray(self._signer.sign(bytes(message), None, None))

    def verify(self, *_ignored: object) -> bool:
        """Answer tlslite-ng's check of our own signature: the gate is the judge of that."""
        return True

    hashAndVerify = verify  # noqa: N815 - tlslite's name
