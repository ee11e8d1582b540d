# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the emulated key: no sequence of bytes may make it raise.

    python tests/fuzz/fuzz_apdu.py CORPUS -runs=100000 [more of libFuzzer's options]

CORPUS is a folder, which gets the sessions below as seeds, and then every input that reaches new code.

An input is one byte for firmware and opening, then commands, each with its length before it (two bytes,
big-endian). What is sought: an exception, a reply without a status word, data beside an error, or a key that
is dead afterwards.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pivgate.emulator"]):
    from pivgate.emulator.firmware import FIRMWARE
    from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 15890263
VERSIONS = sorted(FIRMWARE)
SELECT_PIV = bytes.fromhex("00A4040005A000000308")
SELECT_MANAGEMENT = bytes.fromhex("00A4040008A000000527471117")
READ = bytes.fromhex("001D0000")
GENERATE = 0x47
RSA = {0x05, 0x06, 0x07, 0x16}
IN_MANAGEMENT = 0x80
AUTHENTICATED = 0x40
STATUS = {0x61, 0x63, 0x65, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6D, 0x6E, 0x6F, 0x90}


def split(data: bytes) -> list[bytes]:
    """Cut an input into commands; the last one may be cut off."""
    commands = []
    while len(data) >= 2:
        length = int.from_bytes(data[:2], "big")
        commands.append(data[2 : 2 + length])
        data = data[2 + length :]
    return commands


def makes_rsa(raw: bytes) -> bool:
    """Whether a command could make the key search for primes, which takes seconds and finds no faults."""
    return GENERATE in raw[:2] and bool(RSA & set(raw[5:]))


def test_one_input(data: bytes) -> None:
    """Send the commands of one input to a key fresh from the factory."""
    if not data:
        return
    version = VERSIONS[data[0] % len(VERSIONS)]
    yubikey = EmulatedYubiKey(FIRMWARE[version], SERIAL, randomness=bytes)
    opening = [SELECT_MANAGEMENT] if data[0] & IN_MANAGEMENT else [SELECT_PIV]
    if data[0] & AUTHENTICATED:
        opening += AUTHENTICATE_AES if version == "5.7.4" else AUTHENTICATE_TDES
    for raw in (*opening, *split(data[1:])):
        if makes_rsa(raw):
            continue
        reply = yubikey.transmit(raw)
        assert len(reply) >= 2
        assert reply[-2] in STATUS, reply.hex()
        assert len(reply) == 2 or reply[-2] in {0x61, 0x90}, reply.hex()
    yubikey.remove()
    yubikey.insert()
    assert yubikey.transmit(SELECT_MANAGEMENT)[-2:] == b"\x90\x00"
    assert yubikey.transmit(READ)[-2:] == b"\x90\x00"


def seed(choice: int, *commands: bytes) -> bytes:
    """Write an input."""
    return bytes((choice,)) + b"".join(len(command).to_bytes(2, "big") + command for command in commands)


def command(header: str, data: bytes = b"", le: bytes = b"") -> bytes:
    """Write a short command."""
    return bytes.fromhex(header) + (bytes((len(data),)) + data if data else b"") + le


# With a witness of zeros (the key's randomness is zeros) its decryption is known, and so is the answer.
AUTHENTICATE_TDES = [
    command("0087039B", bytes.fromhex("7C028000")),
    command("0087039B", bytes.fromhex("7C148008") + bytes(8) + bytes.fromhex("8108") + bytes(8)),
    command("00200080", b"123456\xff\xff"),
]
AUTHENTICATE_AES = [
    command("00870A9B", bytes.fromhex("7C028000")),
    command("00870A9B", bytes.fromhex("7C248010") + bytes(16) + bytes.fromhex("8110") + bytes(16)),
    command("00200080", b"123456\xff\xff"),
]

CHUID = bytes.fromhex("5C035FC102")
SEEDS = [
    seed(
        choice | AUTHENTICATED,
        command("0047009A", bytes.fromhex("AC03800111")),
        command("0087119A", bytes.fromhex("7C2482008120") + bytes(32), b"\x00"),
        command("00DB3FFF", CHUID + bytes.fromhex("5303300100")),
        command("00CB3FFF", CHUID, b"\x00"),
        command("00F99A00"),
        command("00C00000"),
        command("00F7009A"),
        command("00F69C9A"),
        command("00FE119D", b"\x06\x20" + bytes(31) + b"\x01\xaa\x01\x03"),
        command("00FF FF FF", b"\x0a\x9b\x18" + bytes(24)),
        command("00FA0305"),
    )
    for choice in range(4)
] + [
    seed(
        2,
        command("0087039B", bytes.fromhex("7C028100")),
        command("0087039B", bytes.fromhex("7C0A8208") + bytes(8)),
    ),
    seed(
        0,
        command("00240080", b"123456\xff\xff654321\xff\xff"),
        command("002C0080", b"12345678123456\xff\xff"),
        command("00200080"),
        command("0020FF80"),
        command("00CB3FFF", bytes.fromhex("5C017E")),
        command("00FD0000", le=b"\x00"),
        command("00F80000", le=b"\x00"),
    ),
    seed(
        3, command("10DB3FFF", CHUID), command("00DB3FFF", bytes.fromhex("5303300100")), command("00FB0000")
    ),
    seed(
        3 | IN_MANAGEMENT,
        command("001D0000"),
        command("001D0100", le=b"\x00"),
        command("001C0000", b"\x04\x03\x02\x02\x2f"),
        command("001C0000", b"\x12\x0a\x10" + bytes(range(16))),
        command("001C0000", b"\x02\x0c\x00"),
        SELECT_PIV,
    ),
    seed(0 | IN_MANAGEMENT, command("00161100", b"\x81\x0a\x2c\x01"), command("001D0000")),
]
"""Sessions from which mutation gets far."""


if __name__ == "__main__":
    corpus = Path(sys.argv[1])
    corpus.mkdir(exist_ok=True)
    for number, session in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(session)
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
