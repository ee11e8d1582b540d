# SPDX-License-Identifier: Apache-2.0
"""GET METADATA: what is known about a key or a secret, without using it (Yubico, from firmware 5.3)."""

import hmac

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.piv.commands import GetMetadata
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.key_pairs import public_template
from pivgate.emulator.piv.references import MANAGEMENT_KEY, PinPolicy, Secret
from pivgate.emulator.piv.state import (
    FACTORY_MANAGEMENT_KEY,
    FACTORY_SECRETS,
    ManagementKey,
    Reference,
    SlotKey,
)

_ALGORITHM, _POLICY, _ORIGIN, _PUBLIC_KEY, _DEFAULT, _TRIES = range(0x01, 0x07)
_NO_ALGORITHM = 0xFF
_GENERATED, _IMPORTED = 1, 2


def get_metadata(device: Device, command: GetMetadata) -> bytes:
    """Describe a secret, the management key or a key pair.

    Raises:
        StatusError: 6A88, there is nothing by that reference.
    """
    state = device.state
    if command.reference in state.secrets:
        secret = Secret(command.reference)
        return _describe_secret(state.secrets[secret], FACTORY_SECRETS[secret])
    if command.reference == MANAGEMENT_KEY:
        return _describe_management_key(state.management)
    if command.reference in state.keys:
        return _describe_key(state.keys[command.reference])
    raise StatusError(StatusWord.REFERENCE_DATA_NOT_FOUND)


def _describe_secret(reference: Reference, factory: bytes) -> bytes:
    return (
        tlv.build(_ALGORITHM, bytes([_NO_ALGORITHM]))
        + tlv.build(_DEFAULT, bytes([hmac.compare_digest(reference.value, factory)]))
        + tlv.build(_TRIES, bytes([reference.total, reference.left]))
    )


def _describe_management_key(management: ManagementKey) -> bytes:
    return (
        tlv.build(_ALGORITHM, bytes([management.key_type]))
        + tlv.build(_POLICY, bytes([PinPolicy.DEFAULT, management.touch_policy]))
        + tlv.build(_DEFAULT, bytes([hmac.compare_digest(management.key, FACTORY_MANAGEMENT_KEY)]))
    )


def _describe_key(key: SlotKey) -> bytes:
    return (
        tlv.build(_ALGORITHM, bytes([key.key_type]))
        + tlv.build(_POLICY, bytes([key.pin_policy, key.touch_policy]))
        + tlv.build(_ORIGIN, bytes([_GENERATED if key.generated else _IMPORTED]))
        + tlv.build(_PUBLIC_KEY, public_template(key.private_key))
    )
