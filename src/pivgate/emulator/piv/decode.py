# SPDX-License-Identifier: Apache-2.0
"""From APDU to command: which instruction, are its parameters in range, has its data the right form.

Nothing here knows the state of the card. Sources: SP 800-73-4 part 2 section 3, and for the instructions from
F6 to FF the APDU pages of Yubico's .NET SDK manual
(https://docs.yubico.com/yesdk/users-manual/application-piv/commands.html).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pivgate.emulator import tlv
from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord
from pivgate.emulator.firmware import KeyType, ManagementKeyType
from pivgate.emulator.piv import fields
from pivgate.emulator.piv.authenticate import decode_authenticate
from pivgate.emulator.piv.commands import (
    Attest,
    ChangeReference,
    Command,
    DeleteKey,
    ForgetPin,
    Generate,
    GetData,
    GetMetadata,
    GetSerial,
    GetVersion,
    Import,
    MoveKey,
    PutData,
    QueryPin,
    Reset,
    ResetRetryCounter,
    SetManagementKey,
    SetRetries,
    VerifyPin,
)
from pivgate.emulator.piv.references import (
    ATTESTATION,
    KEY_SLOTS,
    MANAGEMENT_KEY,
    SECRET_LENGTH,
    USER_SLOTS,
    PinPolicy,
    Secret,
    TouchPolicy,
)

INS_MOVE_KEY = 0xF6
INS_GET_METADATA = 0xF7
INS_GET_SERIAL = 0xF8

_FORGET = 0xFF
_DELETE = 0xFF
_TAG_LIST = 0x5C
_OBJECT = 0x53
_LONGEST_OBJECT_ID = 3
_GENERATE_TEMPLATE = 0xAC
_ALGORITHM = 0x80
_PIN_POLICY = 0xAA
_TOUCH_POLICY = 0xAB
_SET_MANAGEMENT_TOUCH = MappingProxyType(
    {0xFF: TouchPolicy.NEVER, 0xFE: TouchPolicy.ALWAYS, 0xFD: TouchPolicy.CACHED}
)


def decode(apdu: CommandApdu) -> Command:
    """Read one whole command (class 00, chaining done).

    Raises:
        StatusError: 6D00 unknown instruction, 6A86 or 6A88 parameters, 6A80 data, 6700 data where none
            belongs.
    """
    decoder = _DECODERS.get(apdu.ins)
    if decoder is None:
        raise StatusError(StatusWord.INSTRUCTION_NOT_SUPPORTED)
    return decoder(apdu)


def _verify(apdu: CommandApdu) -> Command:
    fields.require(apdu.p1 in (0, _FORGET), StatusWord.INCORRECT_P1_P2)
    fields.require(apdu.p2 == Secret.PIN, StatusWord.REFERENCE_DATA_NOT_FOUND)
    if apdu.p1 == _FORGET:
        fields.require(not apdu.data)
        return ForgetPin()
    if not apdu.data:
        return QueryPin()
    fields.require(len(apdu.data) == SECRET_LENGTH)
    return VerifyPin(apdu.data)


def _change_reference(apdu: CommandApdu) -> Command:
    secret, present, new = _two_secrets(apdu, {Secret.PIN, Secret.PUK})
    return ChangeReference(secret, present, new)


def _reset_retry_counter(apdu: CommandApdu) -> Command:
    _, puk, new_pin = _two_secrets(apdu, {Secret.PIN})
    return ResetRetryCounter(puk, new_pin)


def _two_secrets(apdu: CommandApdu, allowed: set[Secret]) -> tuple[Secret, bytes, bytes]:
    fields.require(apdu.p1 == 0, StatusWord.INCORRECT_P1_P2)
    fields.require(apdu.p2 in allowed, StatusWord.REFERENCE_DATA_NOT_FOUND)
    fields.require(len(apdu.data) == 2 * SECRET_LENGTH)
    return Secret(apdu.p2), apdu.data[:SECRET_LENGTH], apdu.data[SECRET_LENGTH:]


def _set_retries(apdu: CommandApdu) -> Command:
    fields.no_data(apdu)
    fields.require(apdu.p1 > 0 and apdu.p2 > 0, StatusWord.INCORRECT_P1_P2)
    return SetRetries(apdu.p1, apdu.p2)


def _get_data(apdu: CommandApdu) -> Command:
    fields.require((apdu.p1, apdu.p2) == (0x3F, 0xFF), StatusWord.INCORRECT_P1_P2)
    return GetData(_object_id(tlv.unwrap(_TAG_LIST, apdu.data)))


def _put_data(apdu: CommandApdu) -> Command:
    fields.require((apdu.p1, apdu.p2) == (0x3F, 0xFF), StatusWord.INCORRECT_P1_P2)
    parts = tlv.parse(apdu.data)
    fields.require([tag for tag, _ in parts] == [_TAG_LIST, _OBJECT])
    return PutData(_object_id(parts[0][1]), parts[1][1])


def _object_id(value: bytes) -> int:
    fields.require(1 <= len(value) <= _LONGEST_OBJECT_ID)
    return int.from_bytes(value, "big")


def _set_management_key(apdu: CommandApdu) -> Command:
    fields.require(apdu.p1 == 0xFF and apdu.p2 in _SET_MANAGEMENT_TOUCH, StatusWord.INCORRECT_P1_P2)
    fields.require(len(apdu.data) > 0)
    key_type = fields.number(ManagementKeyType, apdu.data[0])
    key = tlv.unwrap(MANAGEMENT_KEY, apdu.data[1:])
    fields.require(len(key) == key_type.key_length)
    return SetManagementKey(key_type, key, _SET_MANAGEMENT_TOUCH[apdu.p2])


def _generate(apdu: CommandApdu) -> Command:
    fields.require(apdu.p1 == 0 and apdu.p2 in KEY_SLOTS, StatusWord.INCORRECT_P1_P2)
    parameters = fields.unique(tlv.parse(tlv.unwrap(_GENERATE_TEMPLATE, apdu.data)))
    fields.require(set(parameters) <= {_ALGORITHM, _PIN_POLICY, _TOUCH_POLICY})
    algorithm = parameters.get(_ALGORITHM, b"")
    fields.require(len(algorithm) == 1)
    key_type = fields.number(KeyType, algorithm[0])
    return Generate(apdu.p2, key_type, *_policies(parameters))


def _import(apdu: CommandApdu) -> Command:
    fields.require(apdu.p2 in KEY_SLOTS, StatusWord.INCORRECT_P1_P2)
    key_type = fields.number(KeyType, apdu.p1, StatusWord.INCORRECT_P1_P2)
    parameters = fields.unique(tlv.parse(apdu.data))
    elements = {tag: value for tag, value in parameters.items() if tag not in (_PIN_POLICY, _TOUCH_POLICY)}
    return Import(apdu.p2, key_type, *_policies(parameters), MappingProxyType(elements))


def _policies(parameters: Mapping[int, bytes]) -> tuple[PinPolicy, TouchPolicy]:
    pin = parameters.get(_PIN_POLICY, b"\0")
    touch = parameters.get(_TOUCH_POLICY, b"\0")
    fields.require(len(pin) == 1 and len(touch) == 1)
    return (
        fields.number(PinPolicy, pin[0]),
        fields.number(TouchPolicy, touch[0]),
    )


def _attest(apdu: CommandApdu) -> Command:
    fields.no_data(apdu)
    fields.require(apdu.p1 in USER_SLOTS and apdu.p2 == 0, StatusWord.INCORRECT_P1_P2)
    return Attest(apdu.p1)


def _get_metadata(apdu: CommandApdu) -> Command:
    fields.no_data(apdu)
    fields.require(apdu.p1 == 0, StatusWord.INCORRECT_P1_P2)
    return GetMetadata(apdu.p2)


def _move_key(apdu: CommandApdu) -> Command:
    fields.no_data(apdu)
    if apdu.p1 == _DELETE:
        fields.require(apdu.p2 in KEY_SLOTS, StatusWord.INCORRECT_P1_P2)
        return DeleteKey(apdu.p2)
    # The key in F9 is bound to the certificate beside it: it can be deleted, not moved.
    fields.require(ATTESTATION not in (apdu.p1, apdu.p2), StatusWord.INCORRECT_P1_P2)
    fields.require(apdu.p1 in KEY_SLOTS and apdu.p2 in KEY_SLOTS, StatusWord.INCORRECT_P1_P2)
    return MoveKey(source=apdu.p2, destination=apdu.p1)


def _bare(command: Command) -> Callable[[CommandApdu], Command]:
    """Return the decoder of a command that has no parameters at all."""

    def decoder(apdu: CommandApdu) -> Command:
        fields.no_data(apdu)
        fields.require(apdu.p1 == 0 and apdu.p2 == 0, StatusWord.INCORRECT_P1_P2)
        return command

    return decoder


_DECODERS: Mapping[int, Callable[[CommandApdu], Command]] = MappingProxyType(
    {
        0x20: _verify,
        0x24: _change_reference,
        0x2C: _reset_retry_counter,
        0x47: _generate,
        0x87: decode_authenticate,
        0xCB: _get_data,
        0xDB: _put_data,
        INS_MOVE_KEY: _move_key,
        INS_GET_METADATA: _get_metadata,
        INS_GET_SERIAL: _bare(GetSerial()),
        0xF9: _attest,
        0xFA: _set_retries,
        0xFB: _bare(Reset()),
        0xFD: _bare(GetVersion()),
        0xFE: _import,
        0xFF: _set_management_key,
    }
)
