# SPDX-License-Identifier: Apache-2.0
"""GET METADATA: what the key tells about itself, and to which firmware it is known."""

import pytest

from pivgate.emulator import tlv

PIN, PUK, MANAGEMENT = 0x80, 0x81, 0x9B


def described(terminal, reference: int) -> dict[int, str]:
    assert terminal.metadata(reference) == 0x9000
    return {tag: value.hex() for tag, value in tlv.parse(terminal.reply)}


@pytest.mark.parametrize("version", ["4.3.7", "5.2.7"])
def test_older_firmware_does_not_know_it(new_terminal, version):
    terminal = new_terminal(version)
    for reference in (PIN, PUK, MANAGEMENT, 0x9A, 0xF9):
        assert terminal.metadata(reference) == 0x6D00
    assert terminal.send(0xF7, 1, 1, b"x") == 0x6D00


@pytest.mark.parametrize("version", ["5.4.3", "5.7.4"])
def test_factory_key(new_terminal, version):
    terminal = new_terminal(version)
    assert described(terminal, PIN) == {1: "ff", 5: "01", 6: "0303"}
    assert described(terminal, PUK) == {1: "ff", 5: "01", 6: "0303"}
    algorithm = {"5.4.3": "03", "5.7.4": "0a"}[version]
    assert described(terminal, MANAGEMENT) == {1: algorithm, 2: "0001", 5: "01"}
    attestation = described(terminal, 0xF9)
    assert (attestation[1], attestation[2], attestation[3]) == ("07", "0201", "02")
    for reference in (0x00, 0x96, 0x9A, 0x9C, 0x9D, 0x9E, 0x82, 0x95, 0xFF):
        assert terminal.metadata(reference) == 0x6A88


def test_tries_and_defaults_are_told(terminal):
    terminal.authenticate()
    terminal.verify()
    terminal.send(0xFA, 8, 255)
    terminal.verify(b"wrong!")
    terminal.unblock(b"wrong!")
    assert described(terminal, PIN) == {1: "ff", 5: "01", 6: "0807"}
    assert described(terminal, PUK) == {1: "ff", 5: "01", 6: "fffe"}
    terminal.change(PIN, b"123456", b"654321")
    terminal.change(PUK, b"12345678", b"87654321")
    assert described(terminal, PIN) == {1: "ff", 5: "00", 6: "0808"}
    assert described(terminal, PUK) == {1: "ff", 5: "00", 6: "ffff"}


@pytest.mark.parametrize(("touch", "told"), [(0xFF, "0001"), (0xFE, "0002"), (0xFD, "0003")])
def test_management_key_is_described(terminal, touch, told):
    terminal.authenticate()
    terminal.set_management_key(0x0C, bytes(32), touch)
    assert described(terminal, MANAGEMENT) == {1: "0c", 2: told, 5: "00"}


@pytest.mark.parametrize(
    ("slot", "pin", "touch", "told"),
    [
        *((0x9A, 0, 0, "0201"), (0x9C, 0, 0, "0301"), (0x9D, 0, 0, "0201"), (0x9E, 0, 0, "0101")),
        *(
            (0x82, 0, 0, "0201"),
            (0x95, 1, 3, "0103"),
            (0x9C, 2, 2, "0202"),
            (0x9E, 3, 1, "0301"),
            (0xF9, 0, 0, "0201"),
        ),
    ],
)
def test_key_is_described_with_the_policies_that_hold(terminal, slot, pin, touch, told):
    terminal.authenticate()
    terminal.generate(slot, 0x14, pin, touch)
    public = tlv.unwrap(0x7F49, terminal.reply)
    assert described(terminal, slot) == {1: "14", 2: told, 3: "01", 4: public.hex()}
    terminal.import_p256(slot, 1, pin, touch)
    imported = described(terminal, slot)
    assert (imported[1], imported[2], imported[3]) == ("11", told, "02")


def test_nothing_is_proved_by_asking(terminal):
    terminal.authenticate()
    terminal.generate()
    terminal.power_cycle()
    assert terminal.metadata(0x9A) == 0x9000
    assert terminal.query() == 0x63C3
