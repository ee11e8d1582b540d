# SPDX-License-Identifier: Apache-2.0
"""Data objects: what can be read by whom, and how much fits.

The card takes any bytes as an object: the formats are the business of those who write them. Sources: SP
800-73-4 part 1 section 3 and part 2 sections 3.1.2 and 3.3.1, Yubico's "PIV objects" and "Maximum certificate
sizes".
"""

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.piv import fields
from pivgate.emulator.piv.commands import GetData, PutData
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.references import DISCOVERY, PIN_PROTECTED

STORAGE = 51_200
"""Bytes for all objects together."""

_FIRST, _LAST = 0x5F0000, 0x5FFFFF
_OBJECT = 0x53
# The application's identifier, and: the PIN of the application is the only one, and sufficient.
_DISCOVERY_VALUE = bytes.fromhex("4F0BA0000003080000100001005F2F024000")


def get_data(device: Device, command: GetData) -> bytes:
    """Read an object.

    Raises:
        StatusError: 6982 for a protected object without PIN, there or not; 6A82 when it is not there.
    """
    if command.object_id == DISCOVERY:
        return tlv.build(DISCOVERY, _DISCOVERY_VALUE)
    if command.object_id in PIN_PROTECTED:
        fields.require(device.session.pin_verified, StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    value = device.state.objects.get(command.object_id)
    if value is None:
        raise StatusError(StatusWord.FILE_NOT_FOUND)
    return tlv.build(_OBJECT, value)


def put_data(device: Device, command: PutData) -> bytes:
    """Write an object, or delete it by writing nothing.

    Raises:
        StatusError: 6A80 for an identifier outside of 5F0000 to 5FFFFF; 6A84 when the storage is full.
    """
    fields.require(_FIRST <= command.object_id <= _LAST)
    objects = device.state.objects
    others = sum(len(value) for object_id, value in objects.items() if object_id != command.object_id)
    fields.require(others + len(command.value) <= STORAGE, StatusWord.NOT_ENOUGH_MEMORY)
    if command.value:
        objects[command.object_id] = command.value
    else:
        objects.pop(command.object_id, None)
    return b""
