# SPDX-License-Identifier: Apache-2.0
"""Reading GENERAL AUTHENTICATE, the one instruction for everything that uses a key.

Source: SP 800-73-4 part 2 section 3.2.4.
"""

from pivgate.emulator import tlv
from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord
from pivgate.emulator.firmware import KeyType, ManagementKeyType
from pivgate.emulator.piv import fields
from pivgate.emulator.piv.commands import (
    Agree,
    AnswerChallenge,
    AnswerWitness,
    BeginManagement,
    Command,
    Sign,
)
from pivgate.emulator.piv.references import MANAGEMENT_KEY, USER_SLOTS

_TEMPLATE = 0x7C
_WITNESS = 0x80
_CHALLENGE = 0x81
_RESPONSE = 0x82
_EXPONENTIATION = 0x85
_TDES_BY_DEFAULT = 0x00
"""P1 = 00 means Triple DES (SP 800-78-4 table 6-2); OpenSC asks so."""


def decode_authenticate(apdu: CommandApdu) -> Command:
    """Read GENERAL AUTHENTICATE for the management key or for a key pair.

    Raises:
        StatusError: 6A86 for an unknown key or algorithm, 6A80 for a template that asks for nothing we know.
    """
    fields.require(apdu.p2 == MANAGEMENT_KEY or apdu.p2 in USER_SLOTS, StatusWord.INCORRECT_P1_P2)
    template = fields.unique(tlv.parse(tlv.unwrap(_TEMPLATE, apdu.data)))
    if apdu.p2 == MANAGEMENT_KEY:
        return _decode_management(apdu.p1, template)
    return _decode_private_use(apdu.p1, apdu.p2, template)


def _decode_management(p1: int, template: dict[int, bytes]) -> Command:
    key_type = fields.number(
        ManagementKeyType,
        ManagementKeyType.TDES if p1 == _TDES_BY_DEFAULT else p1,
        StatusWord.INCORRECT_P1_P2,
    )
    tags = set(template)
    if template == {_WITNESS: b""}:
        return BeginManagement(key_type, "mutual")
    if template == {_CHALLENGE: b""}:
        return BeginManagement(key_type, "single")
    if tags == {_RESPONSE}:
        return AnswerChallenge(key_type, template[_RESPONSE])
    if tags - {_RESPONSE} == {_WITNESS, _CHALLENGE} and not template.get(_RESPONSE):
        fields.require(len(template[_CHALLENGE]) == key_type.block_length)
        return AnswerWitness(key_type, template[_WITNESS], template[_CHALLENGE])
    raise StatusError(StatusWord.INCORRECT_DATA)


def _decode_private_use(p1: int, slot: int, template: dict[int, bytes]) -> Command:
    key_type = fields.number(KeyType, p1, StatusWord.INCORRECT_P1_P2)
    # An empty 82 says "answer here"; without it nothing has been asked for.
    fields.require(template.pop(_RESPONSE, None) == b"")
    if set(template) == {_CHALLENGE}:
        return Sign(slot, key_type, template[_CHALLENGE])
    if set(template) == {_EXPONENTIATION}:
        return Agree(slot, key_type, template[_EXPONENTIATION])
    raise StatusError(StatusWord.INCORRECT_DATA)
