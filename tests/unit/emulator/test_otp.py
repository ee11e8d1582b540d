# SPDX-License-Identifier: Apache-2.0
"""The OTP application tells its status and the serial number, to yubikit too, and refuses everything else."""

import pytest
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import ApplicationNotAvailableError
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession
from yubikit.yubiotp import SLOT, YubiOtpSession

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 15890263
SELECT = bytes.fromhex("00A4040007A0000005272001")


@pytest.mark.parametrize("version", FIRMWARE)
def test_yubikit_reads_version_serial_number_and_two_empty_slots(version: str) -> None:
    with EmulatedDevice(EmulatedYubiKey(FIRMWARE[version], SERIAL)).open() as connection:
        session = YubiOtpSession(connection)
        assert str(session.version) == version
        assert session.get_serial() == SERIAL
        assert not session.get_config_state().is_configured(SLOT.ONE)
        assert not session.get_config_state().is_configured(SLOT.TWO)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("00030000", "0403070000009000"),
        ("00011000", SERIAL.to_bytes(4, "big").hex() + "9000"),
        ("0001100001AA", "6700"),
        ("00011001", "6a86"),
        ("00010100", "6a86"),
        ("00031000", "6a86"),
        ("00040000", "6d00"),
    ],
)
def test_only_status_and_serial_number_are_told(command: str, reply: str) -> None:
    yubikey = EmulatedYubiKey(FIRMWARE["4.3.7"], SERIAL)
    assert yubikey.transmit(SELECT) == bytes.fromhex("0403070000009000")
    assert yubikey.transmit(bytes.fromhex(command)).hex() == reply


def test_it_goes_when_it_is_switched_off() -> None:
    with EmulatedDevice(EmulatedYubiKey(FIRMWARE["5.4.3"], SERIAL)).open() as connection:
        management = ManagementSession(connection)
        management.write_device_config(DeviceConfig({TRANSPORT.USB: CAPABILITY.PIV}))
        with pytest.raises(ApplicationNotAvailableError):
            YubiOtpSession(connection)
