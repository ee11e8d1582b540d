# SPDX-License-Identifier: Apache-2.0
"""What the PIV application keeps without power, and how it goes to a file and back.

Its values are immutable and replaced as a whole, so that no command leaves half a change behind.
"""

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from pivgate.emulator.attestation import AttestationIdentity
from pivgate.emulator.firmware import Firmware, KeyType, ManagementKeyType
from pivgate.emulator.piv.certificates import certificate_object
from pivgate.emulator.piv.key_pairs import PrivateKey, type_of
from pivgate.emulator.piv.references import (
    ATTESTATION,
    ATTESTATION_CERTIFICATE,
    KEY_SLOTS,
    MOST_TRIES,
    SECRET_LENGTH,
    PinPolicy,
    Secret,
    TouchPolicy,
)

FACTORY_SECRETS = {Secret.PIN: b"123456\xff\xff", Secret.PUK: b"12345678"}
FACTORY_MANAGEMENT_KEY = bytes.fromhex("0102030405060708" * 3)
FACTORY_TRIES = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """A PIN or PUK and the tries that are left to know it.

    Attributes:
        value: 8 bytes, padded with FF.
        total: Tries after a right one, 1 to 255.
        left: Tries now; none means blocked.
    """

    value: bytes
    total: int
    left: int

    @property
    def blocked(self) -> bool:
        """Whether even the right value is refused."""
        return self.left == 0


@dataclass(frozen=True, slots=True)
class ManagementKey:
    """The symmetric key of whoever manages the card."""

    key_type: ManagementKeyType
    key: bytes
    touch_policy: TouchPolicy


@dataclass(frozen=True, slots=True)
class SlotKey:
    """A key pair in a slot; its policies stay with it for life, wherever it is moved.

    Attributes:
        key_type: Algorithm and size.
        private_key: The key, parsed, so that using it costs nothing but the use.
        pin_policy: Never "default".
        touch_policy: Never "default".
        generated: Made on this card; only such a key is attested.
    """

    key_type: KeyType
    private_key: PrivateKey
    pin_policy: PinPolicy
    touch_policy: TouchPolicy
    generated: bool


@dataclass
class PivState:
    """What survives without power.

    Attributes:
        secrets: PIN and PUK.
        management: The management key.
        keys: Key pairs by slot.
        objects: Data objects by identifier, without the wrapping 53; never empty.
    """

    secrets: dict[Secret, Reference]
    management: ManagementKey
    keys: dict[int, SlotKey]
    objects: dict[int, bytes]

    def reset(self, firmware: Firmware) -> None:
        """Return to factory state, except for the attestation key and certificate, which no reset touches."""
        self.secrets = factory_secrets()
        self.management = _factory_management_key(firmware)
        self.keys = {slot: key for slot, key in self.keys.items() if slot == ATTESTATION}
        self.objects = {
            object_id: value
            for object_id, value in self.objects.items()
            if object_id == ATTESTATION_CERTIFICATE
        }


def factory_state(firmware: Firmware, attestation: AttestationIdentity) -> PivState:
    """Return the state in which a key leaves the factory."""
    return PivState(
        secrets=factory_secrets(),
        management=_factory_management_key(firmware),
        keys={ATTESTATION: _factory_attestation_key(attestation)},
        objects={ATTESTATION_CERTIFICATE: certificate_object(attestation.certificate_der)},
    )


def factory_secrets(
    pin_tries: int = FACTORY_TRIES, puk_tries: int = FACTORY_TRIES
) -> dict[Secret, Reference]:
    """Return PIN 123456 and PUK 12345678 with all their tries left."""
    return {
        Secret.PIN: Reference(FACTORY_SECRETS[Secret.PIN], pin_tries, pin_tries),
        Secret.PUK: Reference(FACTORY_SECRETS[Secret.PUK], puk_tries, puk_tries),
    }


def _factory_management_key(firmware: Firmware) -> ManagementKey:
    return ManagementKey(firmware.default_management_key_type, FACTORY_MANAGEMENT_KEY, TouchPolicy.NEVER)


def _factory_attestation_key(attestation: AttestationIdentity) -> SlotKey:
    # Real keys report it as imported, PIN once, touch never (Yubico's "Get metadata" shows one).
    return SlotKey(
        type_of(attestation.key), attestation.key, PinPolicy.ONCE, TouchPolicy.NEVER, generated=False
    )


def dump(state: PivState) -> dict[str, Any]:
    """Return the state as JSON can hold it; PIN, PUK and keys are in it as they are.

    Bytes are hexadecimal, slots and object identifiers too.
    """
    return {
        "secrets": {
            secret.name.lower(): {"value": kept.value.hex(), "total": kept.total, "left": kept.left}
            for secret, kept in state.secrets.items()
        },
        "management_key": {
            "type": state.management.key_type.name,
            "key": state.management.key.hex(),
            "touch_policy": state.management.touch_policy.name,
        },
        "keys": {f"{slot:02x}": _dump_key(key) for slot, key in state.keys.items()},
        "objects": {f"{object_id:06x}": value.hex() for object_id, value in state.objects.items()},
    }


def restore(document: dict[str, Any]) -> PivState:
    """Return the state that was dumped.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The document is not one that ``dump`` makes.
    """
    return PivState(
        secrets={secret: _restore_secret(document["secrets"][secret.name.lower()]) for secret in Secret},
        management=_restore_management_key(document["management_key"]),
        keys={_slot(name): _restore_key(key) for name, key in document["keys"].items()},
        objects={int(name, 16): bytes.fromhex(value) for name, value in document["objects"].items()},
    )


def _restore_secret(document: dict[str, Any]) -> Reference:
    value, total, left = bytes.fromhex(document["value"]), int(document["total"]), int(document["left"])
    if len(value) != SECRET_LENGTH or not 0 <= left <= total or not 1 <= total <= MOST_TRIES:
        raise ValueError("a PIN or PUK is not 8 bytes, or its tries are out of range")
    return Reference(value, total, left)


def _restore_management_key(document: dict[str, Any]) -> ManagementKey:
    key_type, key = ManagementKeyType[document["type"]], bytes.fromhex(document["key"])
    if len(key) != key_type.key_length:
        raise ValueError("the management key has a wrong length")
    return ManagementKey(key_type, key, TouchPolicy[document["touch_policy"]])


def _dump_key(key: SlotKey) -> dict[str, Any]:
    der = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "private_key": der.hex(),
        "pin_policy": key.pin_policy.name,
        "touch_policy": key.touch_policy.name,
        "generated": key.generated,
    }


def _restore_key(document: dict[str, Any]) -> SlotKey:
    private_key = _load_private_key(bytes.fromhex(document["private_key"]))
    generated = document["generated"]
    if not isinstance(generated, bool):
        raise TypeError("a key is either generated or not")
    pin_policy, touch_policy = PinPolicy[document["pin_policy"]], TouchPolicy[document["touch_policy"]]
    if PinPolicy.DEFAULT is pin_policy or TouchPolicy.DEFAULT is touch_policy:
        raise ValueError("a key in a slot has a policy of its own, not the default")
    return SlotKey(type_of(private_key), private_key, pin_policy, touch_policy, generated)


def _load_private_key(der: bytes) -> PrivateKey:
    try:
        private_key = load_der_private_key(der, None)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(private_key, PrivateKey):
        raise TypeError("a private key is of a kind that no slot holds")
    return private_key


def _slot(name: str) -> int:
    slot = int(name, 16)
    if slot not in KEY_SLOTS:
        raise ValueError(f"there is no slot {name}")
    return slot
