# SPDX-License-Identifier: Apache-2.0
"""The emulated key under yubikit and ykman, which take it for a real one; and how it is pulled out."""

import pytest
from smartcard.Exceptions import CardConnectionException
from smartcard.scard import (
    SCARD_E_INVALID_HANDLE,
    SCARD_E_NOT_TRANSACTED,
    SCARD_E_SHARING_VIOLATION,
    SCARD_E_UNKNOWN_READER,
    SCARD_W_REMOVED_CARD,
)
from yubikit.core import TRANSPORT, YUBIKEY, ApplicationNotAvailableError, NotSupportedError, Version
from yubikit.core.smartcard import AID, ApduError, SmartCardConnection, SmartCardProtocol
from yubikit.management import CAPABILITY, DEVICE_FLAG, FORM_FACTOR, DeviceConfig, ManagementSession, Mode
from yubikit.piv import PivSession
from yubikit.support import get_name, read_info

from pivgate.emulator.connection import EmulatedDevice, Moment
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 15890263
FIVES = ("5.2.7", "5.4.3", "5.7.4")
SELECT_MANAGEMENT = bytes.fromhex("00A4040008A000000527471117")
CODE = bytes(range(16))


def new_device(version: str = "5.7.4") -> EmulatedDevice:
    return EmulatedDevice(EmulatedYubiKey(FIRMWARE[version], SERIAL))


@pytest.fixture
def device() -> EmulatedDevice:
    return new_device()


def code_of(error: pytest.ExceptionInfo[CardConnectionException]) -> int:
    return error.value.hresult


class TestJudges:
    """yubikit's and ykman's own code, over the emulated connection."""

    @pytest.mark.parametrize(
        ("version", "name", "form_factor", "usb"),
        [
            ("4.3.7", "YubiKey 4", FORM_FACTOR.UNKNOWN, 0xFF),
            ("5.2.7", "YubiKey 5 NFC", FORM_FACTOR.USB_A_KEYCHAIN, 0x23F),
            ("5.4.3", "YubiKey 5C Nano", FORM_FACTOR.USB_C_NANO, 0x33F),
            ("5.7.4", "YubiKey 5C NFC", FORM_FACTOR.USB_C_KEYCHAIN, 0x33F),
        ],
    )
    def test_read_info(self, version: str, name: str, form_factor: FORM_FACTOR, usb: int) -> None:
        device = new_device(version)
        with device.open() as connection:
            info = read_info(connection, device.pid)
        assert info.serial == SERIAL
        assert info.version == FIRMWARE[version].version
        assert info.form_factor == form_factor
        assert info.supported_capabilities[TRANSPORT.USB] == usb
        assert info.config.enabled_capabilities[TRANSPORT.USB] & CAPABILITY.PIV
        assert not info.is_locked
        assert not info.is_fips
        assert get_name(info, YUBIKEY.YK4) == name

    @pytest.mark.parametrize("version", FIVES)
    def test_every_transport_is_configured(self, version: str) -> None:
        with new_device(version).open() as connection:
            info = ManagementSession(connection).read_device_info()
        assert info.config.enabled_capabilities == info.supported_capabilities
        nano = {TRANSPORT.USB}
        assert set(info.supported_capabilities) == (nano if version == "5.4.3" else {*nano, TRANSPORT.NFC})
        assert info.config.challenge_response_timeout == 15
        assert info.config.auto_eject_timeout == 0
        assert info.config.device_flags == DEVICE_FLAG(0)

    @pytest.mark.parametrize("version", FIVES)
    def test_piv_is_switched_off_and_on(self, version: str) -> None:
        with new_device(version).open() as connection:
            management = ManagementSession(connection)
            enabled = management.read_device_info().config.enabled_capabilities[TRANSPORT.USB]
            management.write_device_config(DeviceConfig({TRANSPORT.USB: enabled & ~CAPABILITY.PIV}))
            with pytest.raises(ApplicationNotAvailableError):
                PivSession(connection)
            management = ManagementSession(connection)
            info = management.read_device_info()
            assert info.config.enabled_capabilities[TRANSPORT.USB] == enabled & ~CAPABILITY.PIV
            assert info.supported_capabilities[TRANSPORT.USB] == enabled
            management.write_device_config(DeviceConfig({TRANSPORT.USB: enabled}))
            assert PivSession(connection).version == FIRMWARE[version].version

    def test_nfc_does_not_matter_over_usb(self, device: EmulatedDevice) -> None:
        with device.open() as connection:
            ManagementSession(connection).write_device_config(DeviceConfig({TRANSPORT.NFC: CAPABILITY.OATH}))
            assert PivSession(connection).version == Version(5, 7, 4)

    def test_lock_code(self, device: EmulatedDevice) -> None:
        off = DeviceConfig({TRANSPORT.USB: CAPABILITY.OATH})
        with device.open() as connection:
            management = ManagementSession(connection)
            management.write_device_config(new_lock_code=CODE)
            assert management.read_device_info().is_locked
            with pytest.raises(ApduError):
                management.write_device_config(off)
            with pytest.raises(ApduError):
                management.write_device_config(off, cur_lock_code=CODE[::-1])
            management.write_device_config(off, cur_lock_code=CODE, new_lock_code=bytes(16))
            assert not management.read_device_info().is_locked

    def test_firmware_4_takes_modes_only(self) -> None:
        device = new_device("4.3.7")
        with device.open() as connection:
            management = ManagementSession(connection)
            with pytest.raises(NotSupportedError):
                management.write_device_config(DeviceConfig())
            management.set_mode(Mode.from_code(0x03))
        with pytest.raises(CardConnectionException) as raised:
            device.open()
        assert code_of(raised) == SCARD_E_UNKNOWN_READER

    def test_an_application_that_is_not_emulated(self, device: EmulatedDevice) -> None:
        with device.open() as connection, pytest.raises(ApplicationNotAvailableError):
            SmartCardProtocol(connection).select(AID.OATH)


