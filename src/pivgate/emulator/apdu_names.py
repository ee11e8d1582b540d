# SPDX-License-Identifier: Apache-2.0
"""What people call the numbers in APDUs: applications, keys, objects, status words.

Sources: SP 800-73-4 part 1 tables 3 and 4b, part 2 section 3; Yubico's "PIV commands" and "PIV objects".
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from pivgate.emulator.apdu import StatusWord
from pivgate.emulator.piv.references import (
    ATTESTATION,
    ATTESTATION_CERTIFICATE,
    AUTHENTICATION,
    CARD_AUTHENTICATION,
    DISCOVERY,
    KEY_MANAGEMENT,
    MANAGEMENT_KEY,
    PRINTED,
    SIGNATURE,
    Secret,
)

_FIRST_RETIRED, _LAST_RETIRED = 0x82, 0x95
_FIRST_RETIRED_CERTIFICATE = 0x5FC10D

_REFERENCES: Mapping[int, str] = MappingProxyType(
    {
        Secret.PIN: "PIN",
        Secret.PUK: "PUK",
        MANAGEMENT_KEY: "management key",
        AUTHENTICATION: "slot 9a (authentication)",
        SIGNATURE: "slot 9c (signature)",
        KEY_MANAGEMENT: "slot 9d (key management)",
        CARD_AUTHENTICATION: "slot 9e (card authentication)",
        ATTESTATION: "slot f9 (attestation)",
    }
    | {slot: f"slot {slot:02x} (retired)" for slot in range(_FIRST_RETIRED, _LAST_RETIRED + 1)}
)

PUBLIC_OBJECTS: Mapping[int, str] = MappingProxyType(
    {
        DISCOVERY: "discovery object",
        0x5FC101: "certificate of slot 9e",
        0x5FC102: "card holder unique identifier (CHUID)",
        0x5FC105: "certificate of slot 9a",
        0x5FC106: "security object",
        0x5FC107: "card capability container (CCC)",
        0x5FC10A: "certificate of slot 9c",
        0x5FC10B: "certificate of slot 9d",
        0x5FC10C: "key history",
        ATTESTATION_CERTIFICATE: "certificate of slot f9",
    }
    | {
        _FIRST_RETIRED_CERTIFICATE + slot - _FIRST_RETIRED: f"certificate of slot {slot:02x}"
        for slot in range(_FIRST_RETIRED, _LAST_RETIRED + 1)
    }
)
"""Objects that hold what anybody may read, whose standard says so. All others may hold secrets.

ykman keeps a management key in the printed information, and people keep anything in objects of their own.
"""

_OTHER_OBJECTS: Mapping[int, str] = MappingProxyType(
    {
        0x5FC103: "fingerprints",
        0x5FC108: "facial image",
        PRINTED: "printed information",
        0x5FC121: "iris images",
        0x5FFF00: "Yubico's administrative data",
    }
)


def reference_name(reference: int) -> str:
    """Name a key or secret by its reference."""
    return _REFERENCES.get(reference, f"reference {reference:02x}")


def object_name(object_id: int) -> str:
    """Name a data object by its identifier."""
    known = PUBLIC_OBJECTS.get(object_id) or _OTHER_OBJECTS.get(object_id)
    return f"{object_id:02X} {known}" if known else f"{object_id:02X}"


def number_name(kind: type[IntEnum], number: int) -> str:
    """Name an algorithm."""
    return next((each.name for each in kind if each == number), f"algorithm {number:02x}")


def status_name(status: int) -> str:
    """Say what a status word means, with the number that some of them carry."""
    if status & 0xFFF0 == StatusWord.VERIFY_FAILED:
        tries = status & 0xF
        return f"{tries} {'try' if tries == 1 else 'tries'} left"
    if status & 0xFF00 == StatusWord.MORE_DATA:
        return f"{status & 0xFF} bytes more" if status & 0xFF else "256 bytes more, or still more"
    if status == StatusWord.SUCCESS:
        return "ok"
    return next(
        (word.name.lower().replace("_", " ") for word in StatusWord if word == status), "unknown status"
    )
