# SPDX-License-Identifier: Apache-2.0
"""Filling, moving and emptying the slots, and attesting what was made in them.

Sources: SP 800-73-4 part 2 section 3.3.2, Yubico's "Import asymmetric key pair", "PIV attestation" and the
release notes of firmware 5.7 (moving and deleting keys).
"""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.attestation import Attested, issue_statement
from pivgate.emulator.piv import fields, key_pairs
from pivgate.emulator.piv.certificates import certificate_of
from pivgate.emulator.piv.commands import Attest, DeleteKey, Generate, Import, MoveKey
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.key_pairs import PrivateKey
from pivgate.emulator.piv.references import (
    ATTESTATION,
    ATTESTATION_CERTIFICATE,
    PinPolicy,
    resolve_pin_policy,
    resolve_touch_policy,
)
from pivgate.emulator.piv.state import SlotKey

_PUBLIC_KEY_TEMPLATE = 0x7F49
_MATCH = (PinPolicy.MATCH_ONCE, PinPolicy.MATCH_ALWAYS)


def generate(device: Device, command: Generate) -> bytes:
    """Make a key pair in a slot, over whatever was there, and return its public half.

    Raises:
        StatusError: 6A80 for an algorithm or policy that this device does not know.
    """
    _require_possible(device, command)
    key = key_pairs.generate(command.key_type)
    _put(device, command, key, generated=True)
    return tlv.build(_PUBLIC_KEY_TEMPLATE, key_pairs.public_template(key))


def import_key(device: Device, command: Import) -> bytes:
    """Put a private key from outside into a slot, over whatever was there.

    Raises:
        StatusError: 6A80 for an algorithm or policy that this device does not know, and for numbers that are
            no key.
    """
    _require_possible(device, command)
    _put(device, command, key_pairs.from_elements(command.key_type, command.elements), generated=False)
    return b""


def attest(device: Device, command: Attest) -> bytes:
    """State that a key was made on this device: signed by the key in F9, in the name on its certificate.

    Raises:
        StatusError: 6A82 no key, or one from outside; 6985 nothing in F9 that could sign a certificate.
    """
    key = device.state.keys.get(command.slot)
    if key is None or not key.generated:
        raise StatusError(StatusWord.FILE_NOT_FOUND)
    issuer = device.state.keys.get(ATTESTATION)
    name = _attester_name(device)
    if (
        issuer is None
        or name is None
        or not isinstance(issuer.private_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    ):
        raise StatusError(StatusWord.CONDITIONS_NOT_SATISFIED)
    return issue_statement(
        Attested(command.slot, key.private_key.public_key(), key.pin_policy, key.touch_policy),
        device.firmware,
        device.serial,
        issuer_key=issuer.private_key,
        issuer_name=name,
        randomness=device.randomness,
    )


def move_key(device: Device, command: MoveKey) -> bytes:
    """Move a key, with its policies and its origin, to an empty slot.

    Raises:
        StatusError: 6A88 nothing to move; 6A80 the other slot is not empty, which is how ykman learns it
            (``piv keys move``).
    """
    keys = device.state.keys
    fields.require(command.source in keys, StatusWord.REFERENCE_DATA_NOT_FOUND)
    fields.require(command.destination not in keys)
    keys[command.destination] = keys.pop(command.source)
    return b""


def delete_key(device: Device, command: DeleteKey) -> bytes:
    """Destroy a key.

    Raises:
        StatusError: 6A88, there is none.
    """
    fields.require(command.slot in device.state.keys, StatusWord.REFERENCE_DATA_NOT_FOUND)
    del device.state.keys[command.slot]
    return b""


def _require_possible(device: Device, command: Generate | Import) -> None:
    fields.require(command.key_type in device.firmware.key_types)
    # A policy that asks for a finger's print, on a device that cannot read one, would lock the key for ever.
    fields.require(command.pin_policy not in _MATCH)


def _put(device: Device, command: Generate | Import, key: PrivateKey, *, generated: bool) -> None:
    device.state.keys[command.slot] = SlotKey(
        command.key_type,
        key,
        resolve_pin_policy(command.pin_policy, command.slot),
        resolve_touch_policy(command.touch_policy),
        generated,
    )


def _attester_name(device: Device) -> x509.Name | None:
    certificate = certificate_of(device.state.objects.get(ATTESTATION_CERTIFICATE, b""))
    return None if certificate is None else certificate.subject