class TestConnection:
    def test_is_what_yubikit_takes(self, device: EmulatedDevice) -> None:
        with device.open() as connection:
            assert isinstance(connection, SmartCardConnection)
            assert connection.transport is TRANSPORT.USB

    def test_device_is_described(self, device: EmulatedDevice) -> None:
        assert device.serial == SERIAL
        assert device.description == "Emulated YubiKey 5.7.4 (keys not protected), serial 15890263"

    def test_there_is_one_at_a_time(self, device: EmulatedDevice) -> None:
        with device.open():
            with pytest.raises(CardConnectionException) as raised:
                device.open()
            assert code_of(raised) == SCARD_E_SHARING_VIOLATION
        device.open().close()

    def test_closing_takes_the_power_away(self, device: EmulatedDevice) -> None:
        with device.open() as connection:
            SmartCardProtocol(connection).select(AID.MANAGEMENT)
        with device.open() as connection:
            assert connection.send_and_receive(bytes.fromhex("001D0000")) == (b"", 0x6D00)

    def test_closed_is_closed(self, device: EmulatedDevice) -> None:
        connection = device.open()
        connection.close()
        connection.close()
        with pytest.raises(CardConnectionException, match="Card not connected"):
            connection.send_and_receive(SELECT_MANAGEMENT)

    def test_closing_an_old_one_leaves_the_new_one_alone(self, device: EmulatedDevice) -> None:
        old = device.open()
        old.close()
        with device.open() as connection:
            SmartCardProtocol(connection).select(AID.MANAGEMENT)
            old.close()
            assert connection.send_and_receive(bytes.fromhex("001D0000"))[1] == 0x9000

    def test_a_dead_process_leaves_nothing_open(self, device: EmulatedDevice) -> None:
        SmartCardProtocol(device.open()).select(AID.MANAGEMENT)
        device.abandon()
        with device.open() as connection:
            assert connection.send_and_receive(bytes.fromhex("001D0000")) == (b"", 0x6D00)
        device.abandon()

    def test_the_reader_takes_its_time(self, device: EmulatedDevice) -> None:
        device.absences = 2
        for _ in range(2):
            with pytest.raises(CardConnectionException) as raised:
                device.open()
            assert code_of(raised) == SCARD_E_UNKNOWN_READER
        device.open().close()


