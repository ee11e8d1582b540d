# SPDX-License-Identifier: Apache-2.0
"""The card: SELECT, class bytes, chaining in both directions, loss of power."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord
from pivgate.emulator.card import MAXIMUM_APDU, MAXIMUM_CHAINED_DATA, Card

LONG_AID = bytes.fromhex("A000000308000010000100")
OTHER_AID = bytes.fromhex("A000000527471117")
ECHO = 0x01
REPLY = 0x02
FAIL = 0x03


class Echo:
    """An application that returns what it is given (01), or P1 * 256 + P2 bytes (02), or fails (03)."""

    def __init__(self, aid: bytes) -> None:
        self.aid = aid
        self.events: list[str] = []

    def select(self) -> bytes:
        self.events.append("select")
        return b"selected " + self.aid

    def deselect(self) -> None:
        self.events.append("deselect")

    def power_off(self) -> None:
        self.events.append("power off")

    def process(self, command: CommandApdu) -> bytes:
        assert command.cla == 0, "chaining is the card's business"
        if command.ins == ECHO:
            return command.data
        if command.ins == REPLY:
            return bytes(index & 0xFF for index in range(command.p1 << 8 | command.p2))
        raise StatusError(0x63C2 if command.ins == FAIL else StatusWord.INSTRUCTION_NOT_SUPPORTED)


def new_card(*, selected: bool = True) -> tuple[Card, Echo, Echo]:
    first, second = Echo(LONG_AID), Echo(OTHER_AID)
    card = Card((first, second), b"\x3b\x00")
    if selected:
        card.transmit(select(LONG_AID))
    return card, first, second


def select(aid: bytes, p1: int = 0x04, p2: int = 0x00) -> bytes:
    return bytes((0x00, 0xA4, p1, p2, len(aid))) + aid


def status(reply: bytes) -> int:
    return int.from_bytes(reply[-2:], "big")


def collect(card: Card, reply: bytes, get_response: bytes = bytes.fromhex("00C0000000")) -> bytes:
    """Return the whole reply of a command, fetched with GET RESPONSE."""
    data = reply[:-2]
    while reply[-2] == 0x61:
        reply = card.transmit(get_response)
        data += reply[:-2]
    return data + reply[-2:]


def pieces(header: bytes, data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut a command into chained ones; the last one takes what is left, 255 bytes at a time."""
    chunks = []
    for size in sizes:
        if len(data) > size:
            chunks.append(data[:size])
            data = data[size:]
    while len(data) > 255:
        chunks.append(data[:255])
        data = data[255:]
    chained = bytes((header[0] | 0x10,)) + header[1:]
    return [chained + bytes((len(chunk),)) + chunk for chunk in chunks] + [
        header + (bytes((len(data),)) + data if data else b"")
    ]


class TestSelect:
    @pytest.mark.parametrize("length", range(5, len(LONG_AID) + 1))
    def test_full_and_partial_names_find_the_application(self, length: int) -> None:
        card, first, _ = new_card(selected=False)
        assert card.transmit(select(LONG_AID[:length])) == b"selected " + LONG_AID + b"\x90\x00"
        assert first.events == ["select"]

    def test_le_makes_no_difference(self) -> None:
        card, _, _ = new_card(selected=False)
        assert status(card.transmit(select(LONG_AID) + b"\x00")) == 0x9000

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(b"", id="no name"),
            pytest.param(LONG_AID[:4], id="shorter than a registered identifier"),
            pytest.param(LONG_AID + b"\x00", id="longer than the application's"),
            pytest.param(LONG_AID[:-1] + b"\x01", id="another version"),
            pytest.param(bytes(5), id="unknown"),
            pytest.param(LONG_AID + bytes(6), id="longer than an identifier can be"),
        ],
    )
    def test_other_names_find_nothing(self, name: bytes) -> None:
        card, first, _ = new_card()
        assert card.transmit(select(name)) == b"\x6a\x82"
        assert first.events == ["select"], "the selected application stays selected"
        assert card.transmit(bytes.fromhex("0001000001AA")) == b"\xaa\x90\x00"

    def test_there_is_no_next_application_of_that_name(self) -> None:
        card, _, _ = new_card(selected=False)
        assert card.transmit(select(LONG_AID, p2=0x02)) == b"\x6a\x82"

    def test_no_information_when_none_is_wanted(self) -> None:
        card, first, _ = new_card(selected=False)
        assert card.transmit(select(LONG_AID, p2=0x0C)) == b"\x90\x00"
        assert first.events == ["select"]

    @pytest.mark.parametrize(("p1", "p2"), [(0x00, 0x00), (0x05, 0x00), (0x04, 0x01), (0x04, 0x10)])
    def test_other_parameters(self, p1: int, p2: int) -> None:
        card, _, _ = new_card()
        assert card.transmit(select(LONG_AID, p1, p2)) == b"\x6a\x86"

    def test_the_application_before_is_told(self) -> None:
        card, first, second = new_card()
        card.transmit(select(OTHER_AID))
        assert first.events == ["select", "deselect"]
        assert second.events == ["select"]

    def test_selecting_again_begins_anew(self) -> None:
        card, first, _ = new_card()
        card.transmit(select(LONG_AID))
        assert first.events == ["select", "deselect", "select"]

    def test_a_hidden_application_is_not_found(self) -> None:
        hidden = Echo(LONG_AID)
        card = Card((hidden,), b"", lambda aid: aid != LONG_AID)
        assert card.transmit(select(LONG_AID)) == b"\x6a\x82"
        assert hidden.events == []

    def test_nothing_works_before_it(self) -> None:
        card, _, _ = new_card(selected=False)
        assert card.transmit(bytes.fromhex("00CADF3005")) == b"\x6d\x00"


