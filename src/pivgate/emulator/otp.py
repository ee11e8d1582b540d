# SPDX-License-Identifier: Apache-2.0
"""The OTP application, as far as others need it: its status, and the serial number.

Both of its slots are empty and stay so. libykpiv reads the serial number of a YubiKey 4 here, since the PIV
application has no command for that before firmware 5. Source: the APDU pages of Yubico's .NET SDK manual
(https://docs.yubico.com/yesdk/users-manual/application-otp/otp-commands.html).
"""

from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord
from pivgate.emulator.firmware import Firmware

OTP_AID = bytes.fromhex("A000000527200101")

_REQUEST = 0x01
_STATUS = 0x03
_DEVICE_SERIAL = 0x10
# How often a slot was written since the key has power, and which slots are configured (two bytes).
_NOTHING_CONFIGURED = bytes(3)


class OtpApplet:
    """The application with the identifier A000000527200101.

    Args:
        firmware: What the device can do.
        serial: Its serial number.
    """

    def __init__(self, firmware: Firmware, serial: int) -> None:
        self._firmware = firmware
        self._serial = serial

    @property
    def aid(self) -> bytes:
        """The full application identifier."""
        return OTP_AID

    def select(self) -> bytes:
        """Return the status: version and configured slots."""
        return bytes(self._firmware.version) + _NOTHING_CONFIGURED

    def deselect(self) -> None:
        """There is no volatile state."""

    def power_off(self) -> None:
        """There is no volatile state."""

    def process(self, command: CommandApdu) -> bytes:
        """Tell the status or the serial number.

        Raises:
            StatusError: 6D00 another instruction, 6A86 another request; 6700 data where none belongs.
        """
        if command.ins not in (_REQUEST, _STATUS):
            raise StatusError(StatusWord.INSTRUCTION_NOT_SUPPORTED)
        wanted = _DEVICE_SERIAL if command.ins == _REQUEST else 0
        if command.p1 != wanted or command.p2:
            raise StatusError(StatusWord.INCORRECT_P1_P2)
        if command.data:
            raise StatusError(StatusWord.WRONG_LENGTH)
        return self.select() if command.ins == _STATUS else self._serial.to_bytes(4, "big")
