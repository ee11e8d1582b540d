# SPDX-License-Identifier: Apache-2.0
"""Which keys may be made in slot 9a, and which firmware can make them."""

from dataclasses import dataclass
from enum import StrEnum

from pivgate.errors import DeviceError, InputError
from pivgate.yubikey.advisories import Firmware, advisories

OLDEST_FIRMWARE: Firmware = (4, 3, 0)
"""Attestation came with 4.3; without it nothing tells where a key in the slot came from."""


class LeafAlgorithm(StrEnum):
    """The algorithm of a holder's key."""

    P384 = "p384"
    P256 = "p256"
    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ED25519 = "ed25519"


@dataclass(frozen=True)
class _Traits:
    key_type: str
    family: str
    since: Firmware
    warning: str = ""


_TRAITS = {
    LeafAlgorithm.P384: _Traits("ECCP384", "ecdsa", (4, 0, 0)),
    LeafAlgorithm.P256: _Traits("ECCP256", "ecdsa", (4, 0, 0)),
    LeafAlgorithm.RSA2048: _Traits("RSA2048", "rsa", (4, 0, 0)),
    LeafAlgorithm.RSA3072: _Traits("RSA3072", "rsa", (5, 7, 0)),
    LeafAlgorithm.RSA4096: _Traits("RSA4096", "rsa", (5, 7, 0)),
    LeafAlgorithm.ED25519: _Traits(
        "ED25519",
        "eddsa",
        (5, 7, 0),
        "No browser takes an Ed25519 client certificate: this key will work with curl and with pivgate only.",
    ),
}


def leaf_algorithm(name: str) -> LeafAlgorithm:
    """Turn a name that a user gave into an algorithm.

    Raises:
        InputError: There is no such algorithm, or it cannot sign.
    """
    choices = ", ".join(LeafAlgorithm)
    if name.lower() == "x25519":
        raise InputError(
            "X25519 only agrees on secrets, it cannot sign, and a TLS client has to sign to log in",
            "Use p384. If it has to be Curve25519, ed25519 is the signing one, which no browser takes.",
        )
    try:
        return LeafAlgorithm(name.lower())
    except ValueError:
        raise InputError(
            f"There is no algorithm {name!r} for a key in slot 9a", f"Choose one of: {choices}."
        ) from None


def key_type_name(algorithm: LeafAlgorithm) -> str:
    """Return the name that yubikit's ``KEY_TYPE`` has for an algorithm."""
    return _TRAITS[algorithm].key_type


def makeable(firmware: Firmware) -> tuple[LeafAlgorithm, ...]:
    """Return the algorithms that a firmware can make and that are sound on it."""
    return tuple(
        algorithm
        for algorithm, traits in _TRAITS.items()
        if firmware >= traits.since and not any(flaw.forbids for flaw in advisories(firmware, traits.family))
    )


def check_algorithm(algorithm: LeafAlgorithm, firmware: Firmware) -> None:
    """Check that a firmware can make a sound key of an algorithm.

    Raises:
        DeviceError: It cannot, or must not; the hint names what it can make.
    """
    shown = ".".join(map(str, firmware))
    if firmware < OLDEST_FIRMWARE:
        raise DeviceError(
            f"Firmware {shown} is too old: it cannot attest where a key was made",
            "Use a YubiKey with firmware 4.3 or later; firmware cannot be updated.",
        )
    able = makeable(firmware)
    if algorithm in able:
        return
    flaws = [flaw for flaw in advisories(firmware, _TRAITS[algorithm].family) if flaw.forbids]
    reason = f": {flaws[0].text} ({flaws[0].identifier})" if flaws else ""
    raise DeviceError(
        f"Firmware {shown} cannot make {algorithm} keys{reason}", f"It can make: {', '.join(able)}."
    )


def advice(algorithm: LeafAlgorithm, firmware: Firmware) -> tuple[str, ...]:
    """Return what the holder of such a key has to know, one text each; often nothing."""
    traits = _TRAITS[algorithm]
    flaws = [f"{flaw.identifier}: {flaw.text} {flaw.url}" for flaw in advisories(firmware, traits.family)]
    return tuple([*flaws, traits.warning] if traits.warning else flaws)
