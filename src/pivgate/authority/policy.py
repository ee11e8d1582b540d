# SPDX-License-Identifier: Apache-2.0
"""Which public keys get a client certificate: one small check per rule, each with its reason."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519

from pivgate.authority import ed25519_points, rsa_weaknesses
from pivgate.errors import RefusedError

Firmware = tuple[int, int, int]

RSA_SIZES = (2048, 3072, 4096)

_USE_P384 = "Choose p384 instead."

# The curves that browsers offer for signatures in TLS 1.3 (RFC 8446, section 4.2.3) and YubiKeys have.
_CURVES = frozenset({"secp256r1", "secp384r1"})

# YSA-2017-01: from 4.2.0, and before 4.3.5, the key's library makes RSA keys that can be factored.
_ROCA_FIRST, _ROCA_FIXED = (4, 2, 0), (4, 3, 5)

# The first firmware whose PIV application makes keys of a kind (Yubico's technical manual, PIV).
_P384_SINCE = (4, 0, 0)
_LARGE_RSA_SINCE = _ED25519_SINCE = (5, 7, 0)


@dataclass(frozen=True)
class Advice:
    """What the holder should know although the key is accepted."""

    message: str
    hint: str


NO_BROWSER_TAKES_ED25519 = Advice(
    "No browser accepts a client certificate with an Ed25519 key",
    "curl, and other programs built on OpenSSL or Go, do. For browsers choose p384.",
)


def check_kind(public_key: object) -> None:
    """Accept the kinds of key with which somebody can log in at a web server.

    Args:
        public_key: Whatever a request holds.

    Raises:
        RefusedError: Another kind, with the reason.
    """
    match public_key:
        case rsa.RSAPublicKey() | ed25519.Ed25519PublicKey():
            return
        case ec.EllipticCurvePublicKey():
            if public_key.curve.name not in _CURVES:
                raise RefusedError(
                    f"A key on the curve {public_key.curve.name} is refused: "
                    "only P-256 and P-384 are known to both YubiKeys and browsers",
                    _USE_P384,
                )
        case x25519.X25519PublicKey():
            raise _cannot_sign("X25519")
        case x448.X448PublicKey():
            raise _cannot_sign("X448")
        case ed448.Ed448PublicKey():
            raise RefusedError("An Ed448 key is refused: no YubiKey and no browser knows it", _USE_P384)
        case dsa.DSAPublicKey():
            raise RefusedError("A DSA key is refused: TLS 1.3 has no such signatures", _USE_P384)
        case _:
            raise RefusedError("This kind of key is refused: it is not known here", _USE_P384)


def _cannot_sign(name: str) -> RefusedError:
    return RefusedError(f"An {name} key is refused: it can only agree on keys, it cannot sign", _USE_P384)


def check_public_key(public_key: object, firmware: Firmware | None) -> tuple[Advice, ...]:
    """Accept a key that deserves a certificate.

    Args:
        public_key: The key.
        firmware: Version of the device that is said to have made the key; None when none is known.

    Returns:
        What the holder should be told although the key is accepted.

    Raises:
        RefusedError: The key is weak, or that device cannot have made it; the message says why.
    """
    check_kind(public_key)
    match public_key:
        case rsa.RSAPublicKey():
            _check_rsa(public_key)
            if firmware is not None:
                _check_rsa_maker(public_key.key_size, firmware)
        case ec.EllipticCurvePublicKey():
            if public_key.curve.name == "secp384r1":
                _check_maker("a P-384 key", firmware, _P384_SINCE)
        case ed25519.Ed25519PublicKey():
            ed25519_points.check(public_key.public_bytes_raw())
            _check_maker("an Ed25519 key", firmware, _ED25519_SINCE)
            return (NO_BROWSER_TAKES_ED25519,)
    return ()


def _check_rsa(public_key: rsa.RSAPublicKey) -> None:
    size = public_key.key_size
    if size < min(RSA_SIZES):
        raise RefusedError(
            f"An RSA key of {size} bits is refused: it is too short, {min(RSA_SIZES)} is the least",
            _USE_P384,
        )
    if size not in RSA_SIZES:
        raise RefusedError(
            f"An RSA key of {size} bits is refused: YubiKeys make "
            f"{', '.join(str(possible) for possible in RSA_SIZES)} bits",
            _USE_P384,
        )
    rsa_weaknesses.check(public_key.public_numbers())


def _check_rsa_maker(size: int, firmware: Firmware) -> None:
    if _ROCA_FIRST <= firmware < _ROCA_FIXED:
        raise RefusedError(
            f"An RSA key made by firmware {_dotted(firmware)} is refused: "
            "these versions make keys that can be factored (ROCA, YSA-2017-01)",
            _USE_P384,
        )
    if size > min(RSA_SIZES):
        _check_maker(f"an RSA key of {size} bits", firmware, _LARGE_RSA_SINCE)


def _check_maker(what: str, firmware: Firmware | None, since: Firmware) -> None:
    if firmware is not None and firmware < since:
        raise RefusedError(
            f"The device with firmware {_dotted(firmware)} cannot have made {what}: "
            f"that is possible since {_dotted(since)}",
            "Make the key inside the device; a key from elsewhere gets no certificate.",
        )


def _dotted(firmware: Firmware) -> str:
    return ".".join(str(part) for part in firmware)
