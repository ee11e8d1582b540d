# SPDX-License-Identifier: Apache-2.0
"""BER-TLV: what is read, what is refused, and that yubikit agrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yubikit.core import Tlv

from pivgate.emulator import tlv
from pivgate.emulator.apdu import StatusWord

_FIRST = st.integers(0, 0xFF)
_TAGS = st.one_of(
    _FIRST.filter(lambda tag: tag & 0x1F != 0x1F),
    st.tuples(_FIRST, st.integers(1, 0x7F)).map(lambda pair: (pair[0] | 0x1F) << 8 | pair[1]),
    st.just(0x5FC105),
)


@given(st.lists(st.tuples(_TAGS, st.binary(max_size=300))))
def test_what_is_built_is_read_back(fields: list[tuple[int, bytes]]) -> None:
    encoded = b"".join(tlv.build(tag, value) for tag, value in fields)
    assert tlv.parse(encoded) == fields


@pytest.mark.parametrize("length", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
@pytest.mark.parametrize("tag", [0x01, 0x7C, 0xFE, 0x7F49, 0x5FC105])
def test_yubikit_builds_the_same(length: int, tag: int) -> None:
    value = bytes(length)
    assert tlv.build(tag, value) == Tlv(tag, value)
    assert tlv.parse(tlv.build(tag, value)) == [(tag, value)]


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("0181020A0B", id="one byte"),
        pytest.param("018200020A0B", id="two bytes"),
        pytest.param("01830000020A0B", id="three bytes"),
    ],
)
def test_a_length_may_be_longer_than_needed(encoded: str) -> None:
    assert tlv.parse(bytes.fromhex(encoded)) == [(1, b"\x0a\x0b")]


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("01", id="no length"),
        pytest.param("01020A", id="value cut off"),
        pytest.param("0181", id="length cut off"),
        pytest.param("018201", id="length of two bytes cut off"),
        pytest.param("01800A0000", id="indefinite length"),
        pytest.param("0180" + "00" * 128, id="indefinite length, long enough for 128 bytes"),
        pytest.param("01840000000100", id="length of four bytes"),
        pytest.param("7F", id="tag cut off"),
        pytest.param("5FC1", id="tag of three bytes cut off"),
        pytest.param("5FC1818100", id="tag of four bytes"),
        pytest.param("01010A02", id="second field cut off"),
    ],
)
def test_malformed(encoded: str) -> None:
    with pytest.raises(tlv.TlvError) as raised:
        tlv.parse(bytes.fromhex(encoded))
    assert raised.value.status == StatusWord.INCORRECT_DATA


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        fields = tlv.parse(data)
    except tlv.TlvError:
        return
    assert sum(len(value) for _, value in fields) <= len(data)


def test_unwrap() -> None:
    assert tlv.unwrap(0x7C, bytes.fromhex("7C01AA")) == b"\xaa"


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("7D01AA", id="another tag"),
        pytest.param("7C01AA7C01AA", id="twice"),
        pytest.param("7C01AA00", id="something after it"),
        pytest.param("", id="nothing"),
    ],
)
def test_unwrap_refuses(encoded: str) -> None:
    with pytest.raises(tlv.TlvError):
        tlv.unwrap(0x7C, bytes.fromhex(encoded))
