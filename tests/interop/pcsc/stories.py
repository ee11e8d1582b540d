# SPDX-License-Identifier: Apache-2.0
"""Keys as a test finds them: filled in this process by yubikit, then judged by other programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY,
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    PivSession,
)

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey


def _module(name: str) -> str:
    # Debian has one folder for each architecture.
    found = sorted(Path("/usr/lib").glob(f"*-linux-gnu/{name}"))
    return str(found[0] if found else Path("/usr/lib", name))


OPENSC = _module("opensc-pkcs11.so")
YKCS11 = _module("libykcs11.so.2")
PIN = "123456"
PUK = "12345678"
FIRMWARES = ("4.3.7", "5.2.7", "5.4.3", "5.7.4")

RETIRED = tuple(SLOT(number) for number in range(0x82, 0x96))
_NUMBERS = {SLOT.AUTHENTICATION: 1, SLOT.SIGNATURE: 2, SLOT.KEY_MANAGEMENT: 3, SLOT.CARD_AUTH: 4} | {
    slot: number for number, slot in enumerate(RETIRED, 5)
}

SHORT = {
    SLOT.AUTHENTICATION: KEY_TYPE.ECCP256,
    SLOT.SIGNATURE: KEY_TYPE.RSA2048,
    SLOT.KEY_MANAGEMENT: KEY_TYPE.ECCP384,
    SLOT.CARD_AUTH: KEY_TYPE.RSA1024,
}
"""The four slots of PIV."""

FULL = {
    SLOT.AUTHENTICATION: KEY_TYPE.RSA2048,
    SLOT.SIGNATURE: KEY_TYPE.ECCP384,
    SLOT.KEY_MANAGEMENT: KEY_TYPE.RSA1024,
    SLOT.CARD_AUTH: KEY_TYPE.ECCP256,
} | {
    slot: (KEY_TYPE.ECCP256, KEY_TYPE.RSA2048, KEY_TYPE.ECCP384, KEY_TYPE.RSA1024)[slot % 4]
    for slot in RETIRED
}
"""Every slot there is, with the algorithms that every firmware has."""

_NOT_BEFORE, _NOT_AFTER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
_AUTHORITY = ec.generate_private_key(ec.SECP256R1())
_AUTHORITY_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
# What one card holds in its 20 retired slots: the number of keys on it, none elsewhere (SP 800-73-4 part 1,
# section 3.3.3).
_KEY_HISTORY = bytes.fromhex("C10114 C20100 FE00")

PrivateKey = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey
)


@dataclass(frozen=True)
class Holder:
    """An emulated key with key pairs and certificates on it.

    Attributes:
        yubikey: The key.
        certificates: By slot; an authority of the tests' own has signed them.
    """

    yubikey: EmulatedYubiKey
    certificates: Mapping[SLOT, x509.Certificate]

    def public_key(self, slot: SLOT) -> Any:
        """Return the public key in a slot, of whatever kind."""
        return self.certificates[slot].public_key()


def holder(
    firmware: str,
    slots: Mapping[SLOT, KEY_TYPE],
    *,
    serial: int = 31000001,
    touch_policy: TOUCH_POLICY = TOUCH_POLICY.DEFAULT,
    touch: Callable[[], bool] = lambda: True,
    generated: bool = False,
) -> Holder:
    """Return a key whose slots are filled; PIN, PUK and management key are the factory's.

    Args:
        firmware: Version.
        slots: Which key types go where; the key pairs are the same in each test of a run.
        serial: Serial number.
        touch_policy: Of all the key pairs.
        touch: Asked whenever the key blinks.
        generated: Make the key pairs on the key, which takes longer, but then it attests them.
    """
    yubikey = EmulatedYubiKey(FIRMWARE[firmware], serial, touch=touch)
    certificates = {}
    with EmulatedDevice(yubikey).open() as connection:
        piv = managed(connection)
        for slot, key_type in slots.items():
            if generated:
                public_key: Any = piv.generate_key(slot, key_type, PIN_POLICY.DEFAULT, touch_policy)
            else:
                key = key_pair(key_type)
                piv.put_key(slot, key, PIN_POLICY.DEFAULT, touch_policy)
                public_key = key.public_key()
            certificates[slot] = certificate(public_key, f"slot {slot:x}")
            piv.put_certificate(slot, certificates[slot])
        if set(slots) & set(RETIRED):
            piv.put_object(OBJECT_ID.KEY_HISTORY, _KEY_HISTORY)
    return Holder(yubikey, certificates)


def managed(connection: Any) -> PivSession:
    """Return a session in which the management key has been proved."""
    piv = PivSession(connection)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    return piv


def with_tdes(yubikey: EmulatedYubiKey) -> EmulatedYubiKey:
    """Give a key of firmware 5.7 the management key of all before it: a Triple DES key of the same bytes."""
    with EmulatedDevice(yubikey).open() as connection:
        managed(connection).set_management_key(MANAGEMENT_KEY_TYPE.TDES, DEFAULT_MANAGEMENT_KEY)
    return yubikey


def object_id(module: str, slot: SLOT) -> str:
    """Return the identifier of a slot's objects, in hexadecimal: OpenSC takes decimal digits for it."""
    return f"{_NUMBERS[slot]:02d}" if module == OPENSC else f"{_NUMBERS[slot]:02x}"


@cache
def key_pair(key_type: KEY_TYPE) -> PrivateKey:
    """Return a key pair from outside; the same one each time."""
    match key_type:
        case KEY_TYPE.ECCP256:
            return ec.generate_private_key(ec.SECP256R1())
        case KEY_TYPE.ECCP384:
            return ec.generate_private_key(ec.SECP384R1())
        case KEY_TYPE.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KEY_TYPE.X25519:
            return x25519.X25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(65537, key_type.bit_len)


def certificate(public_key: Any, name: str) -> x509.Certificate:
    """Let the tests' own authority certify a public key."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(_AUTHORITY_NAME)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(_AUTHORITY, hashes.SHA256())
    )
