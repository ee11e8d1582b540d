# SPDX-License-Identifier: Apache-2.0
"""Slot 9a: which certificate and which key are in it, and what the key demands before it signs."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import BadResponseError, NotSupportedError, Tlv
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import (
    INS_AUTHENTICATE,
    KEY_TYPE,
    PIN_POLICY,
    SLOT,
    TAG_AUTH_CHALLENGE,
    TAG_AUTH_RESPONSE,
    TAG_DYN_AUTH,
    TOUCH_POLICY,
    PivSession,
)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

SLOT_9A = SLOT.AUTHENTICATION
_POLICIES = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.8")
"""PIN policy and touch policy, one byte each, in an attestation statement."""


@dataclass(frozen=True)
class SlotKey:
    """A key pair in the slot.

    Attributes:
        public_key: Its public half; None for a kind that cannot log in (X25519).
        generated: Whether it was made inside the YubiKey.
        pin_policy: When the PIN is demanded.
        touch_policy: When a touch is demanded.
    """

    public_key: PublicKey | None
    generated: bool
    pin_policy: PIN_POLICY
    touch_policy: TOUCH_POLICY


@dataclass(frozen=True)
class SlotContents:
    """What the slot holds.

    Attributes:
        certificate: The certificate, if there is one that can be read.
        unreadable: There is something in the certificate's place that is not a certificate.
        key: The key pair, as far as the firmware shows it.
    """

    certificate: x509.Certificate | None
    unreadable: bool
    key: SlotKey | None


def read_slot(piv: PivSession) -> SlotContents:
    """Read slot 9a; this needs neither the PIN nor the management key."""
    certificate, unreadable = None, False
    try:
        certificate = piv.get_certificate(SLOT_9A)
    except ApduError as error:
        if error.sw != SW.FILE_NOT_FOUND:
            raise
    except (BadResponseError, NotSupportedError):
        unreadable = True
    return SlotContents(certificate, unreadable, _read_key(piv))


def same_key(certificate: x509.Certificate | None, key: SlotKey | None) -> bool:
    """Tell whether a certificate is for a key."""
    if certificate is None or key is None or key.public_key is None:
        return False
    return spki(certificate.public_key()) == spki(key.public_key)


def spki(public_key: object) -> bytes:
    """Encode a public key in the one form in which two can be compared (RFC 5280, section 4.1.2.7)."""
    encoded: bytes = public_key.public_bytes(  # type: ignore[attr-defined]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _read_key(piv: PivSession) -> SlotKey | None:
    try:
        metadata = piv.get_slot_metadata(SLOT_9A)
    except NotSupportedError:
        return _read_attested_key(piv)
    except ApduError as error:
        if error.sw == SW.REFERENCE_DATA_NOT_FOUND:
            return None
        raise
    return SlotKey(
        signing_key(metadata.public_key), metadata.generated, metadata.pin_policy, metadata.touch_policy
    )


def _read_attested_key(piv: PivSession) -> SlotKey | None:
    """Read the key from its attestation.

    Firmware below 5.3 shows it in no other way, and an imported one not at all.
    """
    try:
        statement = piv.attest_key(SLOT_9A)
    except ApduError:
        return None
    extension = statement.extensions.get_extension_for_oid(_POLICIES).value
    policies = extension.value if isinstance(extension, x509.UnrecognizedExtension) else b"\0\0"
    return SlotKey(
        signing_key(statement.public_key()), True, PIN_POLICY(policies[0]), TOUCH_POLICY(policies[1])
    )


def signing_key(public_key: object) -> PublicKey | None:
    """Return a public key if its private half can sign, which X25519 cannot."""
    if isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        return public_key
    return None


def holds_hidden_key(piv: PivSession) -> bool:
    """Find out by trying whether there is a key that the firmware does not show: an imported one below 5.3.

    The PIN must have been verified. The answer to a signature with a key that is not there, or of another
    kind, is "incorrect parameters".
    """
    for key_type in (KEY_TYPE.ECCP256, KEY_TYPE.ECCP384, KEY_TYPE.RSA2048, KEY_TYPE.RSA1024):
        message = b"\0" + b"\1" * (key_type.bit_len // 8 - 1)
        question = Tlv(TAG_DYN_AUTH, Tlv(TAG_AUTH_RESPONSE) + Tlv(TAG_AUTH_CHALLENGE, message))
        try:
            piv.protocol.send_apdu(0, INS_AUTHENTICATE, key_type, SLOT_9A, question)
        except ApduError as error:
            # Demanding a touch or another PIN is an answer too.
            if error.sw in (SW.SECURITY_CONDITION_NOT_SATISFIED, SW.CONDITIONS_NOT_SATISFIED):
                return True
            continue
        return True
    return False
