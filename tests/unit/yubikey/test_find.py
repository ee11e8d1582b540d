# SPDX-License-Identifier: Apache-2.0
"""Finding keys behind PC/SC, over readers of pyscard's kind whose card is the emulated one."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
from smartcard.CardConnection import CardConnection
from smartcard.Exceptions import CardConnectionException, NoCardException
from smartcard.pcsc.PCSCExceptions import EstablishContextException, ListReadersException

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.errors import DeviceError
from pivgate.yubikey import find
from pivgate.yubikey.report import read_report


class Card(CardConnection):
    """A pyscard connection; ``answer`` stands for the card."""

    def __init__(self, reader, answer):
        super().__init__(reader)
        self.answer = answer

    def connect(self, protocol=None, mode=None, disposition=None):
        if isinstance(self.answer, Exception):
            raise self.answer

    def getATR(self):  # noqa: N802 - pyscard's name
        return [0x3B, 0xF8]

    def doTransmit(self, command, protocol):  # noqa: N802 - pyscard's name
        reply = self.answer(bytes(command))
        return list(reply[:-2]), reply[-2], reply[-1]


@dataclass
class Reader:
    name: str
    answer: object

    def createConnection(self):  # noqa: N802 - pyscard's name
        return Card(self.name, self.answer)

    def __str__(self):
        return self.name


def yubikey(serial, firmware="5.7.4", name="Yubico YubiKey OTP+FIDO+CCID 00 00"):
    return Reader(name, EmulatedYubiKey(FIRMWARE[firmware], serial).transmit)


def stranger(status):
    return Reader("Gemalto PC Twin Reader", lambda _command: bytes.fromhex(status))


EMPTY = Reader("Alcor Micro AU9560", NoCardException("", -1))


def devices(*readers):
    return find.pcsc_devices(lambda: list(readers))


def test_a_yubikey_is_found_and_can_be_read():
    (device,) = devices(yubikey(4711))
    assert device.serial == 4711
    assert device.description == "YubiKey 5C NFC, firmware 5.7.4"
    assert read_report(device).serial == 4711


def test_a_yubikey_is_known_by_its_answers_not_by_the_name_of_its_reader():
    (device,) = devices(yubikey(4711, name="Virtual PCD 00 00"))
    assert device.serial == 4711


def test_empty_readers_are_passed_over():
    assert devices(EMPTY) == []
    assert len(devices(EMPTY, yubikey(1))) == 1


@pytest.mark.parametrize("status", ["6A82", "6E00", "6D00", "6700", "00010203049000", "FFFE9000"])
def test_a_card_of_another_make_is_named(status):
    with pytest.raises(DeviceError, match=r"Gemalto PC Twin Reader.*another make") as caught:
        devices(stranger(status))
    assert caught.value.hint


def test_a_card_of_another_make_does_not_hide_a_yubikey():
    (device,) = devices(stranger("6A82"), yubikey(4711))
    assert device.serial == 4711


def test_a_card_that_another_program_holds_is_named(monkeypatch):
    monkeypatch.setattr(find, "_holders", lambda: ["scdaemon"])
    held = Reader("Yubico YubiKey CCID", CardConnectionException("Sharing violation."))
    with pytest.raises(DeviceError, match="cannot be opened"):
        devices(held)
    with pytest.raises(DeviceError) as caught:
        find.PcscDevice(held, 1, "").open()
    assert "scdaemon" in caught.value.hint


def test_a_card_that_nobody_is_known_to_hold(monkeypatch):
    monkeypatch.setattr(find, "_holders", list)
    with pytest.raises(DeviceError) as caught:
        find.PcscDevice(Reader("x", CardConnectionException("Unresponsive.")), 1, "").open()
    assert "plug it in again" in caught.value.hint


def test_programs_that_hold_cards_are_found_by_their_names(tmp_path):
    for pid, name in {"1": "init", "22": "scdaemon", "333": "gsd-smartcard"}.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(f"{name}\n")
    (tmp_path / "4444").mkdir()
    assert find._holders(tmp_path) == ["gsd-smartcard", "scdaemon"]


@pytest.mark.parametrize("error", [EstablishContextException(-2146435043), ListReadersException(-2146435043)])
def test_no_smart_card_service(error):
    def readers():
        raise error

    with pytest.raises(DeviceError, match="smart card service") as caught:
        find.pcsc_devices(readers)
    assert "systemctl start pcscd" in caught.value.hint
    assert "apt install pcscd" in caught.value.hint


def test_the_machine_answers_with_keys_or_with_an_error_of_ours():
    """Whatever this machine has, PC/SC or not, there is no traceback."""
    program = (
        "from pivgate.errors import DeviceError\n"
        "from pivgate.yubikey.find import pcsc_devices\n"
        "try:\n    print(len(pcsc_devices()))\n"
        "except DeviceError as error:\n    print(error.message, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def two():
    return [find.PcscDevice(None, 11, "YubiKey 5 NFC"), find.PcscDevice(None, 22, "YubiKey 4")]


def test_the_only_key_is_taken(two):
    assert find.select(two[:1]) is two[0]
    assert find.select(two[:1], 11) is two[0]


def test_the_key_that_was_named_is_taken(two):
    assert find.select(two, 22) is two[1]


def test_one_of_several_is_never_guessed(two):
    with pytest.raises(DeviceError, match="2 YubiKeys") as caught:
        find.select(two)
    assert "--serial" in caught.value.hint
    assert "11 (YubiKey 5 NFC); 22 (YubiKey 4)" in caught.value.hint


@pytest.mark.parametrize("count", [1, 2])
def test_a_key_that_is_not_there(two, count):
    with pytest.raises(DeviceError, match="no YubiKey 33") as caught:
        find.select(two[:count], 33)
    assert "11 (YubiKey 5 NFC)" in caught.value.hint


@pytest.mark.parametrize("serial", [None, 33])
def test_no_key_at_all(serial):
    with pytest.raises(DeviceError, match="There is no YubiKey") as caught:
        find.select([], serial)
    assert "Plug one in" in caught.value.hint
