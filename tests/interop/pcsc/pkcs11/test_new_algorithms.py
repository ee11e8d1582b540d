# SPDX-License-Identifier: Apache-2.0
"""What firmware 5.7 brought, by the older modules of Debian 12: OpenSC 0.23 and ykcs11 2.2.0."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import MESSAGE, RSA, judge, signed_by_pkcs11_tool
from tests.interop.pcsc.stories import OPENSC, PIN, YKCS11, Holder, holder, object_id
from yubikit.piv import KEY_TYPE, SLOT

pytestmark = pytest.mark.interop

Place = tuple[CardTable, Holder]
SLOTS = {
    SLOT.AUTHENTICATION: KEY_TYPE.RSA3072,
    SLOT.SIGNATURE: KEY_TYPE.RSA4096,
    SLOT.KEY_MANAGEMENT: KEY_TYPE.X25519,
    SLOT.CARD_AUTH: KEY_TYPE.ED25519,
}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    alice = holder("5.7.4", SLOTS)
    with card_table(alice.yubikey) as table:
        yield table, alice


def uses(table: CardTable) -> int:
    """Count how often a private key was asked for anything."""
    return sum(command[1] == 0x87 for command, _ in table.log)


def test_opensc_signs_with_3072_bits_by_every_mechanism(place: Place, tmp_path: Path) -> None:
    table, alice = place
    public_key = alice.public_key(SLOT.AUTHENTICATION)
    for mechanism in RSA:
        done, signature = signed_by_pkcs11_tool(
            table, tmp_path, OPENSC, SLOT.AUTHENTICATION, mechanism, public_key
        )
        assert done.returncode == 0, (mechanism, done)
        judge(mechanism, public_key, signature, tmp_path)


def test_opensc_decrypts_with_3072_bits(place: Place, tmp_path: Path) -> None:
    table, alice = place
    given, made = tmp_path / "given", tmp_path / "made"
    given.write_bytes(alice.public_key(SLOT.AUTHENTICATION).encrypt(b"a secret", padding.PKCS1v15()))
    done = table.run(
        *("pkcs11-tool", "--login", "--pin", PIN, "--id", "01", "--decrypt", "-m", "RSA-PKCS"),
        *("--input-file", given, "--output-file", made),
    )
    assert done.returncode == 0, done
    assert made.read_bytes() == b"a secret"


def test_opensc_0_23_sees_a_key_of_4096_bits_and_asks_nothing_of_it(place: Place, tmp_path: Path) -> None:
    table, alice = place
    before = uses(table)
    done, _ = signed_by_pkcs11_tool(
        table, tmp_path, OPENSC, SLOT.SIGNATURE, "SHA256-RSA-PKCS", alice.public_key(SLOT.SIGNATURE)
    )
    assert done.returncode == 1
    assert "CKR_FUNCTION_NOT_SUPPORTED" in done.stderr
    assert uses(table) == before


def test_opensc_0_23_shows_certificates_on_curve25519_without_a_private_key(place: Place) -> None:
    table, _ = place
    objects = table.run("pkcs11-tool", "--login", "--pin", PIN, "--list-objects").stdout
    assert "subject:    DN: CN=slot 9d" in objects
    assert "subject:    DN: CN=slot 9e" in objects
    assert "label:      PIV AUTH key" in objects
    assert "label:      KEY MAN key" not in objects
    assert "label:      CARD AUTH key" not in objects


@pytest.mark.parametrize("slot", [SLOT.AUTHENTICATION, SLOT.SIGNATURE], ids=["3072", "4096"])
def test_ykcs11_2_2_0_asks_nothing_of_keys_of_more_than_2048_bits(
    place: Place, slot: SLOT, tmp_path: Path
) -> None:
    table, alice = place
    before = uses(table)
    done, _ = signed_by_pkcs11_tool(table, tmp_path, YKCS11, slot, "SHA256-RSA-PKCS", alice.public_key(slot))
    assert done.returncode == 1
    assert "CKR_DEVICE_ERROR" in done.stderr
    assert uses(table) == before


def test_ykcs11_2_2_0_asks_nothing_of_keys_on_curve25519(place: Place, tmp_path: Path) -> None:
    table, _ = place
    before = uses(table)
    (tmp_path / "given").write_bytes(MESSAGE)
    for slot, action in ((SLOT.CARD_AUTH, ("--sign", "-m", "ECDSA")), (SLOT.KEY_MANAGEMENT, ("--derive",))):
        done = table.run(
            *("pkcs11-tool", "--module", YKCS11, "--login", "--pin", PIN, "--id", object_id(YKCS11, slot)),
            *(*action, "--input-file", tmp_path / "given", "--output-file", tmp_path / "made"),
        )
        assert done.returncode == 1, done
    assert uses(table) == before