class TestClass:
    @pytest.mark.parametrize(
        ("cla", "expected"),
        [
            (0x80, 0x6E00),
            (0xA4, 0x6E00),
            (0xFF, 0x6E00),
            (0x20, 0x6E00),
            (0x40, 0x6E00),
            (0x04, 0x6882),
            (0x08, 0x6882),
            (0x14, 0x6882),
            (0x01, 0x6881),
            (0x13, 0x6881),
        ],
    )
    def test_what_a_yubikey_does_not_know(self, cla: int, expected: int) -> None:
        card, _, _ = new_card()
        assert status(card.transmit(bytes((cla, ECHO, 0, 0, 1, 0xAA)))) == expected
        assert status(card.transmit(bytes((cla, 0xC0, 0, 0, 0)))) == expected

    def test_status_words_of_applications_come_through(self) -> None:
        card, _, _ = new_card()
        assert card.transmit(bytes((0, FAIL, 0, 0))) == b"\x63\xc2"
        assert card.transmit(bytes((0, 0x77, 0, 0))) == b"\x6d\x00"


class TestLength:
    def test_longest_command(self) -> None:
        card, _, _ = new_card()
        data = bytes(MAXIMUM_APDU - 9)
        raw = bytes((0, ECHO, 0, 0, 0)) + len(data).to_bytes(2, "big") + data + b"\xff\xff"
        assert len(raw) == MAXIMUM_APDU
        assert card.transmit(raw) == data + b"\x90\x00"

    def test_longer_command(self) -> None:
        card, _, _ = new_card()
        data = bytes(MAXIMUM_APDU - 8)
        raw = bytes((0, ECHO, 0, 0, 0)) + len(data).to_bytes(2, "big") + data + b"\xff\xff"
        assert card.transmit(raw) == b"\x67\x00"

    def test_malformed_command(self) -> None:
        card, _, _ = new_card()
        assert card.transmit(b"\x00\x01") == b"\x67\x00"


class TestReplyChaining:
    @pytest.mark.parametrize(
        ("command", "first", "status_word"),
        [
            pytest.param("00020105", 256, 0x6105, id="no Le"),
            pytest.param("0002010500", 256, 0x6105, id="Le of 256"),
            pytest.param("0002010510", 16, 0x61F5, id="Le of 16"),
            pytest.param("0002030000", 256, 0x6100, id="256 and more bytes left"),
            pytest.param("00020105000105", 261, 0x9000, id="extended Le, exactly"),
            pytest.param("00020105000000", 261, 0x9000, id="extended Le of 65536"),
            pytest.param("00020105000104", 260, 0x6101, id="extended Le, one too few"),
            pytest.param("0002000000", 0, 0x9000, id="nothing"),
            pytest.param("0002010000", 256, 0x9000, id="exactly 256"),
        ],
    )
    def test_first_part(self, command: str, first: int, status_word: int) -> None:
        card, _, _ = new_card()
        reply = card.transmit(bytes.fromhex(command))
        assert len(reply) - 2 == first
        assert status(reply) == status_word

    @given(
        length=st.integers(0, 3000),
        le=st.integers(1, 256),
        following=st.sampled_from(("00C0000000", "00C00000", "00C0000001", "00C0000080", "00C00000000200")),
    )
    def test_parts_make_the_whole(self, length: int, le: int, following: str) -> None:
        card, _, _ = new_card()
        command = bytes((0, REPLY, *length.to_bytes(2, "big")))
        whole = card.transmit(command + b"\x00\x00\x00")
        parts = collect(card, card.transmit(command + bytes((le & 0xFF,))), bytes.fromhex(following))
        assert parts == whole == bytes(index & 0xFF for index in range(length)) + b"\x90\x00"

    def test_nothing_is_left_after_the_last_part(self) -> None:
        card, _, _ = new_card()
        collect(card, card.transmit(bytes.fromhex("00020105")))
        assert card.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"

    @pytest.mark.parametrize(
        "between",
        [
            pytest.param("0003000000", id="another command"),
            pytest.param("00", id="malformed command"),
            pytest.param("80C0000000", id="refused class"),
        ],
    )
    def test_whatever_comes_between_ends_it(self, between: str) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("00020105"))
        card.transmit(bytes.fromhex(between))
        assert card.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"

    @pytest.mark.parametrize("command", ["00C0010000", "00C0000100"])
    def test_get_response_has_no_parameters(self, command: str) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("00020105"))
        assert card.transmit(bytes.fromhex(command)) == b"\x6a\x86"

    def test_get_response_takes_no_data(self) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("00020105"))
        assert card.transmit(bytes.fromhex("00C0000001AA")) == b"\x67\x00"

    def test_reset_ends_it(self) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("00020105"))
        card.reset()
        assert card.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"


