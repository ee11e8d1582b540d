# SPDX-License-Identifier: Apache-2.0
"""Applications switched on and off, the lock on that, USB modes: and a key that restarts comes back."""

import pytest
from tests.card_table import PATIENCE
from tests.interop.pcsc.ykman.conftest import SERIAL, Plug, Ykman

pytestmark = pytest.mark.interop

USB = "config usb --force"
NFC = "config nfc --force"
SET_LOCK = "config set-lock-code --force"
CODE, OTHER_CODE = "0123456789abcdef" * 2, "fedcba9876543210" * 2
FIRMWARE_5 = ("5.2.7", "5.4.3", "5.7.4")
over_5 = pytest.mark.parametrize("version", FIRMWARE_5)


def enabled(ykman: Ykman, transport: str = "usb") -> set[str]:
    """Return the applications that are on."""
    return set(ykman(f"config {transport} --list").splitlines())


def after_restart(ykman: Ykman, insertion: int) -> None:
    """Wait until the key, which was told to restart, has gone and is back."""
    assert ykman.key.insertions == insertion + 1
    ykman.table.readers[0].await_power(PATIENCE)


@over_5
def test_piv_is_off_and_on_again(plug: Plug, version: str) -> None:
    ykman = plug(version)
    everything = enabled(ykman)
    assert "PIV" in everything
    assert "application configuration updated" in ykman(f"{USB} --disable PIV")
    assert enabled(ykman) == everything - {"PIV"}
    assert "not enabled or not available" in ykman.refuses("piv info")
    said = ykman("apdu A40400:A000000308=6A82")
    assert "SW=6A82" in said
    assert f"Serial number: {SERIAL}" in ykman("info")

    ykman(f"{USB} --enable PIV")
    assert enabled(ykman) == everything
    ykman("piv info")
    assert ykman.key.insertions == 1, "nothing about the USB interfaces has changed: no restart"


@over_5
def test_a_key_whose_interfaces_change_restarts(plug: Plug, version: str) -> None:
    ykman = plug(version)
    everything = enabled(ykman)
    insertion = ykman.key.insertions
    assert "The YubiKey will reboot" in ykman(f"{USB} --disable OTP")
    after_restart(ykman, insertion)
    assert enabled(ykman) == everything - {"Yubico OTP"}
    ykman("piv info")

    insertion = ykman.key.insertions
    assert "The YubiKey will reboot" in ykman(f"{USB} --enable-all")
    after_restart(ykman, insertion)
    assert enabled(ykman) == everything
    ykman("piv info")


def test_a_key_that_restarts_does_not_disturb_another(plug: Plug) -> None:
    ykman = plug("5.4.3", "5.7.4")
    insertion = ykman.key.insertions
    ykman(f"--device {SERIAL} {USB} --disable OTP")
    assert f"{SERIAL + 1}" in ykman("--reader", "CCID 01 00", "info"), "while the first is away"
    after_restart(ykman, insertion)
    assert "Yubico OTP" not in ykman(f"--device {SERIAL} config usb --list")
    assert "Yubico OTP" in ykman(f"--device {SERIAL + 1} config usb --list")
    assert ykman.table.readers[1].yubikey.insertions == 1


def test_a_key_without_its_smart_card_side_leaves_no_card(ykman: Ykman) -> None:
    reader = ykman.table.readers[0]
    assert "remove and re-insert" in ykman("config mode OTP+FIDO --force")
    assert reader.occupied, "until then it stays"
    reader.remove()
    reader.insert()
    ykman.table.await_cards(0)


@over_5
def test_the_configuration_can_be_locked(plug: Plug, version: str) -> None:
    ykman = plug(version)
    assert "not locked" in ykman.refuses(f"{USB} --disable OATH --lock-code {CODE}")
    assert "Lock code updated." in ykman(f"{SET_LOCK} --new-lock-code {CODE}")
    assert "Configured capabilities are protected by a lock code" in ykman("info")

    assert "Configuration is locked" in ykman.refuses(f"{USB} --disable OATH")
    assert "Failed to configure USB" in ykman.refuses(f"{USB} --disable OATH -L {OTHER_CODE}")
    assert "Wrong current code?" in ykman.refuses(f"{SET_LOCK} -l {OTHER_CODE} -n {OTHER_CODE}")
    assert "OATH" in enabled(ykman)
    ykman(f"{USB} --disable OATH -L {CODE}")
    assert "OATH" not in enabled(ykman)

    ykman.table.readers[0].remove()
    ykman.table.readers[0].insert()
    ykman.table.readers[0].await_power(PATIENCE)
    assert "Failed to configure USB" in ykman.refuses(f"{USB} --enable OATH -L {'00' * 16}")
    ykman(f"{SET_LOCK} -l {CODE} -n {OTHER_CODE}")
    ykman(f"{SET_LOCK} -l {OTHER_CODE} --clear")
    assert "lock code" not in ykman("info")
    ykman(f"{USB} --enable OATH")
    assert "OATH" in enabled(ykman)


@pytest.mark.parametrize("version", ["5.2.7", "5.7.4"])
def test_nfc_is_configured_by_itself(plug: Plug, version: str) -> None:
    ykman = plug(version)
    ykman(f"{NFC} --disable PIV")
    assert "PIV" not in enabled(ykman, "nfc")
    assert "PIV" in enabled(ykman)
    ykman("piv info")
    ykman(f"{NFC} --disable-all")
    assert enabled(ykman, "nfc") == set()
    ykman(f"{NFC} --enable-all")
    assert "PIV" in enabled(ykman, "nfc")
    if version == "5.7.4":
        assert "NFC disabled" in ykman(f"{NFC} --restrict")
        assert "NFC transport is disabled" in ykman("info") or "restricted" in ykman("info")
    else:
        assert "requires YubiKey 5.7 or later" in ykman.refuses(f"{NFC} --restrict")


def test_what_a_key_cannot_be_configured_to(plug: Plug) -> None:
    ykman = plug("5.4.3")
    assert "does not support NFC" in ykman.refuses(f"{NFC} --disable PIV")
    everything = " ".join(
        f"-d {name}" for name in ("OTP", "U2F", "FIDO2", "OATH", "PIV", "OPENPGP", "HSMAUTH")
    )
    assert "Can not disable all applications" in ykman.refuses(f"{USB} {everything}")
    assert "Full device reset is not supported" in ykman.refuses("config reset --force")
    status, shown = ykman.talk("config usb --disable PIV", answers=[("Proceed? [y/N]: ", "n")])
    assert (status, "Aborted!" in shown) == (1, True)
    ykman("piv info")


def test_firmware_4_knows_only_modes(plug: Plug) -> None:
    ykman = plug("4.3.7")
    for line in (f"{USB} --disable PIV", f"{SET_LOCK} --new-lock-code {CODE}"):
        assert "not supported on this YubiKey" in ykman.refuses(line)
    assert "NFC" in ykman.refuses(f"{NFC} --disable PIV")
    assert "Mode is already OTP+FIDO+CCID" in ykman("config mode OTP+FIDO+CCID")
