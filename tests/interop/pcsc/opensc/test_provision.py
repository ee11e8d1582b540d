# SPDX-License-Identifier: Apache-2.0
"""A key filled by piv-tool: the management key proved, key pairs made, certificates and objects written."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.card_table import CardTable, card_table, new_key
from tests.interop.pcsc.judge import judge, signed_by_pkcs11_tool
from tests.interop.pcsc.stories import FIRMWARES, OPENSC, certificate, key_pair
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, OBJECT_ID, SLOT

pytestmark = pytest.mark.interop

SLOTS = {
    SLOT.AUTHENTICATION: KEY_TYPE.ECCP256,
    SLOT.SIGNATURE: KEY_TYPE.RSA2048,
    SLOT.KEY_MANAGEMENT: KEY_TYPE.ECCP384,
    SLOT.CARD_AUTH: KEY_TYPE.RSA1024,
}
_TDES, _AES192 = "03", "0A"


class Desk:
    """A new key, and piv-tool with a management key in the file where it looks for it."""

    def __init__(self, table: CardTable, folder: Path) -> None:
        self.table = table
        self.folder = folder
        self.yubikey = table.readers[0].yubikey
        self.algorithm = _AES192 if self.yubikey.firmware.name == "5.7.4" else _TDES
        table.environment["PIV_EXT_AUTH_KEY"] = str(folder / "management")
        self.know(DEFAULT_MANAGEMENT_KEY)

    def know(self, key: bytes) -> None:
        (self.folder / "management").write_text(key.hex(":"))

    def tool(self, *arguments: str | Path, mode: str = "M") -> "CompletedProcess[str]":
        """Run piv-tool after authentication: mutual (M) or single (A), with key 9B."""
        return self.table.run("piv-tool", "-A", f"{mode}:9B:{self.algorithm}", *arguments)

    def public_key(self, slot: SLOT) -> Any:
        return self.yubikey.piv.state.keys[slot].private_key.public_key()

    def stored(self, number: OBJECT_ID) -> bytes:
        return self.yubikey.piv.state.objects.get(number, b"")


@pytest.fixture(params=FIRMWARES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with card_table(new_key(request.param)) as table:
        yield Desk(table, tmp_path)


def test_pairs_are_made_certified_and_used(desk: Desk) -> None:
    given = desk.folder / "given.pem"
    for slot, key_type in SLOTS.items():
        done = desk.tool("-G", f"{slot:02X}:{key_type:02X}", "-o", desk.folder / "made.pem")
        # OpenSC 0.23 built with OpenSSL 3 cannot write the public key down; the pair is there all the same.
        assert done.returncode == 255
        assert "gen_key unable to gen" in done.stderr

        public_key = desk.public_key(slot)
        assert KEY_TYPE.from_public_key(public_key) is key_type
        leaf = certificate(public_key, f"{slot:x}")
        given.write_bytes(leaf.public_bytes(Encoding.PEM))
        # The exit status of success is the number of bytes written, modulo 256.
        assert "failed" not in desk.tool("-C", f"{slot:02X}", "-i", given).stderr
        assert leaf.public_bytes(Encoding.DER) in desk.stored(OBJECT_ID.from_slot(slot))

    for slot in (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.CARD_AUTH):
        public_key = desk.public_key(slot)
        mechanism = "SHA256-RSA-PKCS" if SLOTS[slot].name.startswith("RSA") else "ECDSA-SHA256"
        done, signature = signed_by_pkcs11_tool(desk.table, desk.folder, OPENSC, slot, mechanism, public_key)
        assert done.returncode == 0, done
        judge(mechanism, public_key, signature, desk.folder)


def test_an_object_is_written_and_read_back(desk: Desk) -> None:
    value = bytes.fromhex("C10102 C20100 FE00")
    (desk.folder / "object").write_bytes(b"\x53" + bytes([len(value)]) + value)
    assert "failed" not in desk.tool("-O", "6060", "-i", desk.folder / "object").stderr
    assert desk.stored(OBJECT_ID.KEY_HISTORY) == value


def test_a_wrong_management_key_changes_nothing(desk: Desk) -> None:
    desk.know(bytes(23) + b"\1")
    done = desk.tool("-G", "9A:11", "-o", desk.folder / "made.pem")
    assert done.returncode
    assert "admin_mode failed -1211" in done.stderr, "security status not satisfied"
    assert SLOT.AUTHENTICATION not in desk.yubikey.piv.state.keys


def test_a_management_key_of_another_algorithm_is_refused(desk: Desk) -> None:
    desk.algorithm = {_TDES: _AES192, _AES192: _TDES}[desk.algorithm]
    done = desk.tool("-G", "9A:11", "-o", desk.folder / "made.pem")
    assert done.returncode
    assert "admin_mode failed -1205" in done.stderr, "incorrect parameters"
    assert SLOT.AUTHENTICATION not in desk.yubikey.piv.state.keys


def test_nothing_is_written_without_the_management_key(desk: Desk) -> None:
    given = desk.folder / "given.pem"
    given.write_bytes(certificate(key_pair(KEY_TYPE.ECCP256).public_key(), "9a").public_bytes(Encoding.PEM))
    done = desk.table.run("piv-tool", "-C", "9A", "-i", given)
    assert done.returncode
    assert [reply.hex() for command, reply in desk.table.log if command[1] == 0xDB] == ["9000", "6982"]
    assert desk.stored(OBJECT_ID.AUTHENTICATION) == b""


def test_algorithms_that_a_firmware_lacks_are_refused(desk: Desk) -> None:
    done = desk.tool("-G", f"9A:{KEY_TYPE.RSA3072:02X}", "-o", desk.folder / "made.pem")
    if KEY_TYPE.RSA3072 in desk.yubikey.firmware.key_types:
        assert desk.public_key(SLOT.AUTHENTICATION).key_size == 3072
    else:
        assert "gen_key failed -1205" in done.stderr, "incorrect parameters"
        assert SLOT.AUTHENTICATION not in desk.yubikey.piv.state.keys


def test_single_authentication_stops_at_a_fault_of_opensc_0_23(desk: Desk) -> None:
    # OpenSC issue 2658: it counts the length of its own answer wrong, and never sends it.
    done = desk.tool("-G", "9A:11", "-o", desk.folder / "made.pem", mode="A")
    assert "admin_mode failed -1400" in done.stderr
    command, reply = desk.table.log[-1]
    block = 8 if desk.algorithm == _TDES else 16
    assert command == bytes.fromhex(f"0087{desk.algorithm}9B047C02810000")
    assert (reply[:4], len(reply)) == (bytes((0x7C, block + 2, 0x81, block)), block + 6)
