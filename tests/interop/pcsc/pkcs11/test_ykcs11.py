# SPDX-License-Identifier: Apache-2.0
"""Yubico's own PKCS#11 module: what it lists, key pairs and certificates by the management key, and PINs."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.card_table import CardTable, card_table, new_key
from tests.interop.pcsc.judge import judge, signed_by_pkcs11_tool
from tests.interop.pcsc.stories import (
    FIRMWARES,
    FULL,
    PIN,
    PUK,
    SHORT,
    YKCS11,
    certificate,
    holder,
    key_pair,
    object_id,
    with_tdes,
)
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, OBJECT_ID, SLOT

from pivgate.emulator.piv.references import Secret
from pivgate.emulator.yubikey import EmulatedYubiKey

pytestmark = pytest.mark.interop

KINDS = {
    SLOT.AUTHENTICATION: ("EC:prime256v1", KEY_TYPE.ECCP256),
    SLOT.SIGNATURE: ("rsa:2048", KEY_TYPE.RSA2048),
    SLOT.KEY_MANAGEMENT: ("rsa:1024", KEY_TYPE.RSA1024),
    SLOT.RETIRED20: ("EC:secp384r1", KEY_TYPE.ECCP384),
}


class Module:
    """pkcs11-tool with ykcs11, and the key behind it."""

    def __init__(self, table: CardTable) -> None:
        self.table = table
        self.yubikey: EmulatedYubiKey = table.readers[0].yubikey

    def tool(self, *arguments: str | Path) -> "CompletedProcess[str]":
        return self.table.run("pkcs11-tool", "--module", YKCS11, *arguments)

    def good(self, *arguments: str | Path) -> str:
        done = self.tool(*arguments)
        assert done.returncode == 0, done
        return done.stdout

    def bad(self, *arguments: str | Path) -> str:
        done = self.tool(*arguments)
        assert done.returncode == 1, done
        return done.stderr

    def managing(
        self, *arguments: str | Path, key: bytes = DEFAULT_MANAGEMENT_KEY
    ) -> "CompletedProcess[str]":
        """Log in as PKCS#11's security officer, whose PIN is the management key."""
        return self.tool("--login", "--login-type", "so", "--so-pin", key.hex(), *arguments)


@pytest.fixture(params=FIRMWARES)
def module(request: pytest.FixtureRequest) -> Iterator[Module]:
    yubikey = new_key(request.param)
    if request.param == "5.7.4":
        with_tdes(yubikey)  # Debian 12's ykcs11, 2.2.0, knows Triple DES only
    with card_table(yubikey) as table:
        yield Module(table)


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_everything_is_listed(firmware: str) -> None:
    alice = holder(firmware, FULL)
    with card_table(alice.yubikey) as table:
        module = Module(table)
        slots = module.good("--list-slots")
        assert f"token label        : YubiKey PIV #{alice.yubikey.serial}\n" in slots
        assert f"serial num         : {alice.yubikey.serial}\n" in slots
        assert f"token model        : YubiKey YK{firmware[0]}\n" in slots
        objects = module.good("--login", "--pin", PIN, "--list-objects")
        for slot in FULL:
            assert f"subject:    DN: CN=slot {slot:x}\n  serial" in objects
        # One more is that of slot f9.
        assert objects.count("Private Key Object") == objects.count("Public Key Object") == len(FULL) + 1
        for slot, leaf in alice.certificates.items():
            if slot in (SLOT.AUTHENTICATION, SLOT.RETIRED20):
                read = ("--read-object", "--type", "cert", "--id", object_id(YKCS11, slot))
                with_file = table.readers[0].path.with_name("read")
                module.good(*read, "--output-file", with_file)
                assert with_file.read_bytes() == leaf.public_bytes(Encoding.DER)


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_the_tests_of_pkcs11_tool_pass(firmware: str) -> None:
    with card_table(holder(firmware, SHORT).yubikey) as table:
        words = Module(table).good("--login", "--pin", PIN, "--test")
    assert words.splitlines()[-1] == "No errors"
    assert "RSA-PKCS-OAEP" in words
    assert "testing key 1 (Private key for Digital Signature)" in words


