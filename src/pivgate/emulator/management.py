# SPDX-License-Identifier: Apache-2.0
"""The management application: what the device is, and which applications are switched on.

Source: Yubico, "YubiKey 5 Series Configuration Reference Guide"
(https://developers.yubico.com/yubikey-manager/Config_Reference.html), and the pages on device information in
the manual of Yubico's .NET SDK (https://docs.yubico.com/yesdk/).
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from pivgate.emulator import tlv
from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord
from pivgate.emulator.firmware import Capability, DeviceInformation, Firmware

MANAGEMENT_AID = bytes.fromhex("A000000527471117")
LOCK_LENGTH = 16
NO_LOCK = bytes(LOCK_LENGTH)

_SET_MODE = 0x16
_WRITE = 0x1C
_READ = 0x1D
_MODE_P1 = 0x11

# USB modes of firmware 4: which of the seven have the smart card interface.
_MODES = range(7)
_MODES_WITH_SMART_CARD = frozenset({0x01, 0x02, 0x05, 0x06})
_MODE_BITS = 0x07

_SMART_CARD = Capability.CCID | Capability.OPENPGP | Capability.PIV | Capability.OATH | Capability.HSMAUTH


class Tag(IntEnum):
    """Fields of device information and configuration."""

    USB_SUPPORTED = 0x01
    SERIAL = 0x02
    USB_ENABLED = 0x03
    FORM_FACTOR = 0x04
    VERSION = 0x05
    EJECT_TIMEOUT = 0x06
    CHALLENGE_TIMEOUT = 0x07
    DEVICE_FLAGS = 0x08
    LOCK = 0x0A
    UNLOCK = 0x0B
    REBOOT = 0x0C
    NFC_SUPPORTED = 0x0D
    NFC_ENABLED = 0x0E
    IAP_DETECTION = 0x0F
    MORE_DATA = 0x10
    FREE_FORM = 0x11
    HID_INIT_DELAY = 0x12
    PART_NUMBER = 0x13
    FIPS_CAPABLE = 0x14
    FIPS_APPROVED = 0x15
    PIN_COMPLEXITY = 0x16
    NFC_RESTRICTED = 0x17
    RESET_BLOCKED = 0x18
    FINGERPRINT_SENSOR_VERSION = 0x20
    STM_VERSION = 0x21


_WRITABLE: Mapping[int, int] = {
    Tag.USB_ENABLED: 2,
    Tag.NFC_ENABLED: 2,
    Tag.EJECT_TIMEOUT: 2,
    Tag.CHALLENGE_TIMEOUT: 1,
    Tag.DEVICE_FLAGS: 1,
    Tag.LOCK: LOCK_LENGTH,
    Tag.UNLOCK: LOCK_LENGTH,
    Tag.REBOOT: 0,
}
"""Fields that can be written, and their length in bytes."""

_WRITABLE_PAGED: Mapping[int, int] = {**_WRITABLE, Tag.NFC_RESTRICTED: 1}


@dataclass(frozen=True)
class ManagementState:
    """The device's configuration, which survives loss of power.

    Attributes:
        usb_enabled: Applications that answer over USB.
        nfc_enabled: Applications that answer over NFC; nothing on a key without NFC.
        mode: USB mode of firmware 4 (0 to 6, and 0x80 for touch to eject).
        eject_timeout: Seconds.
        challenge_timeout: Seconds.
        device_flags: Remote wake-up and touch to eject.
        lock_code: 16 bytes; all zero when the configuration is not locked.
        nfc_restricted: NFC is off until the key has had power over USB.
    """

    usb_enabled: Capability
    nfc_enabled: Capability
    mode: int = 0x06
    eject_timeout: int = 0
    challenge_timeout: int = 15
    device_flags: int = 0
    lock_code: bytes = NO_LOCK
    nfc_restricted: bool = False

    @property
    def smart_card_enabled(self) -> bool:
        """Whether the key shows itself to the computer as a smart card reader."""
        return bool(self.usb_enabled & _SMART_CARD) and self.mode & _MODE_BITS in _MODES_WITH_SMART_CARD


def factory_state(firmware: Firmware) -> ManagementState:
    """Return the configuration that a new key has: everything on, nothing locked."""
    return ManagementState(firmware.usb_supported, firmware.nfc_supported or Capability(0))


class ManagementApplet:
    """The application with the identifier A000000527471117.

    Args:
        firmware: What the device can do.
        serial: Its serial number.
        reboot: Called when a command asks the device to restart; it does so after the reply has gone out.

    Attributes:
        state: The configuration in force.
    """

    def __init__(self, firmware: Firmware, serial: int, reboot: Callable[[], None]) -> None:
        self.state = factory_state(firmware)
        self._firmware = firmware
        self._serial = serial
        self._reboot = reboot

    @property
    def aid(self) -> bytes:
        """The full application identifier."""
        return MANAGEMENT_AID

    def select(self) -> bytes:
        """Return the version as text, which is how yubikit learns it."""
        return f"Virtual mgr - FW version {self._firmware.name}".encode()

    def deselect(self) -> None:
        """There is no volatile state."""

    def power_off(self) -> None:
        """There is no volatile state."""

    def process(self, command: CommandApdu) -> bytes:
        """Read or write the configuration.

        Raises:
            StatusError: The command is unknown to this firmware, malformed, or not allowed while locked.
        """
        legacy = self._firmware.device_information is DeviceInformation.SHORT
        if command.ins == _READ:
            return self._read(command)
        if command.ins == _WRITE and not legacy:
            return self._write(command)
        if command.ins == _SET_MODE and legacy:
            return self._set_mode(command)
        raise StatusError(StatusWord.INSTRUCTION_NOT_SUPPORTED)

    def _read(self, command: CommandApdu) -> bytes:
        pages = _PAGES[self._firmware.device_information](self._firmware, self._serial, self.state)
        if command.p2 or command.p1 >= len(pages):
            raise StatusError(StatusWord.INCORRECT_P1_P2)
        if command.data:
            raise StatusError(StatusWord.WRONG_LENGTH)
        page = b"".join(tlv.build(tag, value) for tag, value in pages[command.p1])
        return bytes((len(page),)) + page

    def _write(self, command: CommandApdu) -> bytes:
        if command.p1 or command.p2:
            raise StatusError(StatusWord.INCORRECT_P1_P2)
        if not command.data or command.data[0] != len(command.data) - 1:
            raise StatusError(StatusWord.INCORRECT_DATA)
        pairs = tlv.parse(command.data[1:])
        fields = dict(pairs)
        paged = self._firmware.device_information is DeviceInformation.PAGED
        writable = _WRITABLE_PAGED if paged else _WRITABLE
        if len(fields) != len(pairs) or any(writable.get(tag) != len(value) for tag, value in pairs):
            raise StatusError(StatusWord.INCORRECT_DATA)
        self._unlock(fields)
        self.state = _configured(self.state, fields, self._firmware)
        if Tag.REBOOT in fields:
            self._reboot()
        return b""

    def _unlock(self, fields: Mapping[int, bytes]) -> None:
        # On an unlocked device the only right code is the one of zeros.
        if not hmac.compare_digest(fields.get(Tag.UNLOCK, NO_LOCK), self.state.lock_code):
            raise StatusError(StatusWord.COMMAND_ABORTED)

    def _set_mode(self, command: CommandApdu) -> bytes:
        if command.p1 != _MODE_P1 or command.p2:
            raise StatusError(StatusWord.INCORRECT_P1_P2)
        if len(command.data) != 4:
            raise StatusError(StatusWord.WRONG_LENGTH)
        mode, challenge_timeout = command.data[:2]
        if mode & _MODE_BITS not in _MODES:
            raise StatusError(StatusWord.INCORRECT_DATA)
        self.state = replace(
            self.state,
            mode=mode,
            challenge_timeout=challenge_timeout,
            # The one number on this card that is little-endian.
            eject_timeout=int.from_bytes(command.data[2:], "little"),
        )
        return b""


def _configured(state: ManagementState, fields: Mapping[int, bytes], firmware: Firmware) -> ManagementState:
    """Return the configuration after a write, whose fields have the right lengths.

    Raises:
        StatusError: 6A80 when no application would be left over USB.
    """

    def number(tag: Tag, unchanged: int) -> int:
        return int.from_bytes(fields[tag], "big") if tag in fields else unchanged

    usb_enabled = Capability(number(Tag.USB_ENABLED, state.usb_enabled)) & firmware.usb_supported
    nfc_supported = firmware.nfc_supported or Capability(0)
    if not usb_enabled:
        raise StatusError(StatusWord.INCORRECT_DATA)
    return replace(
        state,
        usb_enabled=usb_enabled,
        nfc_enabled=Capability(number(Tag.NFC_ENABLED, state.nfc_enabled)) & nfc_supported,
        eject_timeout=number(Tag.EJECT_TIMEOUT, state.eject_timeout),
        challenge_timeout=number(Tag.CHALLENGE_TIMEOUT, state.challenge_timeout),
        device_flags=number(Tag.DEVICE_FLAGS, state.device_flags),
        lock_code=fields.get(Tag.LOCK, state.lock_code),
        nfc_restricted=bool(number(Tag.NFC_RESTRICTED, state.nfc_restricted)),
    )


_Page = list[tuple[Tag, bytes]]


def _short(firmware: Firmware, serial: int, state: ManagementState) -> list[_Page]:
    return [
        [
            # A real 4.3.7 claims all eight bits here, known or not.
            (Tag.USB_SUPPORTED, b"\xff"),
            (Tag.SERIAL, serial.to_bytes(4, "big")),
            (Tag.USB_ENABLED, (state.usb_enabled & firmware.usb_supported).to_bytes(1, "big")),
        ]
    ]


def _full(firmware: Firmware, serial: int, state: ManagementState) -> list[_Page]:
    page: _Page = [
        (Tag.USB_SUPPORTED, firmware.usb_supported.to_bytes(2, "big")),
        (Tag.USB_ENABLED, state.usb_enabled.to_bytes(2, "big")),
        (Tag.SERIAL, serial.to_bytes(4, "big")),
        (Tag.FORM_FACTOR, bytes((firmware.form_factor,))),
        (Tag.VERSION, bytes(firmware.version)),
        (Tag.EJECT_TIMEOUT, state.eject_timeout.to_bytes(2, "big")),
        (Tag.CHALLENGE_TIMEOUT, bytes((state.challenge_timeout,))),
        (Tag.DEVICE_FLAGS, bytes((state.device_flags,))),
    ]
    if firmware.nfc_supported is not None:
        page += [
            (Tag.NFC_SUPPORTED, firmware.nfc_supported.to_bytes(2, "big")),
            (Tag.NFC_ENABLED, state.nfc_enabled.to_bytes(2, "big")),
        ]
    return [[*page, (Tag.LOCK, bytes((state.lock_code != NO_LOCK,))), (Tag.IAP_DETECTION, b"\x00")]]


def _paged(firmware: Firmware, serial: int, state: ManagementState) -> list[_Page]:
    (first,) = _full(firmware, serial, state)
    # Keys without these parts say so in zeros; a real 5.7.4 does (keyroost issue 147).
    first += [
        (Tag.FINGERPRINT_SENSOR_VERSION, bytes(3)),
        (Tag.STM_VERSION, bytes(3)),
        (Tag.MORE_DATA, b"\x01"),
    ]
    second: _Page = [
        (Tag.FREE_FORM, bytes(4)),
        (Tag.HID_INIT_DELAY, b"\x00"),
        (Tag.PART_NUMBER, b""),
        (Tag.FIPS_CAPABLE, bytes(2)),
        (Tag.FIPS_APPROVED, bytes(2)),
        (Tag.PIN_COMPLEXITY, b"\x00"),
        (Tag.NFC_RESTRICTED, bytes((state.nfc_restricted,))),
        (Tag.RESET_BLOCKED, bytes(2)),
    ]
    return [first, second]


_PAGES: Mapping[DeviceInformation, Callable[[Firmware, int, ManagementState], list[_Page]]] = {
    DeviceInformation.SHORT: _short,
    DeviceInformation.FULL: _full,
    DeviceInformation.PAGED: _paged,
}
