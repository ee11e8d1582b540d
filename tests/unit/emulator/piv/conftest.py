# SPDX-License-Identifier: Apache-2.0
"""An emulated key under test, and a terminal that speaks APDUs to it and knows nothing of its insides."""

import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pivgate.emulator import tlv
from pivgate.emulator.firmware import FIRMWARE, Firmware
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 12345678
FACTORY_KEY = bytes.fromhex("0102030405060708" * 3)
TDES = 0x03


class Finger:
    """Touches the key, or does not, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.willing = True
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.willing


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal:
    """Sends commands to one key: methods return the status word, and keep the data in ``reply``."""

    def __init__(self, version: str | Firmware) -> None:
        self.finger = Finger()
        firmware = FIRMWARE[version] if isinstance(version, str) else version
        self.clock = Clock()
        self.yubikey = EmulatedYubiKey(
            firmware, SERIAL, randomness=os.urandom, clock=self.clock, touch=self.finger
        )
        self.firmware = self.yubikey.firmware
        self.reply = b""
        assert self.select() == 0x9000

    def raw(self, apdu: bytes | str) -> int:
        answer = self.yubikey.card.transmit(bytes.fromhex(apdu) if isinstance(apdu, str) else apdu)
        self.reply = answer[:-2]
        return int.from_bytes(answer[-2:], "big")

    def send(self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> int:
        body = len(data).to_bytes(3, "big") + data + b"\0\0" if data else b"\0\0\0"
        return self.raw(bytes((0, ins, p1, p2)) + body)

    def select(self, aid: str = "A000000308") -> int:
        name = bytes.fromhex(aid)
        return self.raw(bytes((0, 0xA4, 4, 0, len(name))) + name)

    def select_other(self) -> int:
        """Select the management application."""
        return self.select("A000000527471117")

    def power_cycle(self) -> None:
        self.yubikey.card.reset()
        assert self.select() == 0x9000

    # PIN and PUK

    def verify(self, pin: bytes = b"123456") -> int:
        return self.send(0x20, 0, 0x80, padded(pin))

    def query(self) -> int:
        return self.raw("00 20 00 80")

    def change(self, secret: int, present: bytes, new: bytes) -> int:
        return self.send(0x24, 0, secret, padded(present) + padded(new))

    def unblock(self, puk: bytes = b"12345678", new: bytes = b"123456") -> int:
        return self.send(0x2C, 0, 0x80, padded(puk) + padded(new))

    def block_pin(self) -> None:
        while self.verify(b"wrong!") != 0x6983:
            pass

    def block_puk(self) -> None:
        while self.unblock(b"wrong!") != 0x6983:
            pass

    # Management key

    @property
    def key_type(self) -> int:
        return int(self.firmware.default_management_key_type)

    def authenticate(self, key: bytes = FACTORY_KEY, key_type: int | None = None) -> int:
        """Mutual authentication; checks that the card knows the key too."""
        kind = self.key_type if key_type is None else key_type
        status = self.send(0x87, kind, 0x9B, bytes.fromhex("7C028000"))
        if status != 0x9000:
            return status
        witness = decrypt(kind, key, tlv.unwrap(0x80, tlv.unwrap(0x7C, self.reply)))
        challenge = os.urandom(len(witness))
        template = tlv.build(0x80, witness) + tlv.build(0x81, challenge)
        status = self.send(0x87, kind, 0x9B, tlv.build(0x7C, template))
        if status == 0x9000:
            assert tlv.unwrap(0x82, tlv.unwrap(0x7C, self.reply)) == encrypt(kind, key, challenge)
        return status

    def authenticate_single(self, key: bytes = FACTORY_KEY, key_type: int | None = None) -> int:
        kind = self.key_type if key_type is None else key_type
        status = self.send(0x87, kind, 0x9B, bytes.fromhex("7C028100"))
        if status != 0x9000:
            return status
        challenge = tlv.unwrap(0x81, tlv.unwrap(0x7C, self.reply))
        return self.answer(encrypt(kind, key, challenge), kind)

    def answer(self, response: bytes, key_type: int | None = None) -> int:
        kind = self.key_type if key_type is None else key_type
        return self.send(0x87, kind, 0x9B, tlv.build(0x7C, tlv.build(0x82, response)))

    def encrypt(self, block: bytes) -> bytes:
        """Encrypt with the factory key, as its holder would."""
        return encrypt(self.key_type, FACTORY_KEY, block)

    def set_management_key(self, key_type: int, key: bytes, touch: int = 0xFF) -> int:
        return self.send(0xFF, 0xFF, touch, bytes([key_type]) + tlv.build(0x9B, key))

    # Keys

    def generate(self, slot: int = 0x9A, key_type: int = 0x11, pin: int = 0, touch: int = 0) -> int:
        template = tlv.build(0x80, bytes([key_type])) + policies(pin, touch)
        return self.send(0x47, 0, slot, tlv.build(0xAC, template))

    def import_p256(self, slot: int = 0x9A, scalar: int = 1, pin: int = 0, touch: int = 0) -> int:
        data = tlv.build(0x06, scalar.to_bytes(32, "big")) + policies(pin, touch)
        return self.send(0xFE, 0x11, slot, data)

    def sign(self, slot: int = 0x9A, key_type: int = 0x11, data: bytes = bytes(32)) -> int:
        return self.send(0x87, key_type, slot, tlv.build(0x7C, tlv.build(0x82) + tlv.build(0x81, data)))

    def agree(self, peer: bytes, slot: int = 0x9A, key_type: int = 0x11) -> int:
        return self.send(0x87, key_type, slot, tlv.build(0x7C, tlv.build(0x82) + tlv.build(0x85, peer)))

    @property
    def result(self) -> bytes:
        """What the private key made."""
        return tlv.unwrap(0x82, tlv.unwrap(0x7C, self.reply))

    def attest(self, slot: int = 0x9A) -> int:
        return self.send(0xF9, slot, 0)

    def metadata(self, reference: int) -> int:
        return self.send(0xF7, 0, reference)

    # Objects

    def put(self, object_id: int, value: bytes) -> int:
        name = object_id.to_bytes((object_id.bit_length() + 7) // 8, "big")
        return self.send(0xDB, 0x3F, 0xFF, tlv.build(0x5C, name) + tlv.build(0x53, value))

    def get(self, object_id: int) -> int:
        name = object_id.to_bytes((object_id.bit_length() + 7) // 8, "big")
        return self.send(0xCB, 0x3F, 0xFF, tlv.build(0x5C, name))

    def reset(self) -> int:
        return self.send(0xFB)


def padded(text: bytes) -> bytes:
    return text.ljust(8, b"\xff")


def policies(pin: int, touch: int) -> bytes:
    return (tlv.build(0xAA, bytes([pin])) if pin else b"") + (
        tlv.build(0xAB, bytes([touch])) if touch else b""
    )


def cipher(kind: int, key: bytes) -> Cipher[modes.ECB]:
    return Cipher(TripleDES(key) if kind == TDES else algorithms.AES(key), modes.ECB())  # noqa: S305 - as PIV has it


def encrypt(kind: int, key: bytes, block: bytes) -> bytes:
    encryptor = cipher(kind, key).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def decrypt(kind: int, key: bytes, block: bytes) -> bytes:
    decryptor = cipher(kind, key).decryptor()
    return decryptor.update(block) + decryptor.finalize()


@pytest.fixture(scope="session")
def new_terminal() -> Callable[[str | Firmware], Terminal]:
    """Make a terminal with a key of a firmware, fresh from the factory."""
    return Terminal


@pytest.fixture
def terminal() -> Terminal:
    """A terminal with a key of the newest firmware."""
    return Terminal("5.7.4")


@pytest.fixture(params=sorted(FIRMWARE))
def each(request: pytest.FixtureRequest) -> Terminal:
    """A terminal with a key of every firmware in turn."""
    return Terminal(request.param)