class TestCommandChaining:
    @given(data=st.binary(max_size=2500), sizes=st.lists(st.integers(0, 255), max_size=20))
    def test_pieces_make_the_whole(self, data: bytes, sizes: list[int]) -> None:
        card, _, _ = new_card()
        header = bytes((0, ECHO, 0, 0))
        whole = card.transmit(
            header + b"\x00" + len(data).to_bytes(2, "big") + data + b"\x00\x00" if data else header
        )
        *chained, last = pieces(header, data, sizes)
        for piece in chained:
            assert card.transmit(piece) == b"\x90\x00"
        assert collect(card, card.transmit(last)) == whole == data + b"\x90\x00"

    def test_pieces_may_be_extended(self) -> None:
        card, _, _ = new_card()
        assert card.transmit(bytes.fromhex("10010000000002AABB")) == b"\x90\x00"
        assert card.transmit(bytes.fromhex("00010000000001CC0000")) == b"\xaa\xbb\xcc\x90\x00"

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param("0002000001CC", id="another instruction"),
            pytest.param("0001010001CC", id="another P1"),
            pytest.param("0001000101CC", id="another P2"),
            pytest.param("1002000001CC", id="another chain"),
            pytest.param("00C0000000", id="GET RESPONSE"),
        ],
    )
    def test_another_command_in_between(self, other: str) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("1001000001AA"))
        assert card.transmit(bytes.fromhex(other)) == b"\x68\x83"
        assert card.transmit(bytes.fromhex("0001000001BB")) == b"\xbb\x90\x00", "the chain is forgotten"

    def test_select_in_between_begins_anew(self) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("1001000001AA"))
        assert status(card.transmit(select(LONG_AID))) == 0x9000
        assert card.transmit(bytes.fromhex("0001000001BB")) == b"\xbb\x90\x00"

    def test_reset_ends_it(self) -> None:
        card, _, _ = new_card()
        card.transmit(bytes.fromhex("1001000001AA"))
        card.reset()
        assert card.transmit(bytes.fromhex("0002000001BB")) == b"\x6d\x00", "not: last command expected"
        card.transmit(select(LONG_AID))
        assert card.transmit(bytes.fromhex("0001000001BB")) == b"\xbb\x90\x00"

    def test_as_much_as_possible_of_it(self) -> None:
        card, _, _ = new_card()
        piece = bytes((0x10, ECHO, 0, 0, 0xFF)) + bytes(0xFF)
        for _ in range(MAXIMUM_CHAINED_DATA // 0xFF):
            assert card.transmit(piece) == b"\x90\x00"
        rest = MAXIMUM_CHAINED_DATA % 0xFF
        reply = card.transmit(bytes((0, ECHO, 0, 0, rest)) + bytes(rest))
        assert collect(card, reply) == bytes(MAXIMUM_CHAINED_DATA) + b"\x90\x00"

    def test_too_much_of_it(self) -> None:
        card, _, _ = new_card()
        piece = bytes((0x10, ECHO, 0, 0, 0xFF)) + bytes(0xFF)
        for _ in range(MAXIMUM_CHAINED_DATA // 0xFF):
            assert card.transmit(piece) == b"\x90\x00"
        assert card.transmit(piece) == b"\x67\x00"
        assert card.transmit(bytes.fromhex("0001000001BB")) == b"\xbb\x90\x00", "the chain is forgotten"

    def test_select_may_come_in_pieces(self) -> None:
        card, _, _ = new_card(selected=False)
        assert card.transmit(bytes.fromhex("10A4040002A000")) == b"\x90\x00"
        assert status(card.transmit(bytes.fromhex("00A4040003000308"))) == 0x9000


def test_reset_takes_power_and_selection_away() -> None:
    card, first, second = new_card()
    card.reset()
    assert first.events == ["select", "power off"]
    assert second.events == ["power off"]
    assert card.transmit(bytes.fromhex("0001000001AA")) == b"\x6d\x00"
