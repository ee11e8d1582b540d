# SPDX-License-Identifier: Apache-2.0
"""The numbers by which PIV names its keys, secrets and policies.

Sources: SP 800-73-4 part 1 table 4b (key references), Yubico's "PIV slots" and "PIN and touch policies".
"""

from enum import IntEnum


class Secret(IntEnum):
    """A secret that a person types: the reference in P2 of VERIFY and its relatives."""

    PIN = 0x80
    PUK = 0x81


SECRET_LENGTH = 8
"""Bytes of a PIN or PUK on the wire and on the card, padded with FF."""

MOST_TRIES = 255
"""A PIN or PUK has at least one try, and at most these."""

MANAGEMENT_KEY = 0x9B
"""Key reference of the management key."""

AUTHENTICATION = 0x9A
SIGNATURE = 0x9C
KEY_MANAGEMENT = 0x9D
CARD_AUTHENTICATION = 0x9E
ATTESTATION = 0xF9

USER_SLOTS = frozenset(
    {AUTHENTICATION, SIGNATURE, KEY_MANAGEMENT, CARD_AUTHENTICATION, *range(0x82, 0x95 + 1)}
)
"""Slots whose keys sign, decrypt and agree for their holder: the four of PIV and its twenty retired ones."""

KEY_SLOTS = USER_SLOTS | {ATTESTATION}
"""Slots that hold a key pair; the one in F9 signs attestation statements and nothing else."""


DISCOVERY = 0x7E
PRINTED = 0x5FC109
ATTESTATION_CERTIFICATE = 0x5FFF01

PIN_PROTECTED = frozenset({0x5FC103, 0x5FC108, PRINTED, 0x5FC121})
"""Objects that are read only after the PIN: fingerprints, facial image, printed information, iris images."""


class PinPolicy(IntEnum):
    """When a private key wants the PIN."""

    DEFAULT = 0
    NEVER = 1
    ONCE = 2
    ALWAYS = 3
    MATCH_ONCE = 4
    """Fingerprint or PIN, once; only on keys with a fingerprint reader, none of which is emulated."""
    MATCH_ALWAYS = 5


class TouchPolicy(IntEnum):
    """When a key wants to be touched."""

    DEFAULT = 0
    NEVER = 1
    ALWAYS = 2
    CACHED = 3


def resolve_pin_policy(policy: PinPolicy, slot: int) -> PinPolicy:
    """Put the slot's own policy in the place of "default" (Yubico, "PIN and touch policies")."""
    if policy is not PinPolicy.DEFAULT:
        return policy
    if slot == SIGNATURE:
        return PinPolicy.ALWAYS
    return PinPolicy.NEVER if slot == CARD_AUTHENTICATION else PinPolicy.ONCE


def resolve_touch_policy(policy: TouchPolicy) -> TouchPolicy:
    """Put "never" in the place of "default": no slot wants a touch unless told to."""
    return TouchPolicy.NEVER if policy is TouchPolicy.DEFAULT else policy
