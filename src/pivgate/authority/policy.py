# SPDX-License-Identifier: Apache-2.0
"""Which public keys get a client certificate: one small check per rule, each with its reason."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519

from pivgate.authority import rsa_weaknesses
from pivgate.errors import RefusedError

_USE_P384 = "Choose p384 instead."
_MAKE_ANOTHER = "Make another key on the device; p384 is the best choice."

RSA_SIZES = (2048, 3072, 4096)
_CURVES = ("secp256r1", "secp384r1")

# YSA-2017-01: Infineon's library in these firmware versions makes RSA keys that can be factored.
_ROCA_FIRST, _ROCA_FIXED = (4, 2, 0), (4, 3, 5)
# Firmware 5.7 brought RSA-3072, RSA-4096 and Ed25519 to the PIV application.
_FIVE_SEVEN = (5, 7, 0)

Firmware = tuple[int, int, int]


@dataclass(frozen=True)
class Advice:
    """What the holder should know although the key is accepted."""

    message: str
    hint: str


_NO_BROWSER_TAKES_ED25519 = Advice(
    "No browser accepts a client certificate with an Ed25519 key",
    "curl and other programs with OpenSSL or Go do. For browsers choose p384.",
)


def check_kind(public_key: object) -> None:
    """Accept the kinds of key that can prove possession to a web server.

    Raises:
        RefusedError: Another kind, with the reason.
    """
    match public_key:
        case rsa.RSAPublicKey() | ed25519.Ed25519PublicKey():
            return
        case ec.EllipticCurvePublicKey() if public_key.curve.name in _CURVES:
            return
        case ec.EllipticCurvePublicKey():
            raise RefusedError(
                f"A key on the curve {public_key.curve.name} is refused: browsers and YubiKeys use P-256 and P-384",
                _USE_P384,
            )
        case x25519.X25519PublicKey():
            raise RefusedError(
                "An X25519 key is refused: it can only agree on keys, it cannot sign", _USE_P384
            )
        case x448.X448PublicKey():
            raise RefusedError("An X448 key is refused: it can only agree on keys, it cannot sign", _USE_P384)
        case ed448.Ed448PublicKey():
            raise RefusedError("An Ed448 key is refused: no YubiKey and no browser knows it", _USE_P384)
        case dsa.DSAPublicKey():
            raise RefusedError("A DSA key is refused: TLS 1.3 has no signatures of that kind", _USE_P384)
        case _:
            raise RefusedError("This kind of key is refused: it is not known here", _USE_P384)


def check_public_key(public_key: object, firmware: Firmware | None) -> tuple[Advice, ...]:
    """Accept a key that deserves a certificate.

    Args:
        public_key: The key.
        firmware: Version of the device the key is said to come from; None when not known.

    Returns:
        What the holder should be told although the key is accepted.

    Raises:
        RefusedError: The key is weak, or cannot come from that device; the message says why.
    """
    check_kind(public_key)
    if isinstance(public_key, rsa.RSAPublicKey):
        _check_rsa(public_key, firmware)
        return ()
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return (_NO_BROWSER_TAKES_ED25519,)
    return ()


def _check_rsa(public_key: rsa.RSAPublicKey, firmware: Firmware | None) -> None:
    if public_key.key_size not in RSA_SIZES:
        raise RefusedError(f"An RSA key of {public_key.key_size} bits is refused", _MAKE_ANOTHER)
    rsa_weaknesses.check(public_key.public_numbers())
    if firmware is not None and _ROCA_FIRST <= firmware < _ROCA_FIXED:
        raise RefusedError("ROCA", _MAKE_ANOTHER)
