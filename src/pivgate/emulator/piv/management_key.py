# SPDX-License-Identifier: Apache-2.0
"""Proving knowledge of the management key, and replacing it.

Sources: SP 800-73-4 part 2 sections 3.2.4 and A.1 (mutual and single authentication), Yubico's "Authenticate:
management key" and "Set management key".
"""

import hmac

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.firmware import ManagementKeyType
from pivgate.emulator.piv import fields
from pivgate.emulator.piv.commands import AnswerChallenge, AnswerWitness, BeginManagement, SetManagementKey
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.session import Challenge, Trace
from pivgate.emulator.piv.state import ManagementKey

_TEMPLATE = 0x7C
_WITNESS = 0x80
_CHALLENGE = 0x81
_RESPONSE = 0x82


def begin_management(device: Device, command: BeginManagement) -> bytes:
    """Ask the host a question that only the holder of the key can answer.

    Single authentication: a challenge in clear, whose encryption is the answer. Mutual: a witness encrypted,
    whose decryption is the answer.

    Raises:
        StatusError: 6A80, the key is of another type.
    """
    _require_type(device, command.key_type)
    plain = device.randomness(command.key_type.block_length)
    encrypted = _encrypt(device.state.management, plain)
    if command.kind == "single":
        device.session.after = Trace(challenge=Challenge("single", answer=encrypted))
        return tlv.build(_TEMPLATE, tlv.build(_CHALLENGE, plain))
    device.session.after = Trace(challenge=Challenge("mutual", answer=plain))
    return tlv.build(_TEMPLATE, tlv.build(_WITNESS, encrypted))


def answer_challenge(device: Device, command: AnswerChallenge) -> bytes:
    """End single authentication.

    Raises:
        StatusError: 6982 for a wrong answer, for one to no question, and for no touch; 6A80 for another type
            of key.
    """
    _require_type(device, command.key_type)
    _judge(device, Challenge("single", command.response))
    return b""


def answer_witness(device: Device, command: AnswerWitness) -> bytes:
    """End mutual authentication, and prove in turn that the card knows the key.

    Raises:
        StatusError: As for single authentication.
    """
    _require_type(device, command.key_type)
    _judge(device, Challenge("mutual", command.witness))
    response = _encrypt(device.state.management, command.challenge)
    return tlv.build(_TEMPLATE, tlv.build(_RESPONSE, response))


def set_management_key(device: Device, command: SetManagementKey) -> bytes:
    """Replace the management key; whoever was authenticated stays so.

    Raises:
        StatusError: 6A80, this firmware does not know the type.
    """
    fields.require(command.key_type in device.firmware.management_key_types)
    device.state.management = ManagementKey(command.key_type, command.key, command.touch_policy)
    return b""


def _require_type(device: Device, key_type: ManagementKeyType) -> None:
    # 6A80 is what keys of firmware 5.7 say to programs that take Triple DES for granted.
    fields.require(key_type is device.state.management.key_type)


def _judge(device: Device, given: Challenge) -> None:
    """Authenticate the host if it answers the very question that the last command put.

    Raises:
        StatusError: 6982.
    """
    device.session.management_authenticated = False
    asked = device.session.before.challenge
    if asked is None or asked.kind != given.kind or not hmac.compare_digest(asked.answer, given.answer):
        raise StatusError(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    device.demand_touch(device.state.management.touch_policy)
    device.session.management_authenticated = True


def _encrypt(management: ManagementKey, block: bytes) -> bytes:
    """Encrypt one block, or several, each by itself: that is the mode PIV prescribes."""
    tdes = management.key_type is ManagementKeyType.TDES
    algorithm = TripleDES(management.key) if tdes else algorithms.AES(management.key)
    encryptor = Cipher(algorithm, modes.ECB()).encryptor()  # noqa: S305 - one random block
    return encryptor.update(block) + encryptor.finalize()
