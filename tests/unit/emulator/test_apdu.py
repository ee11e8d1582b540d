# SPDX-License-Identifier: Apache-2.0
"""Command APDUs in their seven forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.emulator.apdu import CommandApdu, Response, StatusError, StatusWord, parse_command


@pytest.mark.parametrize(
    ("raw", "data", "le"),
    [
        pytest.param("00A40400", "", None, id="case 1"),
        pytest.param("00A4040001", "", 1, id="case 2 short"),
        pytest.param("00A4040000", "", 256, id="case 2 short, Le of zero is 256"),
        pytest.param("00A4040002AABB", "AABB", None, id="case 3 short"),
        pytest.param("00A4040002AABB10", "AABB", 16, id="case 4 short"),
        pytest.param("00A4040002AABB00", "AABB", 256, id="case 4 short, Le of zero is 256"),
        pytest.param("00A40400000102", "", 258, id="case 2 extended"),
        pytest.param("00A40400000000", "", 65536, id="case 2 extended, Le of zero is 65536"),
        pytest.param("00A40400000002AABB", "AABB", None, id="case 3 extended"),
        pytest.param("00A40400000002AABB0102", "AABB", 258, id="case 4 extended"),
        pytest.param("00A40400000002AABB0000", "AABB", 65536, id="case 4 extended, Le of zero is 65536"),
    ],
)
def test_forms(raw: str, data: str, le: int | None) -> None:
    command = parse_command(bytes.fromhex(raw))
    assert command == CommandApdu(0x00, 0xA4, 0x04, 0x00, bytes.fromhex(data), le)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="empty"),
        pytest.param("00A404", id="header cut off"),
        pytest.param("00A4040002AA", id="data cut off"),
        pytest.param("00A4040001AABBCC", id="more after Le"),
        pytest.param("00A404000001", id="extended length cut off"),
        pytest.param("00A40400000003AABB", id="extended data cut off"),
        pytest.param("00A40400000001AABB", id="extended Le of one byte"),
        pytest.param("00A40400000001AABBCCDD", id="more after extended Le"),
        pytest.param("00A404000000000001", id="extended Lc of zero before Le"),
    ],
)
def test_wrong_lengths(raw: str) -> None:
    with pytest.raises(StatusError) as raised:
        parse_command(bytes.fromhex(raw))
    assert raised.value.status == StatusWord.WRONG_LENGTH


@given(
    header=st.binary(min_size=4, max_size=4),
    data=st.binary(max_size=255),
    le=st.none() | st.integers(1, 256),
)
def test_short_and_extended_form_say_the_same(header: bytes, data: bytes, le: int | None) -> None:
    short, extended = header, header
    if data:
        short += bytes((len(data),)) + data
        extended += b"\x00" + len(data).to_bytes(2, "big") + data
    if le is not None:
        short += bytes((le & 0xFF,))
        extended += (b"" if data else b"\x00") + le.to_bytes(2, "big")
    assert parse_command(short) == parse_command(extended) == CommandApdu(*header, data, le)


def test_status_error_says_the_status_word() -> None:
    assert str(StatusError(0x63C2)) == "63C2"


def test_response_ends_with_the_status_word() -> None:
    assert Response(b"\x01", StatusWord.SUCCESS).encode() == b"\x01\x90\x00"