def test_pairs_are_made_and_used(module: Module, tmp_path: Path) -> None:
    for slot, (kind, key_type) in KINDS.items():
        made = module.managing("--keypairgen", "--key-type", kind, "--id", object_id(YKCS11, slot))
        assert made.returncode == 0, made
        public_key = module.yubikey.piv.state.keys[slot].private_key.public_key()
        assert KEY_TYPE.from_public_key(public_key) is key_type
        mechanism = "SHA256-RSA-PKCS" if key_type.name.startswith("RSA") else "ECDSA-SHA256"
        done, signature = signed_by_pkcs11_tool(module.table, tmp_path, YKCS11, slot, mechanism, public_key)
        assert done.returncode == 0, done
        judge(mechanism, public_key, signature, tmp_path)


def test_a_certificate_is_written_read_and_deleted(module: Module, tmp_path: Path) -> None:
    leaf = certificate(key_pair(KEY_TYPE.ECCP256).public_key(), "alice")
    given = tmp_path / "given.der"
    given.write_bytes(leaf.public_bytes(Encoding.DER))
    assert module.managing("--write-object", given, "--type", "cert", "--id", "03").returncode == 0
    stored = module.yubikey.piv.state.objects
    assert leaf.public_bytes(Encoding.DER) in stored[OBJECT_ID.KEY_MANAGEMENT]
    module.good("--read-object", "--type", "cert", "--id", "03", "--output-file", tmp_path / "read.der")
    assert x509.load_der_x509_certificate((tmp_path / "read.der").read_bytes()) == leaf
    assert module.managing("--delete-object", "--type", "cert", "--id", "03").returncode == 0
    assert OBJECT_ID.KEY_MANAGEMENT not in stored


def test_only_who_has_the_management_key_is_the_officer(module: Module) -> None:
    make = ("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01")
    assert "CKR_PIN_INCORRECT" in module.managing(*make, key=bytes(24)).stderr
    assert "CKR_USER_TYPE_INVALID" in module.bad("--login", "--pin", PIN, *make)
    assert SLOT.AUTHENTICATION not in module.yubikey.piv.state.keys


def test_the_officer_changes_the_management_key(module: Module) -> None:
    new = bytes.fromhex("A1B2C3D4E5F60718" * 3)
    assert module.managing("--change-pin", "--new-pin", new.hex()).returncode == 0
    assert module.yubikey.piv.state.management.key == new
    make = ("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01")
    assert "CKR_PIN_INCORRECT" in module.managing(*make).stderr
    assert module.managing(*make, key=new).returncode == 0


def test_pins_are_changed_and_counted(module: Module) -> None:
    module.good("--login", "--pin", PIN, "--change-pin", "--new-pin", "135790")
    for left in (2, 1, 0):
        assert "CKR_PIN_INCORRECT" in module.bad("--login", "--pin", PIN, "--list-objects")
        assert module.yubikey.piv.state.secrets[Secret.PIN].left == left
        flags = module.good("--list-slots")
        assert ("final user PIN try" in flags) == (left == 1)
        assert ("user PIN locked" in flags) == (left == 0)
    assert "CKR_PIN_LOCKED" in module.bad("--login", "--pin", "135790", "--list-objects")
    # The module has no way to use the PUK: it takes what is given for the old PIN.
    assert "CKR_PIN_LOCKED" in module.bad("--unlock-pin", "--puk", PUK, "--new-pin", "135790")


def test_random_bytes_are_given(module: Module, tmp_path: Path) -> None:
    module.good("--generate-random", "32", "--output-file", tmp_path / "random")
    assert len((tmp_path / "random").read_bytes()) == 32


def test_its_version_in_debian_12_cannot_manage_a_new_key_of_firmware_5_7() -> None:
    with card_table(new_key("5.7.4")) as table:
        done = Module(table).managing("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01")
        assert done.returncode == 1
        command, reply = table.log[-1]
        assert (command[:4].hex(), reply.hex()) == ("0087039b", "6a80"), "Triple DES, where AES-192 is"