class TestPulledOut:
    def test_before_a_command(self, device: EmulatedDevice) -> None:
        connection = device.open()
        device.yubikey.remove()
        with pytest.raises(CardConnectionException, match="Card was removed") as raised:
            connection.send_and_receive(SELECT_MANAGEMENT)
        assert code_of(raised) == SCARD_W_REMOVED_CARD

    def test_closing_complains_once(self, device: EmulatedDevice) -> None:
        connection = device.open()
        device.yubikey.remove()
        with pytest.raises(CardConnectionException, match="Failed to disconnect") as raised:
            connection.close()
        assert code_of(raised) == SCARD_E_INVALID_HANDLE
        connection.close()

    def test_while_a_process_died(self, device: EmulatedDevice) -> None:
        device.open()
        device.yubikey.remove()
        device.abandon()
        device.yubikey.insert()
        device.open().close()

    def test_it_cannot_be_opened(self, device: EmulatedDevice) -> None:
        device.yubikey.remove()
        with pytest.raises(CardConnectionException) as raised:
            device.open()
        assert code_of(raised) == SCARD_E_UNKNOWN_READER

    def test_putting_it_back_does_not_mend_a_connection(self, device: EmulatedDevice) -> None:
        connection = device.open()
        device.yubikey.remove()
        device.yubikey.insert()
        with pytest.raises(CardConnectionException):
            connection.send_and_receive(SELECT_MANAGEMENT)
        with pytest.raises(CardConnectionException):
            connection.close()
        with device.open() as again:
            assert again.send_and_receive(SELECT_MANAGEMENT)[1] == 0x9000

    def test_inserting_what_is_inserted_changes_nothing(self, device: EmulatedDevice) -> None:
        with device.open() as connection:
            device.yubikey.insert()
            assert connection.send_and_receive(SELECT_MANAGEMENT)[1] == 0x9000

    def test_a_reboot_ends_the_connection_after_the_reply(self, device: EmulatedDevice) -> None:
        connection = device.open()
        ManagementSession(connection).write_device_config(reboot=True)
        with pytest.raises(CardConnectionException) as raised:
            connection.send_and_receive(SELECT_MANAGEMENT)
        assert code_of(raised) == SCARD_W_REMOVED_CARD
        with pytest.raises(CardConnectionException):
            connection.close()
        with device.open() as again:
            assert read_info(again, device.pid).serial == SERIAL

    def test_a_reboot_is_seen_through_with_a_hook_too(self, device: EmulatedDevice) -> None:
        device.hook = lambda _moment, _apdu: None
        connection = device.open()
        ManagementSession(connection).write_device_config(reboot=True)
        device.abandon()


class Killed(BaseException):
    """The process ends here."""


class TestHook:
    def test_sees_every_command_twice(self, device: EmulatedDevice) -> None:
        calls: list[tuple[Moment, bytes]] = []
        device.hook = lambda moment, apdu: calls.append((moment, apdu))
        with device.open() as connection:
            connection.send_and_receive(SELECT_MANAGEMENT)
        assert calls == [(Moment.BEFORE, SELECT_MANAGEMENT), (Moment.AFTER, SELECT_MANAGEMENT)]

    @pytest.mark.parametrize(("moment", "written"), [(Moment.BEFORE, False), (Moment.AFTER, True)])
    def test_kills_on_either_side_of_a_command(
        self, device: EmulatedDevice, moment: Moment, written: bool
    ) -> None:
        def kill(now: Moment, apdu: bytes) -> None:
            if now is moment and apdu[1] == 0x1C:
                raise Killed

        device.hook = kill
        with pytest.raises(Killed), device.open() as connection:
            ManagementSession(connection).write_device_config(DeviceConfig(challenge_response_timeout=99))
        device.hook = None
        assert (self._timeout(device) == 99) is written

    @pytest.mark.parametrize(
        ("moment", "code", "written"),
        [
            (Moment.BEFORE, SCARD_W_REMOVED_CARD, False),
            (Moment.AFTER, SCARD_E_NOT_TRANSACTED, True),
        ],
    )
    @pytest.mark.parametrize("back", [False, True])
    def test_pulls_out_on_either_side_of_a_command(
        self, device: EmulatedDevice, moment: Moment, code: int, written: bool, back: bool
    ) -> None:
        def pull(now: Moment, apdu: bytes) -> None:
            if now is moment and apdu[1] == 0x1C:
                device.yubikey.remove()
                if back:
                    device.yubikey.insert()

        device.hook = pull
        management = ManagementSession(device.open())
        with pytest.raises(CardConnectionException) as raised:
            management.write_device_config(DeviceConfig(challenge_response_timeout=99))
        assert code_of(raised) == code
        device.hook = None
        device.abandon()
        device.yubikey.insert()
        assert (self._timeout(device) == 99) is written

    @staticmethod
    def _timeout(device: EmulatedDevice) -> int | None:
        with device.open() as connection:
            info = ManagementSession(connection).read_device_info()
        return info.config.challenge_response_timeout


def test_the_log_has_commands_and_replies(device: EmulatedDevice) -> None:
    log: list[tuple[bytes, bytes]] = []
    device.yubikey.log = lambda command, reply: log.append((command, reply))
    with device.open() as connection:
        connection.send_and_receive(SELECT_MANAGEMENT)
    assert log == [(SELECT_MANAGEMENT, b"Virtual mgr - FW version 5.7.4\x90\x00")]


def test_answers_to_reset_are_those_of_real_ones() -> None:
    answers: set[bytes] = {firmware.atr for firmware in FIRMWARE.values()}
    for atr in answers:
        check = 0
        for byte in atr[1:]:
            check ^= byte
        assert check == 0, "the check byte fits"
        assert b"ubi" in atr
        assert atr[1] & 0xF0 == 0xF0, "which ykman takes for USB"
