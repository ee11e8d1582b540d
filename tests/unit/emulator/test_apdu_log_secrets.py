# SPDX-License-Identifier: Apache-2.0
"""No secret gets into the log of APDUs, in whatever form and order it was sent or told."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.emulator import tlv
from pivgate.emulator.apdu_log import ApduLog
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

SELECT_PIV = "00A4040005A000000308"
SELECT_MANAGEMENT = "00A4040008A000000527471117"
OK = b"\x90\x00"


def lines(*exchanges: tuple[str, str]) -> list[str]:
    log = ApduLog()
    return [log.line(bytes.fromhex(command), bytes.fromhex(reply)) for command, reply in exchanges]


@dataclass(frozen=True)
class Telling:
    """A command that tells the key a secret.

    Attributes:
        application: The SELECT before it.
        header: Instruction and parameters.
        wrap: Puts the secret into the command's data.
    """

    application: str
    header: str
    wrap: Callable[[bytes], bytes]


TELLING = {
    "VERIFY": Telling(SELECT_PIV, "200080", lambda secret: secret),
    "CHANGE PIN": Telling(SELECT_PIV, "240080", lambda secret: secret),
    "CHANGE PUK": Telling(SELECT_PIV, "240081", lambda secret: secret),
    "RESET RETRY COUNTER": Telling(SELECT_PIV, "2C0080", lambda secret: secret),
    "SET MANAGEMENT KEY": Telling(SELECT_PIV, "FFFFFF", lambda secret: b"\x0a" + tlv.build(0x9B, secret)),
    "IMPORT": Telling(SELECT_PIV, "FE119A", lambda secret: tlv.build(0x06, secret) + b"\xaa\x01\x02"),
    "IMPORT RSA": Telling(SELECT_PIV, "FE079A", lambda secret: tlv.build(1, secret) + tlv.build(2, secret)),
    "AUTHENTICATE": Telling(SELECT_PIV, "870A9B", lambda secret: tlv.build(0x7C, tlv.build(0x82, secret))),
    "PRINTED": Telling(
        SELECT_PIV, "DB3FFF", lambda secret: b"\x5c\x03\x5f\xc1\x09" + tlv.build(0x53, secret)
    ),
    "OWN OBJECT": Telling(
        SELECT_PIV, "DB3FFF", lambda secret: b"\x5c\x03\x5f\0\x01" + tlv.build(0x53, secret)
    ),
    "BEHIND": Telling(SELECT_PIV, "DB3FFF", lambda secret: b"\x5c\x03\x5f\xc1\x05\x53\0" + secret),
    "BEFORE": Telling(SELECT_PIV, "CB3FFF", lambda secret: tlv.build(0x5C, b"\x5f\xc1\x05") + b"\0" + secret),
    "LOCK": Telling(SELECT_MANAGEMENT, "1C0000", lambda secret: tlv.build(0x0B, secret)),
    "TO NOBODY": Telling("00A4040005A000000527", "200080", lambda secret: secret),
    "NO SELECT": Telling(
        "00FD0000", "DB3FFF", lambda secret: b"\x5c\x03\x5f\xc1\x05" + tlv.build(0x53, secret)
    ),
}

FORMS = ("short", "short with Le", "extended", "extended with Le", "chained", "chained, extended")


def formed(header: str, data: bytes, form: str, piece: int) -> list[bytes]:
    """Return a command in one of its forms, in several APDUs where need be."""
    start = bytes.fromhex(header)
    if form.startswith("extended"):
        le = b"\0\0" if form.endswith("Le") else b""
        return [b"\0" + start + b"\0" + len(data).to_bytes(2, "big") + data + le]
    if form.startswith("chained"):
        cuts = [*range(0, len(data), piece), len(data)]
        pieces = [data[begin:end] for begin, end in pairwise(cuts)]
        long = form.endswith("extended")
        return [
            bytes((0x10 if number < len(pieces) - 1 else 0,))
            + start
            + (len(part).to_bytes(3, "big") if long else bytes((len(part),)))
            + part
            for number, part in enumerate(pieces)
        ]
    return [b"\0" + start + bytes((len(data),)) + data + (b"\0" if form.endswith("Le") else b"")]


def twins() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Two secrets of one length."""
    return st.integers(1, 40).flatmap(
        lambda length: st.tuples(*[st.binary(min_size=length, max_size=length)] * 2)
    )


def told(telling: Telling, secret: bytes, form: str, piece: int, reply: bytes) -> list[str]:
    log = ApduLog()
    commands = [
        bytes.fromhex(telling.application),
        *formed(telling.header, telling.wrap(secret), form, piece),
    ]
    answers = [OK] * (len(commands) - 1) + [reply]
    return [log.line(command, answer) for command, answer in zip(commands, answers, strict=True)]


