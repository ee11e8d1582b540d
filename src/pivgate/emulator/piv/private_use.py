# SPDX-License-Identifier: Apache-2.0
"""Using a private key: its PIN policy, its touch policy, and only then the key.

Sources: SP 800-73-4 part 1 table 4b (security condition for use), Yubico's "PIN and touch policies".
"""

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.firmware import KeyType
from pivgate.emulator.piv import fields, key_pairs
from pivgate.emulator.piv.commands import Agree, Sign
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.key_pairs import PrivateKey
from pivgate.emulator.piv.references import PinPolicy
from pivgate.emulator.piv.session import Session

_TEMPLATE = 0x7C
_RESPONSE = 0x82


def sign(device: Device, command: Sign) -> bytes:
    """Sign with, or decrypt by, the key in a slot.

    Raises:
        StatusError: 6A80 no such key or unusable data, 6982 no PIN or no touch.
    """
    key = _unlock(device, command.slot, command.key_type)
    return _reply(key_pairs.sign(command.key_type, key, command.data))


def agree(device: Device, command: Agree) -> bytes:
    """Agree on a secret with the key in a slot.

    Raises:
        StatusError: As for signing.
    """
    key = _unlock(device, command.slot, command.key_type)
    return _reply(key_pairs.agree(command.key_type, key, command.peer))


def _unlock(device: Device, slot: int, key_type: KeyType) -> PrivateKey:
    key = device.state.keys.get(slot)
    if key is None or key.key_type is not key_type:
        raise StatusError(StatusWord.INCORRECT_DATA)
    fields.require(_pin_satisfied(device.session, key.pin_policy), StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    device.demand_touch(key.touch_policy)
    return key.private_key


def _pin_satisfied(session: Session, policy: PinPolicy) -> bool:
    if policy is PinPolicy.NEVER:
        return True
    # "Always" means in the command before this one (SP 800-73-4 part 1, "PIN Always").
    return session.before.pin_verified if policy is PinPolicy.ALWAYS else session.pin_verified


def _reply(value: bytes) -> bytes:
    return tlv.build(_TEMPLATE, tlv.build(_RESPONSE, value))
