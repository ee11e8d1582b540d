# SPDX-License-Identifier: Apache-2.0
"""The commands of the PIV application, after their bytes have been read and before anything is decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pivgate.emulator.firmware import KeyType, ManagementKeyType
from pivgate.emulator.piv.references import PinPolicy, Secret, TouchPolicy


@dataclass(frozen=True, slots=True)
class GetVersion:
    """Which firmware is this?"""


@dataclass(frozen=True, slots=True)
class GetSerial:
    """Which serial number has this key?"""


@dataclass(frozen=True, slots=True)
class VerifyPin:
    """Prove knowledge of the PIN (8 bytes, padded with FF)."""

    pin: bytes


@dataclass(frozen=True, slots=True)
class QueryPin:
    """Is the PIN verified, and how many tries are left?"""


@dataclass(frozen=True, slots=True)
class ForgetPin:
    """Take back the verification of the PIN (P1 = FF, SP 800-73-4 part 2 section 3.2.1)."""


@dataclass(frozen=True, slots=True)
class ChangeReference:
    """Replace the PIN or the PUK by a new one, knowing the present one."""

    secret: Secret
    present: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class ResetRetryCounter:
    """Set a new PIN with the help of the PUK."""

    puk: bytes
    new_pin: bytes


@dataclass(frozen=True, slots=True)
class SetRetries:
    """Set how many tries PIN and PUK have (1 to 255); both return to their factory values."""

    pin: int
    puk: int


@dataclass(frozen=True, slots=True)
class GetData:
    """Read a data object."""

    object_id: int


@dataclass(frozen=True, slots=True)
class PutData:
    """Write a data object; an empty value deletes it."""

    object_id: int
    value: bytes


@dataclass(frozen=True, slots=True)
class BeginManagement:
    """Ask for a challenge (single authentication) or for a witness (mutual authentication)."""

    key_type: ManagementKeyType
    kind: Literal["single", "mutual"]


@dataclass(frozen=True, slots=True)
class AnswerChallenge:
    """End single authentication: the challenge, encrypted by the host."""

    key_type: ManagementKeyType
    response: bytes


@dataclass(frozen=True, slots=True)
class AnswerWitness:
    """End mutual authentication: the witness, decrypted by the host, and the host's own challenge."""

    key_type: ManagementKeyType
    witness: bytes
    challenge: bytes


@dataclass(frozen=True, slots=True)
class SetManagementKey:
    """Replace the management key."""

    key_type: ManagementKeyType
    key: bytes
    touch_policy: TouchPolicy


@dataclass(frozen=True, slots=True)
class Sign:
    """Apply the private key to a digest (ECDSA), a message (Ed25519) or a padded block (RSA)."""

    slot: int
    key_type: KeyType
    data: bytes


@dataclass(frozen=True, slots=True)
class Agree:
    """Agree on a secret with the holder of another key on the same curve."""

    slot: int
    key_type: KeyType
    peer: bytes


@dataclass(frozen=True, slots=True)
class Generate:
    """Make a key pair on the card."""

    slot: int
    key_type: KeyType
    pin_policy: PinPolicy
    touch_policy: TouchPolicy


@dataclass(frozen=True, slots=True)
class Import:
    """Bring a private key from outside; ``elements`` by the tags of Yubico's IMPORT ASYMMETRIC."""

    slot: int
    key_type: KeyType
    pin_policy: PinPolicy
    touch_policy: TouchPolicy
    elements: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Attest:
    """State, signed by the key in F9, that a key was made on this card."""

    slot: int


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """What is known about a key or a secret?"""

    reference: int


@dataclass(frozen=True, slots=True)
class MoveKey:
    """Move a key to an empty slot; its certificate stays where it is."""

    source: int
    destination: int


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """Destroy a key; its certificate stays where it is."""

    slot: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Return to factory state, which only a card without any try left does."""


Command = (
    GetVersion
    | GetSerial
    | VerifyPin
    | QueryPin
    | ForgetPin
    | ChangeReference
    | ResetRetryCounter
    | SetRetries
    | GetData
    | PutData
    | BeginManagement
    | AnswerChallenge
    | AnswerWitness
    | SetManagementKey
    | Sign
    | Agree
    | Generate
    | Import
    | Attest
    | GetMetadata
    | MoveKey
    | DeleteKey
    | Reset
)