@pytest.mark.parametrize("name", TELLING)
@given(
    secrets=twins(),
    form=st.sampled_from(FORMS),
    piece=st.integers(1, 60),
    reply=st.sampled_from([OK, b"\x63\xc2", b"\x69\x82", b"\x6a\x80", b"\x61\x10", b"\x6d\0"]),
)
def test_two_secrets_of_one_length_make_the_same_lines(
    name: str, secrets: tuple[bytes, bytes], form: str, piece: int, reply: bytes
) -> None:
    one, other = (told(TELLING[name], secret, form, piece, reply) for secret in secrets)
    assert one == other


@given(secrets=twins(), status=st.sampled_from([b"\x90\0", b"\x61\x05"]))
@pytest.mark.parametrize(
    "command",
    [
        "00CB3FFF055C035FC109",
        "00CB3FFF055C035FC103",
        "00CB3FFF055C035FFF00",
        "0087079D00",
        "0087119D00",
        "0087039B00",
    ],
)
def test_two_secrets_that_the_key_tells_make_the_same_lines(
    command: str, secrets: tuple[bytes, bytes], status: bytes
) -> None:
    def heard(secret: bytes) -> list[str]:
        first, rest = secret[:7].hex(), secret[7:].hex()
        return lines((SELECT_PIV, "9000"), (command, first + status.hex()), ("00C00000", rest + "9000"))

    assert heard(secrets[0]) == heard(secrets[1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_a_key_that_takes_secrets_lets_none_into_its_log(firmware: str, form: str) -> None:
    # Letters that neither hexadecimal numbers nor any word of the log could spell by chance.
    pin, new_pin, puk = b"zqxjkvwy", b"yzqxjkvw", b"kkzzqqxx"
    yubikey = EmulatedYubiKey(FIRMWARE[firmware], 31000001)
    log, seen = ApduLog(), []
    yubikey.log = lambda command, reply: seen.append(log.line(command, reply))

    def send(header: str, data: bytes) -> bytes:
        return [yubikey.transmit(command) for command in formed(header, data, form, 5)][-1]

    yubikey.transmit(bytes.fromhex(SELECT_PIV))
    assert send("240080", b"123456\xff\xff" + pin) == OK
    assert send("240081", b"12345678" + puk) == OK
    assert send("200080", pin) == OK
    assert send("2C0080", puk + new_pin) == OK
    assert send("200080", pin) == b"\x63\xc2"
    text = "\n".join(seen)
    assert text.count("VERIFY PIN (8 bytes, not shown)") == 2
    for secret in (pin, new_pin, puk):
        assert secret.decode() not in text
        assert secret.hex().upper() not in text
        assert secret[:4].hex().upper() not in text


# What gets at the printed information, and what could make a log take it for something else.
_STEPS = tuple(
    bytes.fromhex(step)
    for step in (
        SELECT_PIV,
        SELECT_MANAGEMENT,
        "00A4040007A0000005272001",
        "0020008008313233343536FFFF",
        "00CB3FFF055C035FC109",
        "00CB3FFF055C035FC10904",
        "00CB3FFF055C035FC10500",
        "00CB3FFF055C035FC10504",
        "10CB3FFF035C035F",
        "00CB3FFF02C109",
        "00CB3FFF02C105",
        "10CB3FFF055C035FC109",
        "00CB3FFF00000000",
        "00C0000000",
        "00C0000004",
        "10C0000004",
        "80C0000004",
        "00FD000000",
        "001D0000",
        "00",
    )
)


_READ_A_PIECE = (bytes.fromhex("00CB3FFF055C035FC10904"), bytes.fromhex("00C0000004"))


@given(
    steps=st.lists(
        st.sampled_from(_STEPS) | st.sampled_from(_READ_A_PIECE) | st.none(), min_size=5, max_size=30
    )
)
def test_no_order_of_commands_makes_the_log_take_a_secret_for_something_public(
    steps: list[bytes | None],
) -> None:
    secret = bytes(range(0xC1, 0xE1))
    yubikey = EmulatedYubiKey(FIRMWARE["5.7.4"], 31000001)
    yubikey.piv.state.objects |= {0x5FC109: secret, 0x5FC105: bytes(400)}
    log = ApduLog()
    for step in (bytes.fromhex(SELECT_PIV), bytes.fromhex("0020008008313233343536FFFF"), *steps):
        if step is None:
            yubikey.card.reset()  # of which the log is not told
            continue
        line = log.line(step, yubikey.transmit(step))
        assert not [part for part in range(len(secret) - 1) if secret[part : part + 2].hex().upper() in line]
