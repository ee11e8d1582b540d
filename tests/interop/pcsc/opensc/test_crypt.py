# SPDX-License-Identifier: Apache-2.0
"""pkcs15-crypt, which asks for a PIN only where the key wants one: never, once, or for each use."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import MESSAGE, judge
from tests.interop.pcsc.stories import FIRMWARES, FULL, OPENSC, PIN, Holder, holder, object_id
from yubikit.piv import SLOT

pytestmark = pytest.mark.interop

Place = tuple[CardTable, Holder]
# The openssl form is a sequence of two numbers; without it they stand side by side.
_SIGN = ("--sign", "--sha-256", "--signature-format", "openssl")
_VERIFY, _AUTHENTICATE = 0x20, 0x87


@pytest.fixture(scope="module", params=FIRMWARES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    alice = holder(request.param, FULL)
    with card_table(alice.yubikey) as table:
        yield table, alice


def crypt(table: CardTable, folder: Path, slot: SLOT, data: bytes, *arguments: str) -> bytes:
    """Use a slot's key on some data, which must succeed; return what came of it."""
    (folder / "given").write_bytes(data)
    done = table.run(
        *("pkcs15-crypt", "--key", object_id(OPENSC, slot), *arguments),
        *("--input", folder / "given", "--output", folder / "made"),
    )
    assert done.returncode == 0, done
    return (folder / "made").read_bytes()


def test_slot_9e_signs_without_a_pin(place: Place, tmp_path: Path) -> None:
    table, alice = place
    tried = table.pins()
    signature = crypt(table, tmp_path, SLOT.CARD_AUTH, hashlib.sha256(MESSAGE).digest(), *_SIGN)
    judge("ECDSA-SHA256", alice.public_key(SLOT.CARD_AUTH), signature, tmp_path)
    assert table.pins() == tried


def test_slot_9a_signs_after_the_pin(place: Place, tmp_path: Path) -> None:
    table, alice = place
    digest = hashlib.sha256(MESSAGE).digest()
    signature = crypt(table, tmp_path, SLOT.AUTHENTICATION, digest, "--pin", PIN, "--pkcs1", *_SIGN)
    judge("SHA256-RSA-PKCS", alice.public_key(SLOT.AUTHENTICATION), signature, tmp_path)


def test_slot_9c_signs_right_after_the_pin_and_not_later(place: Place, tmp_path: Path) -> None:
    table, alice = place
    digest = hashlib.sha384(MESSAGE).digest()
    for _ in range(2):
        signature = crypt(table, tmp_path, SLOT.SIGNATURE, digest, "--pin", PIN, *_SIGN)
        judge("ECDSA", alice.public_key(SLOT.SIGNATURE), signature, tmp_path)
        assert [command[1] for command, _ in table.log[-2:]] == [_VERIFY, _AUTHENTICATE]


def test_slot_9d_decrypts(place: Place, tmp_path: Path) -> None:
    table, alice = place
    secret = alice.public_key(SLOT.KEY_MANAGEMENT).encrypt(b"a secret", padding.PKCS1v15())
    plain = crypt(table, tmp_path, SLOT.KEY_MANAGEMENT, secret, "--pin", PIN, "--decipher", "--pkcs1")
    assert plain == b"a secret"
