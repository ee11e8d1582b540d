# SPDX-License-Identifier: Apache-2.0
"""Signatures by the key in slot 9a: for a certificate request, a proof, or a TLS handshake."""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import KEY_TYPE, SLOT, PivSession

from pivgate.errors import RefusedError
from pivgate.yubikey.pins import check_tries, pin_tries, verify_pin
from pivgate.yubikey.session import spoken_errors
from pivgate.yubikey.slot import SLOT_9A, PublicKey

_CHALLENGE_PREFIX = b"pivgate: proof that the key in slot 9a signs\0"
"""So that nobody can pass off something else as a challenge."""


class SlotSigner:
    """Signs with a private key that stays in the YubiKey.

    Args:
        piv: An open session; the PIN may have been verified in it already.
        public_key: The public half of the key in the slot.
        slot: The slot.
        ask_pin: Asked, with the tries left, when the key demands the PIN; None if it cannot be asked.
        use_last_try: Whether the PIN may be tried when only one try is left.
    """

    def __init__(
        self,
        piv: PivSession,
        public_key: PublicKey,
        *,
        slot: SLOT = SLOT_9A,
        ask_pin: Callable[[int], str] | None = None,
        use_last_try: bool = False,
    ) -> None:
        self.public_key = public_key
        self._piv = piv
        self._slot = slot
        self._key_type = KEY_TYPE.from_public_key(public_key)
        self._ask_pin = ask_pin
        self._use_last_try = use_last_try

    def sign(
        self,
        message: bytes,
        hash_algorithm: hashes.HashAlgorithm | Prehashed | None = None,
        rsa_padding: padding.AsymmetricPadding | None = None,
    ) -> bytes:
        """Sign a message.

        Args:
            message: The message, or its digest together with ``Prehashed``.
            hash_algorithm: None for the one that goes with the key; Ed25519 takes none.
            rsa_padding: PKCS #1 v1.5 (None) or PSS; only for RSA.

        Returns:
            DER for ECDSA (RFC 3279, section 2.2.3), the bare signature for RSA and Ed25519.

        Raises:
            SecretError: The PIN is wrong, blocked or cannot be asked.
            DeviceError: The key was pulled out, not touched, or refused.
        """
        with spoken_errors():
            try:
                return self._sign(message, hash_algorithm, rsa_padding)
            except ApduError as error:
                if error.sw != SW.SECURITY_CONDITION_NOT_SATISFIED or self._ask_pin is None:
                    raise
            self._verify(self._ask_pin)
            return self._sign(message, hash_algorithm, rsa_padding)

    def _verify(self, ask: Callable[[int], str]) -> None:
        tries = pin_tries(self._piv)
        check_tries("PIN", tries, use_last_try=self._use_last_try)
        verify_pin(self._piv, ask(tries))

    def _sign(
        self,
        message: bytes,
        hash_algorithm: hashes.HashAlgorithm | Prehashed | None,
        rsa_padding: padding.AsymmetricPadding | None,
    ) -> bytes:
        if isinstance(self.public_key, ed25519.Ed25519PublicKey):
            return self._piv.sign(self._slot, self._key_type, message, None)
        algorithm = hash_algorithm or natural_hash(self.public_key)
        if isinstance(self.public_key, rsa.RSAPublicKey):
            return self._piv.sign(
                self._slot,
                self._key_type,
                message,
                algorithm,  # type: ignore[arg-type] # it takes Prehashed as well
                rsa_padding or padding.PKCS1v15(),
            )
        digest = message if isinstance(algorithm, Prehashed) else _digest(message, algorithm)
        # A digest shorter than the curve is a smaller number: the zeros in front say so to every firmware.
        digest = digest.rjust((self.public_key.curve.key_size + 7) // 8, b"\0")
        prehashed = Prehashed(hashes.SHA384() if len(digest) > 32 else hashes.SHA256())
        return self._piv.sign(self._slot, self._key_type, digest, prehashed)  # type: ignore[arg-type]


def natural_hash(public_key: PublicKey) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash as strong as the key: SHA-384 for P-384, else SHA-256."""
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def _digest(message: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(message)
    return digest.finalize()


def sign_challenge(signer: SlotSigner, public_key: PublicKey, randomness: Callable[[int], bytes]) -> None:
    """Let the key sign a fresh challenge and check the signature.

    Args:
        signer: The key.
        public_key: The public key it must belong to, as the certificate has it.
        randomness: Makes that many random bytes.

    Raises:
        RefusedError: The signature is by another key.
        SecretError: The PIN is wrong or blocked.
        DeviceError: The key was pulled out or refused.
    """
    challenge = _CHALLENGE_PREFIX + randomness(32)
    signature = signer.sign(challenge)
    try:
        verify_signature(public_key, signature, challenge)
    except InvalidSignature as error:
        raise RefusedError(
            "The key in slot 9a does not belong to its certificate",
            "Provision it anew: `pivgate key provision --replace`.",
        ) from error


def verify_signature(public_key: PublicKey, signature: bytes, message: bytes) -> None:
    """Check what ``SlotSigner.sign`` made with its defaults.

    Raises:
        InvalidSignature: It is not a signature by that key over that message.
    """
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        public_key.verify(signature, message)
    elif isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, message, padding.PKCS1v15(), natural_hash(public_key))
    else:
        public_key.verify(signature, message, ec.ECDSA(natural_hash(public_key)))
