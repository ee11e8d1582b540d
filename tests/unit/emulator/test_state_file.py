# SPDX-License-Identifier: Apache-2.0
"""A key in a file: what is kept, who may read it, and what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import ApduError
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, SLOT, PivSession

from pivgate.emulator import state_file
from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.state_file import StateFileError
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 15890263
Document = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    state_file.save(EmulatedYubiKey(FIRMWARE["5.7.4"], SERIAL), path)
    return path


def rewrite(path: Path, change: Callable[[Document], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def provision(yubikey: EmulatedYubiKey) -> bytes:
    """Change something in every part of a key; return the public key made in slot 9a."""
    with EmulatedDevice(yubikey).open() as connection:
        piv = PivSession(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        piv.change_pin("123456", "654321")
        generated = piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
        piv.put_object(0x5FC102, b"\x30\x01\x00")
        if yubikey.firmware.version >= (5, 0, 0):
            ManagementSession(connection).write_device_config(
                DeviceConfig({TRANSPORT.USB: CAPABILITY.PIV}, challenge_response_timeout=7),
                new_lock_code=bytes(range(16)),
            )
    return generated.public_numbers().x.to_bytes(32, "big")


@pytest.mark.parametrize("version", FIRMWARE)
def test_everything_is_kept(version: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    before = EmulatedYubiKey(FIRMWARE[version], SERIAL)
    public_x = provision(before)
    state_file.save(before, path)
    after = state_file.load(path)
    assert (after.firmware, after.serial) == (before.firmware, before.serial)
    assert after.management.state == before.management.state
    assert after.attestation.chain == before.attestation.chain
    with EmulatedDevice(after).open() as connection:
        piv = PivSession(connection)
        piv.verify_pin("654321")
        assert piv.get_object(0x5FC102) == b"\x30\x01\x00"
        statement = piv.attest_key(SLOT.AUTHENTICATION)
        statement.verify_directly_issued_by(after.attestation.certificate)
        after.attestation.certificate.verify_directly_issued_by(after.attestation.chain[0])
        public_key = statement.public_key()
        assert public_key.public_numbers().x.to_bytes(32, "big") == public_x
    other = tmp_path / "again.json"
    state_file.save(after, other)
    assert other.read_bytes() == path.read_bytes()


def test_only_the_owner_may_read_it(path: Path) -> None:
    assert path.stat().st_mode & 0o7777 == 0o600


def test_it_says_that_nothing_is_protected(path: Path) -> None:
    assert "NOT PROTECTED" in path.read_text()
    assert "PRIVATE KEY" in path.read_text(), "and indeed nothing is"


class TestKeep:
    def test_a_change_is_on_disk_before_the_reply_is_out(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        yubikey = EmulatedYubiKey(FIRMWARE["5.7.4"], SERIAL)
        state_file.keep(yubikey, path)
        yubikey.transmit(bytes.fromhex("00A4040005A000000308"))
        seen: list[int] = []

        def tries_left_on_disk(_command: bytes, _reply: bytes) -> None:
            seen.append(state_file.load(path).piv.state.secrets[yubikey_pin(yubikey)].left)

        yubikey.log = tries_left_on_disk
        for _ in range(3):
            yubikey.transmit(bytes.fromhex("0020008008") + b"00000000")
        assert seen == [2, 1, 0]

    def test_nothing_is_written_when_nothing_changed(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        yubikey = EmulatedYubiKey(FIRMWARE["5.7.4"], SERIAL)
        state_file.keep(yubikey, path)
        written = path.stat()
        yubikey.transmit(bytes.fromhex("00A4040005A000000308"))
        assert path.stat().st_ino == written.st_ino
        assert path.stat().st_mtime_ns == written.st_mtime_ns

    def test_a_failed_write_leaves_the_old_file(self, path: Path) -> None:
        yubikey = state_file.load(path)
        before = path.read_bytes()
        directory = path.parent / "sub"
        directory.mkdir()
        target = directory / "key.json"
        target.mkdir()
        with pytest.raises(OSError, match="Is a directory"):
            state_file.save(yubikey, target)
        assert [entry.name for entry in directory.iterdir()] == ["key.json"], "no litter"
        assert path.read_bytes() == before


def yubikey_pin(yubikey: EmulatedYubiKey) -> Any:
    return next(secret for secret in yubikey.piv.state.secrets if secret.name == "PIN")


class TestRefused:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o644, 0o400, 0o4600])
    def test_other_modes(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        with pytest.raises(StateFileError, match=f"has mode {mode:04o}"):
            state_file.load(path)

    def test_links(self, path: Path) -> None:
        link = path.parent / "link.json"
        link.symlink_to(path)
        with pytest.raises(OSError, match="symbolic link"):
            state_file.load(link)

    def test_directories(self, tmp_path: Path) -> None:
        with pytest.raises(IsADirectoryError):
            state_file.load(tmp_path)

    def test_pipes(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(StateFileError, match="is not a file"):
            state_file.load(tmp_path / "pipe")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            state_file.load(tmp_path / "none.json")

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\xff\xfe", id="not text"),
            pytest.param(b"{", id="not JSON"),
            pytest.param(b"[]", id="not an object"),
            pytest.param(b"{}", id="another format"),
        ],
    )
    def test_other_files(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(StateFileError, match="is not an emulated key"):
            state_file.load(path)

    def test_too_large(self, path: Path) -> None:
        path.write_bytes(path.read_bytes().ljust(state_file.LARGEST))
        assert state_file.load(path).serial == SERIAL
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(StateFileError, match="is not an emulated key"):
            state_file.load(path)

    def test_deeply_nested_json(self, path: Path) -> None:
        path.write_bytes(b"[" * 200_000)
        with pytest.raises(StateFileError):
            state_file.load(path)

    def test_later_versions(self, path: Path) -> None:
        rewrite(path, lambda document: document.update(version=2))
        with pytest.raises(StateFileError, match="has version 2, known is 1"):
            state_file.load(path)

    @pytest.mark.parametrize("warning", ["These keys are protected.", "", None])
    def test_files_that_hide_the_warning(self, path: Path, warning: str | None) -> None:
        rewrite(path, lambda document: document.update(warning=warning))
        with pytest.raises(StateFileError, match="no longer carries the warning"):
            state_file.load(path)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda d: d.pop("serial"), id="no serial number"),
            pytest.param(lambda d: d.update(serial=0), id="serial number zero"),
            pytest.param(lambda d: d.update(serial=1 << 32), id="serial number of five bytes"),
            pytest.param(lambda d: d.update(serial=True), id="serial number that is no number"),
            pytest.param(lambda d: d.update(firmware="9.9.9"), id="unknown firmware"),
            pytest.param(lambda d: d.update(firmware=[]), id="firmware that is no text"),
            pytest.param(lambda d: d.update(management=None), id="no management"),
            pytest.param(lambda d: d["management"].update(lock_code="00"), id="short lock code"),
            pytest.param(lambda d: d["management"].update(lock_code="zz"), id="lock code not hexadecimal"),
            pytest.param(lambda d: d["management"].update(mode=256), id="mode out of range"),
            pytest.param(lambda d: d["management"].update(nfc_restricted=1), id="flag that is a number"),
            pytest.param(lambda d: d["attestation"].update(key="x"), id="damaged attestation key"),
            pytest.param(lambda d: d["attestation"].update(chain=["x"]), id="damaged chain"),
            pytest.param(lambda d: d["attestation"].update(chain=[]), id="no chain"),
            pytest.param(lambda d: d["attestation"].update(key=_ed25519()), id="other attestation key"),
            pytest.param(lambda d: d.pop("piv"), id="no PIV state"),
            pytest.param(lambda d: d.update(piv={}), id="empty PIV state"),
            pytest.param(lambda d: d.update(piv=None), id="PIV state that is none"),
        ],
    )
    def test_damaged(self, path: Path, change: Callable[[Document], object]) -> None:
        rewrite(path, change)
        with pytest.raises(StateFileError, match="is damaged"):
            state_file.load(path)


def _ed25519() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_loaded_key_has_the_hands_and_clock_it_is_given(path: Path) -> None:
    touches: list[str] = []

    def touch() -> bool:
        touches.append("touch")
        return False

    yubikey = state_file.load(path, touch=touch, clock=lambda: 0.0)
    with EmulatedDevice(yubikey).open() as connection:
        piv = PivSession(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        piv.set_management_key(piv.management_key_type, DEFAULT_MANAGEMENT_KEY, require_touch=True)
        with pytest.raises(ApduError):
            PivSession(connection).authenticate(DEFAULT_MANAGEMENT_KEY)
    assert touches == ["touch"]
