# SPDX-License-Identifier: Apache-2.0
"""The whole key: any bytes get an answer, and the form of a command never changes what it does."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 15890263
SELECT_PIV = bytes.fromhex("00A4040005A000000308")
SELECT_MANAGEMENT = bytes.fromhex("00A4040008A000000527471117")

_INSTRUCTIONS = st.sampled_from(tuple(bytes.fromhex("161C1D20242C87A4C0CBDBF6F7F8FAFBFDFF")))
_PARAMETERS = st.sampled_from(tuple(bytes.fromhex("00013F80819A9BF9FF11030A"))) | st.integers(0, 255)
_DATA = st.binary(max_size=40) | st.sampled_from(
    tuple(
        bytes.fromhex(text)
        for text in (
            "A000000308",
            "A000000527471117",
            "3132333435360FFF",
            "313233343536FFFF",
            "5C035FC102",
            "5C017E",
            "5C035FC10253021122",
            "7C028000",
            "7C0482008100",
            "7C0482008120",
            "AC03800111",
        )
    )
)


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    """Commands that look like some that exist, and now and then bytes that do not."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = draw(_DATA)
    header = bytes((draw(st.sampled_from((0x00, 0x10, 0x0C, 0x80))), draw(_INSTRUCTIONS)))
    header += bytes((draw(_PARAMETERS), draw(_PARAMETERS)))
    return header + (bytes((len(data),)) + data if data else b"") + draw(st.sampled_from((b"", b"\x00")))


def new_key(version: str, seed: int = 0) -> EmulatedYubiKey:
    return EmulatedYubiKey(FIRMWARE[version], SERIAL, randomness=random.Random(seed).randbytes)  # noqa: S311


@given(version=st.sampled_from(sorted(FIRMWARE)), raws=st.lists(commands(), max_size=20))
def test_any_bytes_get_a_status_word(version: str, raws: list[bytes]) -> None:
    yubikey = new_key(version)
    yubikey.transmit(SELECT_PIV)
    for raw in raws:
        reply = yubikey.transmit(raw)
        assert len(reply) >= 2
        assert reply[-2] in {0x61, 0x63, 0x65, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6D, 0x6E, 0x6F, 0x90}
        assert len(reply) == 2 or reply[-2] in {0x61, 0x90}, "no data with an error"


@given(
    version=st.sampled_from(sorted(FIRMWARE)),
    applet=st.sampled_from((SELECT_PIV, SELECT_MANAGEMENT)),
    ins=_INSTRUCTIONS,
    p1=_PARAMETERS,
    p2=_PARAMETERS,
    data=st.binary(min_size=1, max_size=600) | _DATA.filter(bool),
    cuts=st.lists(st.integers(1, 255), max_size=4),
)
def test_chained_and_extended_commands_do_the_same(
    version: str, applet: bytes, ins: int, p1: int, p2: int, data: bytes, cuts: list[int]
) -> None:
    if ins == 0xC0:
        return  # GET RESPONSE speaks of the command before it, and takes no data
    header = bytes((0, ins, p1, p2))
    extended, chained = new_key(version), new_key(version)
    for yubikey in (extended, chained):
        yubikey.transmit(applet)
    whole = extended.transmit(header + b"\x00" + len(data).to_bytes(2, "big") + data + b"\x00\x00")
    rest = data
    for cut in cuts:
        if len(rest) > cut:
            assert chained.transmit(bytes((0x10, ins, p1, p2, cut)) + rest[:cut]) == b"\x90\x00"
            rest = rest[cut:]
    while len(rest) > 255:
        assert chained.transmit(bytes((0x10, ins, p1, p2, 255)) + rest[:255]) == b"\x90\x00"
        rest = rest[255:]
    reply = chained.transmit(header + bytes((len(rest),)) + rest)
    pieces = reply[:-2]
    while reply[-2] == 0x61:
        reply = chained.transmit(bytes.fromhex("00C0000000"))
        pieces += reply[:-2]
    assert pieces + reply[-2:] == whole
    assert chained.management.state == extended.management.state
    assert chained.piv.state.secrets == extended.piv.state.secrets
    assert chained.piv.state.objects == extended.piv.state.objects


def test_pulling_out_forgets_what_was_proved_and_keeps_what_was_stored() -> None:
    yubikey = new_key("5.7.4")
    yubikey.transmit(SELECT_PIV)
    assert yubikey.transmit(bytes.fromhex("0020008008313233343536FFFF")) == b"\x90\x00"
    assert yubikey.transmit(bytes.fromhex("00200080")) == b"\x90\x00"
    assert yubikey.transmit(bytes.fromhex("0024008110") + b"1234567887654321") == b"\x90\x00"
    yubikey.remove()
    assert not yubikey.inserted
    yubikey.insert()
    assert yubikey.inserted
    assert yubikey.transmit(bytes.fromhex("00200080")) == b"\x6d\x00"
    yubikey.transmit(SELECT_PIV)
    assert yubikey.transmit(bytes.fromhex("00200080")) == b"\x63\xc3"
    assert yubikey.transmit(bytes.fromhex("0024008110") + b"8765432112345678") == b"\x90\x00"


@pytest.mark.parametrize("version", FIRMWARE)
def test_piv_that_is_switched_off_is_not_there(version: str) -> None:
    yubikey = new_key(version)
    yubikey.transmit(SELECT_MANAGEMENT)
    written = yubikey.transmit(bytes.fromhex("001C000005040302002F"))
    found = yubikey.transmit(SELECT_PIV)
    if version == "4.3.7":
        assert (written, found[-2:]) == (b"\x6d\x00", b"\x90\x00")
    else:
        assert (written, found[-2:]) == (b"\x90\x00", b"\x6a\x82")


def test_a_reboot_happens_after_the_reply() -> None:
    yubikey = new_key("5.7.4")
    yubikey.transmit(SELECT_MANAGEMENT)
    insertions = yubikey.insertions
    assert yubikey.transmit(bytes.fromhex("001C000003020C00")) == b"\x90\x00"
    assert yubikey.inserted
    assert yubikey.insertions == insertions + 1
    assert yubikey.transmit(bytes.fromhex("001D0000")) == b"\x6d\x00", "nothing is selected"
    assert yubikey.insertions == insertions + 1, "once is enough"


def test_two_keys_share_nothing_but_their_factory() -> None:
    first, second = new_key("5.7.4"), new_key("5.7.4", seed=1)
    for yubikey in (first, second):
        yubikey.transmit(SELECT_PIV)
    for _ in range(3):
        first.transmit(bytes.fromhex("0020008008") + b"00000000")
    assert first.transmit(bytes.fromhex("00200080")) in (b"\x63\xc0", b"\x69\x83")
    assert second.transmit(bytes.fromhex("00200080")) == b"\x63\xc3"
