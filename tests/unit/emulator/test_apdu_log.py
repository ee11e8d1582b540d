# SPDX-License-Identifier: Apache-2.0
"""The log of APDUs says in words what was asked and what was answered, and shows what is public."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.emulator.apdu_log import ApduLog

SELECT_PIV = "00A4040005A000000308"
SELECT_MANAGEMENT = "00A4040008A000000527471117"


def lines(*exchanges: tuple[str, str]) -> list[str]:
    log = ApduLog()
    return [log.line(bytes.fromhex(command), bytes.fromhex(reply)) for command, reply in exchanges]


def in_piv(command: str, reply: str) -> str:
    return lines((SELECT_PIV, "9000"), (command, reply))[-1]


def in_management(command: str, reply: str) -> str:
    return lines((SELECT_MANAGEMENT, "9000"), (command, reply))[-1]


@pytest.mark.parametrize(
    ("command", "reply", "line"),
    [
        (
            "0020008008313233343536FFFF",
            "63C2",
            "00200080 VERIFY PIN (8 bytes, not shown) → 63C2 wrong, 2 tries left",
        ),
        (
            "0020008008313233343536FFFF",
            "63C1",
            "00200080 VERIFY PIN (8 bytes, not shown) → 63C1 wrong, 1 try left",
        ),
        ("0020008008313233343536FFFF", "9000", "00200080 VERIFY PIN (8 bytes, not shown) → 9000 ok"),
        ("00200080", "63C3", "00200080 VERIFY PIN: ask → 63C3 3 tries left"),
        ("00200080", "6983", "00200080 VERIFY PIN: ask → 6983 authentication method blocked"),
        ("0020FF80", "9000", "0020FF80 VERIFY PIN: take it back → 9000 ok"),
        (
            "00240081020102",
            "63C0",
            "00240081 CHANGE REFERENCE DATA PUK (2 bytes, not shown) → 63C0 wrong, 0 tries left",
        ),
        ("002C008001AA", "9000", "002C0080 RESET RETRY COUNTER PIN (1 byte, not shown) → 9000 ok"),
        ("00FD000000", "0507049000", "00FD0000 GET VERSION → 9000 ok 050704"),
        ("00F8000000", "01D905C19000", "00F80000 GET SERIAL → 9000 ok 01D905C1"),
        ("00F70080", "6A88", "00F70080 GET METADATA PIN → 6A88 reference data not found"),
        ("00F7009A", "0101119000", "00F7009A GET METADATA slot 9a (authentication) → 9000 ok 010111"),
        (
            "00CB3FFF055C035FC10500",
            "53009000",
            "00CB3FFF GET DATA 5FC105 certificate of slot 9a → 9000 ok 5300",
        ),
        (
            "00CB3FFF055C035FC12000",
            "6A82",
            "00CB3FFF GET DATA 5FC120 certificate of slot 95 → 6A82 file not found",
        ),
        ("00CB3FFF035C017E00", "7E009000", "00CB3FFF GET DATA 7E discovery object → 9000 ok 7E00"),
        (
            "00CB3FFF055C035FC10900",
            "5301AA9000",
            "00CB3FFF GET DATA 5FC109 printed information → 9000 ok (3 bytes, not shown)",
        ),
        ("00CB3FFF055C035F000100", "5301AA9000", "00CB3FFF GET DATA 5F0001 → 9000 ok (3 bytes, not shown)"),
        ("00CB3FFF055C045FC105", "6A80", "00CB3FFF GET DATA (5 bytes, not shown) → 6A80 incorrect data"),
        ("00DB3FFF085C035FC10C5301AA", "9000", "00DB3FFF PUT DATA 5FC10C key history AA → 9000 ok"),
        (
            "00DB3FFF085C035FC1055301AA",
            "6700",
            "00DB3FFF PUT DATA 5FC105 certificate of slot 9a (1 byte, not shown) → 6700 wrong length",
        ),
        (
            "00DB3FFF085C035FC1095301AA",
            "9000",
            "00DB3FFF PUT DATA 5FC109 printed information (1 byte, not shown) → 9000 ok",
        ),
        (
            "0087119C067C0482008100",
            "9000",
            "0087119C GENERAL AUTHENTICATE slot 9c (signature) ECCP256 (6 bytes, not shown) → 9000 ok",
        ),
        (
            "00870A9B047C028000",
            "6A80",
            "00870A9B GENERAL AUTHENTICATE management key AES192 (4 bytes, not shown) → 6A80 incorrect data",
        ),
        (
            "0047009A05AC03800111",
            "7F49009000",
            "0047009A GENERATE KEY slot 9a (authentication) (5 bytes, not shown) → 9000 ok 7F4900",
        ),
        ("00F99A00", "30009000", "00F99A00 ATTEST slot 9a (authentication) → 9000 ok 3000"),
        ("00FA0305", "9000", "00FA0305 SET RETRIES PIN 3, PUK 5 → 9000 ok"),
        ("00FB0000", "6111", "00FB0000 RESET → 6111 17 bytes more"),
        (
            "00CB3FFF035C017E",
            "7E6100",
            "00CB3FFF GET DATA 7E discovery object → 6100 256 bytes more, or still more 7E",
        ),
        ("00FB0000", "6F42", "00FB0000 RESET → 6F42 unknown status"),
        ("00FB0000", "6985", "00FB0000 RESET → 6985 conditions not satisfied"),
        (
            "00FE119A0106",
            "9000",
            "00FE119A IMPORT KEY slot 9a (authentication) ECCP256 (1 byte, not shown) → 9000 ok",
        ),
        ("00FFFFFF0103", "9000", "00FFFFFF SET MANAGEMENT KEY (1 byte, not shown) → 9000 ok"),
        ("00F6829A", "9000", "00F6829A MOVE KEY slot 9a (authentication) to slot 82 (retired) → 9000 ok"),
        ("00F6FF95", "9000", "00F6FF95 DELETE KEY slot 95 (retired) → 9000 ok"),
        ("00CADF3005", "6D00", "00CADF30 instruction CA → 6D00 instruction not supported"),
        ("001D0000", "6D00", "001D0000 instruction 1D → 6D00 instruction not supported"),
        ("80200080", "6E00", "class 80 (4 bytes, not shown) → 6E00 class not supported"),
        ("313233", "6700", "no command APDU (3 bytes, not shown) → 6700 wrong length"),
        ("00A4040006A00000000101", "6A82", "00A40400 SELECT A00000000101 → 6A82 file not found"),
        ("00A4040007A0000005272001", "0403079000", "00A40400 SELECT OTP → 9000 ok 040307"),
        ("00A40000023F00", "6A86", "00A40000 SELECT (2 bytes, not shown) → 6A86 incorrect p1 p2"),
    ],
)
def test_a_line_says_what_was_asked_and_answered(command: str, reply: str, line: str) -> None:
    assert in_piv(command, reply) == line


def test_the_management_application_has_instructions_of_its_own() -> None:
    assert in_management("001D0000", "009000") == "001D0000 READ CONFIGURATION page 0 → 9000 ok 00"
    assert (
        in_management("001C0000020100", "9000")
        == "001C0000 WRITE CONFIGURATION (2 bytes, not shown) → 9000 ok"
    )
    assert in_management("0016110004060F0000", "9000") == "00161100 SET MODE (4 bytes, not shown) → 9000 ok"
    assert (
        in_management("00FD000000", "0507049000") == "00FD0000 instruction FD → 9000 ok (3 bytes, not shown)"
    )


def test_nothing_is_public_before_an_application_is_selected() -> None:
    assert lines(("00FD000000", "0507049000"))[0] == "00FD0000 instruction FD → 9000 ok (3 bytes, not shown)"


def test_a_select_that_failed_leaves_the_application_selected() -> None:
    last = lines((SELECT_PIV, "9000"), (SELECT_MANAGEMENT, "6A82"), ("00FD000000", "0507049000"))[-1]
    assert last == "00FD0000 GET VERSION → 9000 ok 050704"


def test_get_response_is_as_public_as_what_it_goes_on_with() -> None:
    public = lines(
        (SELECT_PIV, "9000"),
        ("00CB3FFF055C035FC105", "53016102"),
        ("00C0000002", "AABB6101"),
        ("00C0000001", "CC9000"),
        ("00C0000001", "DD9000"),
    )
    assert public[1:] == [
        "00CB3FFF GET DATA 5FC105 certificate of slot 9a → 6102 2 bytes more 5301",
        "00C00000 GET RESPONSE → 6101 1 bytes more AABB",
        "00C00000 GET RESPONSE → 9000 ok CC",
        "00C00000 GET RESPONSE → 9000 ok (1 byte, not shown)",
    ]
    secret = lines((SELECT_PIV, "9000"), ("00CB3FFF055C035FC109", "53016103"), ("00C0000002", "AABB9000"))
    assert secret[1:] == [
        "00CB3FFF GET DATA 5FC109 printed information → 6103 3 bytes more (2 bytes, not shown)",
        "00C00000 GET RESPONSE → 9000 ok (2 bytes, not shown)",
    ]


@pytest.mark.parametrize("between", ["00200080", "80200080", "0020", "1020008001AA"])
def test_another_command_between_ends_what_get_response_may_show(between: str) -> None:
    shown = lines(
        (SELECT_PIV, "9000"), ("00CB3FFF055C035FC105", "6102"), (between, "9000"), ("00C00000", "AABB9000")
    )
    assert shown[-1] == "00C00000 GET RESPONSE → 9000 ok (2 bytes, not shown)"


def test_a_chained_command_is_told_with_its_last_piece() -> None:
    assert lines((SELECT_PIV, "9000"), ("10DB3FFF055C035FC105", "9000"), ("00DB3FFF035301AA", "9000"))[
        1:
    ] == [
        "10DB3FFF a piece of a command (5 bytes, not shown) → 9000 ok",
        "00DB3FFF PUT DATA 5FC105 certificate of slot 9a AA → 9000 ok",
    ]


@pytest.mark.parametrize("between", ["00200080", "8000", "00FD0000", "80DB3FFF"])
def test_pieces_that_something_came_between_are_not_joined(between: str) -> None:
    told = lines(
        (SELECT_PIV, "9000"),
        ("10DB3FFF055C035FC105", "9000"),
        (between, "6883"),
        ("00DB3FFF035301AA", "9000"),
    )
    assert told[-1] == "00DB3FFF PUT DATA (3 bytes, not shown) → 9000 ok"


def test_a_piece_is_not_joined_to_another_command() -> None:
    told = lines((SELECT_PIV, "9000"), ("10DB3FFF055C035FC105", "9000"), ("0020008001AA", "6883"))
    assert told[-1].startswith("00200080 VERIFY PIN (1 byte, not shown)")


def test_a_piece_that_was_refused_ends_its_chain() -> None:
    told = lines((SELECT_PIV, "9000"), ("10DB3FFF055C035FC105", "6700"), ("00DB3FFF035301AA", "9000"))
    assert told[-1] == "00DB3FFF PUT DATA (3 bytes, not shown) → 9000 ok"


@given(command=st.binary(max_size=40), reply=st.binary(min_size=2, max_size=20))
def test_any_bytes_make_a_line(command: bytes, reply: bytes) -> None:
    line = ApduLog().line(command, reply)
    assert "\n" not in line
    assert line.isprintable()
