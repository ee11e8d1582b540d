# SPDX-License-Identifier: Apache-2.0
"""The management application, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.emulator import tlv
from pivgate.emulator.apdu import CommandApdu, StatusError
from pivgate.emulator.firmware import FIRMWARE, Capability
from pivgate.emulator.management import NO_LOCK, ManagementApplet, Tag

CODE = bytes(range(16))
OTHER_CODE = bytes(range(1, 17))
FIVES = ("5.2.7", "5.4.3", "5.7.4")


class Reboots:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def new_applet(version: str = "5.4.3") -> tuple[ManagementApplet, Reboots]:
    reboots = Reboots()
    return ManagementApplet(FIRMWARE[version], 7060602, reboots), reboots


def send(applet: ManagementApplet, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> bytes:
    return applet.process(CommandApdu(0, ins, p1, p2, data, None))


def refusal(applet: ManagementApplet, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> int:
    with pytest.raises(StatusError) as raised:
        send(applet, ins, p1, p2, data)
    return raised.value.status


def write(applet: ManagementApplet, *fields: tuple[int, bytes]) -> None:
    assert send(applet, 0x1C, data=configuration(*fields)) == b""


def configuration(*fields: tuple[int, bytes]) -> bytes:
    encoded = b"".join(tlv.build(tag, value) for tag, value in fields)
    return bytes((len(encoded),)) + encoded


class TestRead:
    def test_firmware_4_says_what_a_real_one_says(self) -> None:
        # The example of a 4.3.7 in the .NET SDK's manual, "Get device information".
        applet, _ = new_applet("4.3.7")
        serial = (7060602).to_bytes(4, "big").hex()
        assert send(applet, 0x1D).hex() == f"0c0101ff0204{serial}03013f"

    def test_firmware_5_says_what_a_real_one_says(self) -> None:
        # The example of a 5.2.3 there, with this serial number and version, and everything enabled.
        applet, _ = new_applet("5.2.7")
        assert send(applet, 0x1D).hex() == (
            "2e0102023f0302023f0204006bbc7a04010105030502070602000007010f0801000d02023f0e02023f0a01000f0100"
        )

    def test_firmware_5_7_has_a_second_page(self) -> None:
        # What a real 5.7.4 says (framefilter/keyroost, issue 147), with this serial number and form factor,
        # everything enabled, and no part number.
        applet, _ = new_applet("5.7.4")
        assert send(applet, 0x1D).hex() == (
            "3b0102033f0302033f0204006bbc7a04010305030507040602000007010f0801000d02033f0e02033f0a01000f0100"
            "20030000002103000000100101"
        )
        assert send(applet, 0x1D, 1).hex() == "1d1104000000001201001300140200001502000016010017010018020000"

    @pytest.mark.parametrize(("version", "page"), [("4.3.7", 1), ("5.2.7", 1), ("5.4.3", 1), ("5.7.4", 2)])
    def test_no_page_after_the_last(self, version: str, page: int) -> None:
        applet, _ = new_applet(version)
        assert refusal(applet, 0x1D, page) == 0x6A86

    def test_p2_and_data_belong_to_no_page(self) -> None:
        applet, _ = new_applet()
        assert refusal(applet, 0x1D, 0, 1) == 0x6A86
        assert refusal(applet, 0x1D, data=b"\x00") == 0x6700

    @pytest.mark.parametrize("version", FIRMWARE)
    def test_selecting_tells_the_version(self, version: str) -> None:
        applet, _ = new_applet(version)
        assert applet.select() == b"Virtual mgr - FW version " + version.encode()


class TestWrite:
    @pytest.mark.parametrize("version", FIVES)
    def test_what_is_written_is_read_back(self, version: str) -> None:
        applet, reboots = new_applet(version)
        nfc = FIRMWARE[version].nfc_supported is not None
        write(
            applet,
            (Tag.USB_ENABLED, b"\x00\x10"),
            (Tag.NFC_ENABLED, b"\x02\x02"),
            (Tag.EJECT_TIMEOUT, b"\x01\x02"),
            (Tag.CHALLENGE_TIMEOUT, b"\x03"),
            (Tag.DEVICE_FLAGS, b"\x80"),
        )
        read = dict(tlv.parse(send(applet, 0x1D)[1:]))
        assert read[Tag.USB_ENABLED] == b"\x00\x10"
        assert read.get(Tag.NFC_ENABLED) == (b"\x02\x02" if nfc else None)
        assert read[Tag.EJECT_TIMEOUT] == b"\x01\x02"
        assert read[Tag.CHALLENGE_TIMEOUT] == b"\x03"
        assert read[Tag.DEVICE_FLAGS] == b"\x80"
        assert read[Tag.LOCK] == b"\x00"
        assert reboots.count == 0

    def test_what_is_not_written_stays(self) -> None:
        applet, _ = new_applet()
        write(applet, (Tag.USB_ENABLED, b"\x00\x10"))
        before = applet.state
        write(applet)
        assert applet.state == before

    def test_unsupported_applications_are_left_out(self) -> None:
        applet, _ = new_applet("5.2.7")
        write(applet, (Tag.USB_ENABLED, b"\xff\xff"))
        assert applet.state.usb_enabled == FIRMWARE["5.2.7"].usb_supported

    def test_restriction_of_nfc_is_on_the_second_page(self) -> None:
        applet, _ = new_applet("5.7.4")
        write(applet, (Tag.NFC_RESTRICTED, b"\x01"))
        assert dict(tlv.parse(send(applet, 0x1D, 1)[1:]))[Tag.NFC_RESTRICTED] == b"\x01"

    def test_reboot(self) -> None:
        applet, reboots = new_applet()
        write(applet, (Tag.REBOOT, b""))
        assert reboots.count == 1

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"\x03\x03\x02\x00\x10", id="too short a length"),
            pytest.param(b"\x05\x03\x02\x00\x10", id="too long a length"),
            pytest.param(b"\x03\x03\x02\x00", id="not TLV"),
            pytest.param(configuration((Tag.USB_ENABLED, b"\x10")), id="applications in one byte"),
            pytest.param(configuration((Tag.LOCK, bytes(15))), id="lock code of 15 bytes"),
            pytest.param(configuration((Tag.LOCK, bytes(17))), id="lock code of 17 bytes"),
            pytest.param(configuration((Tag.REBOOT, b"\x01")), id="reboot with a value"),
            pytest.param(configuration((Tag.SERIAL, bytes(4))), id="serial number"),
            pytest.param(configuration((Tag.USB_SUPPORTED, b"\x00\x10")), id="supported applications"),
            pytest.param(configuration((0x55, b"")), id="unknown field"),
            pytest.param(configuration((Tag.NFC_RESTRICTED, b"\x01")), id="field of a later firmware"),
            pytest.param(configuration((Tag.USB_ENABLED, b"\x00\x00")), id="no application left"),
            pytest.param(configuration((Tag.USB_ENABLED, b"\x80\x00")), id="only unsupported ones left"),
            pytest.param(
                configuration((Tag.USB_ENABLED, b"\x00\x10"), (Tag.USB_ENABLED, b"\x00\x20")), id="twice"
            ),
        ],
    )
    def test_malformed(self, data: bytes) -> None:
        applet, reboots = new_applet()
        before = applet.state
        assert refusal(applet, 0x1C, data=data) == 0x6A80
        assert applet.state == before
        assert reboots.count == 0

    @pytest.mark.parametrize(("p1", "p2"), [(1, 0), (0, 1)])
    def test_parameters(self, p1: int, p2: int) -> None:
        applet, _ = new_applet()
        assert refusal(applet, 0x1C, p1, p2, configuration()) == 0x6A86

    def test_firmware_4_cannot(self) -> None:
        applet, _ = new_applet("4.3.7")
        assert refusal(applet, 0x1C, data=configuration((Tag.REBOOT, b""))) == 0x6D00


class TestLock:
    @pytest.fixture
    def locked(self) -> ManagementApplet:
        applet, _ = new_applet()
        write(applet, (Tag.LOCK, CODE))
        assert dict(tlv.parse(send(applet, 0x1D)[1:]))[Tag.LOCK] == b"\x01", "only that it is locked"
        return applet

    @pytest.mark.parametrize(
        "unlock",
        [
            pytest.param((), id="no code"),
            pytest.param(((Tag.UNLOCK, OTHER_CODE),), id="wrong code"),
            pytest.param(((Tag.UNLOCK, NO_LOCK),), id="zeros"),
        ],
    )
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param((Tag.USB_ENABLED, b"\x00\x10"), id="applications"),
            pytest.param((Tag.LOCK, NO_LOCK), id="unlocking for good"),
            pytest.param((Tag.REBOOT, b""), id="reboot"),
        ],
    )
    def test_refused_without_the_code(
        self, locked: ManagementApplet, unlock: tuple[tuple[int, bytes], ...], change: tuple[int, bytes]
    ) -> None:
        before = locked.state
        assert refusal(locked, 0x1C, data=configuration(*unlock, change)) == 0x6F00
        assert locked.state == before

    def test_the_code_opens_for_one_command(self, locked: ManagementApplet) -> None:
        write(locked, (Tag.UNLOCK, CODE), (Tag.USB_ENABLED, b"\x00\x10"))
        assert locked.state.usb_enabled == Capability.PIV
        assert refusal(locked, 0x1C, data=configuration((Tag.USB_ENABLED, b"\x00\x30"))) == 0x6F00

    def test_the_code_is_changed(self, locked: ManagementApplet) -> None:
        write(locked, (Tag.UNLOCK, CODE), (Tag.LOCK, OTHER_CODE))
        assert refusal(locked, 0x1C, data=configuration((Tag.UNLOCK, CODE))) == 0x6F00
        write(locked, (Tag.UNLOCK, OTHER_CODE))

    def test_zeros_take_the_lock_away(self, locked: ManagementApplet) -> None:
        write(locked, (Tag.UNLOCK, CODE), (Tag.LOCK, NO_LOCK))
        write(locked, (Tag.USB_ENABLED, b"\x00\x10"))

    def test_a_code_without_a_lock_is_wrong(self) -> None:
        applet, _ = new_applet()
        assert refusal(applet, 0x1C, data=configuration((Tag.UNLOCK, CODE))) == 0x6F00
        write(applet, (Tag.UNLOCK, NO_LOCK))


class TestMode:
    @pytest.mark.parametrize(
        ("mode", "smart_card"), list(enumerate((False, True, True, False, False, True, True)))
    )
    def test_the_smart_card_interface_follows_it(self, mode: int, smart_card: bool) -> None:
        applet, _ = new_applet("4.3.7")
        assert send(applet, 0x16, 0x11, 0, bytes((mode, 20, 0x2C, 0x01))) == b""
        assert applet.state.smart_card_enabled is smart_card
        assert (applet.state.challenge_timeout, applet.state.eject_timeout) == (20, 300)

    def test_touch_to_eject_is_a_bit_of_its_own(self) -> None:
        applet, _ = new_applet("4.3.7")
        send(applet, 0x16, 0x11, 0, bytes((0x81, 0, 0, 0)))
        assert applet.state.smart_card_enabled

    def test_refused(self) -> None:
        applet, _ = new_applet("4.3.7")
        assert refusal(applet, 0x16, 0x11, 0, bytes((7, 0, 0, 0))) == 0x6A80
        assert refusal(applet, 0x16, 0x11, 0, bytes(3)) == 0x6700
        assert refusal(applet, 0x16, 0x10, 0, bytes(4)) == 0x6A86
        assert refusal(applet, 0x16, 0x11, 1, bytes(4)) == 0x6A86

    @pytest.mark.parametrize("version", FIVES)
    def test_firmware_5_has_none(self, version: str) -> None:
        applet, _ = new_applet(version)
        assert refusal(applet, 0x16, 0x11, 0, bytes(4)) == 0x6D00


@pytest.mark.parametrize(
    ("enabled", "smart_card"),
    [("0010", True), ("0008", True), ("0020", True), ("0100", True), ("0004", True), ("0203", False)],
)
def test_no_reader_when_no_application_needs_one(enabled: str, smart_card: bool) -> None:
    applet, _ = new_applet("5.4.3")
    write(applet, (Tag.USB_ENABLED, bytes.fromhex(enabled)))
    assert applet.state.smart_card_enabled is smart_card


@pytest.mark.parametrize("ins", [0x1F, 0x20, 0xCB, 0xFF])
@pytest.mark.parametrize("version", FIRMWARE)
def test_other_instructions(version: str, ins: int) -> None:
    applet, _ = new_applet(version)
    assert refusal(applet, ins) == 0x6D00


@given(
    version=st.sampled_from(sorted(FIRMWARE)),
    commands=st.lists(
        st.tuples(st.sampled_from((0x16, 0x1C, 0x1D)), st.sampled_from((0, 1, 0x11)), st.binary(max_size=40))
    ),
)
def test_any_commands_end_with_a_status(version: str, commands: list[tuple[int, int, bytes]]) -> None:
    applet, _ = new_applet(version)
    statuses = set()
    for ins, p1, data in commands:
        try:
            send(applet, ins, p1, 0, data)
        except StatusError as error:
            statuses.add(error.status)
    assert statuses <= {0x6700, 0x6A80, 0x6A86, 0x6D00, 0x6F00}
    assert tlv.parse(send(applet, 0x1D)[1:])
