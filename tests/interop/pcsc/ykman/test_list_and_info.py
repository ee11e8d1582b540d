# SPDX-License-Identifier: Apache-2.0
"""What ykman finds, and what it says of it."""

import pytest
from tests.interop.pcsc.ykman.conftest import SERIAL, Plug, Ykman

pytestmark = pytest.mark.interop

NAMES = {
    "4.3.7": "YubiKey 4 (4.3.7)",
    "5.2.7": "YubiKey 5 NFC (5.2.7)",
    "5.4.3": "YubiKey 5C Nano (5.4.3)",
    "5.7.4": "YubiKey 5C NFC (5.7.4)",
}
READERS = {
    "4.3.7": "Yubico Yubikey 4 OTP+U2F+CCID 00 00",
    "5.2.7": "Yubico YubiKey OTP+FIDO+CCID 00 00",
    "5.4.3": "Yubico YubiKey OTP+FIDO+CCID 00 00",
    "5.7.4": "Yubico YubiKey OTP+FIDO+CCID 00 00",
}
HAVE_NFC = {"5.2.7", "5.7.4"}
HAVE_FIDO2 = {"5.2.7", "5.4.3", "5.7.4"}
HAVE_HSMAUTH = {"5.4.3", "5.7.4"}


def rows(said: str) -> dict[str, str]:
    """Split lines at their colon or tabulators."""
    parts = [line.replace("\t", ":").split(":", 1) for line in said.splitlines()]
    return {part[0].strip(): part[1].strip() for part in parts if len(part) == 2}


def test_a_key_is_found_and_described(ykman: Ykman) -> None:
    version = ykman.key.firmware.name
    assert ykman("list") == f"{NAMES[version]} [OTP+FIDO+CCID] Serial: {SERIAL}\n"
    assert ykman("list --serials") == f"{SERIAL}\n"
    assert ykman.talk("list", answers=[]) == (0, f"{ykman('list').strip()}\r\n"), "started as anybody does"
    assert ykman("list --readers") == f"{READERS[version]}\n"

    said = ykman("info")
    facts = rows(said)
    assert facts["Serial number"] == str(SERIAL)
    assert facts["Firmware version"] == version
    assert facts["Enabled USB interfaces"] == "OTP, FIDO, CCID"
    assert ("NFC transport is enabled" in said) == (version in HAVE_NFC)
    assert facts["PIV"].startswith("Enabled")
    assert facts["FIDO2"].startswith("Enabled") == (version in HAVE_FIDO2)
    assert facts["YubiHSM Auth"].startswith("Enabled") == (version in HAVE_HSMAUTH)
    assert f"Serial number: {SERIAL}" in ykman("info --device", str(SERIAL))
    assert f"Serial number: {SERIAL}" in ykman("--reader", READERS[version], "info")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("4.3.7", {"PIN tries remaining": "3", "Management key algorithm": "TDES"}),
        ("5.2.7", {"PIN tries remaining": "3", "Management key algorithm": "TDES"}),
        ("5.4.3", {"PIN tries remaining": "3/3", "Management key algorithm": "TDES"}),
        ("5.7.4", {"PIN tries remaining": "3/3", "Management key algorithm": "AES192"}),
    ],
)
def test_a_new_key_has_nothing_but_what_the_factory_gave(
    plug: Plug, version: str, expected: dict[str, str]
) -> None:
    said = plug(version)("piv info")
    facts = rows(said)
    assert expected.items() <= facts.items()
    assert facts["PIV version"] == version
    assert facts["CHUID"] == facts["CCC"] == "No data available"
    for secret in ("PIN", "PUK", "Management key"):
        assert (f"WARNING: Using default {secret}!" in said) == (version in {"5.4.3", "5.7.4"})
    assert "Slot" not in said


def test_two_keys_must_be_told_apart(plug: Plug) -> None:
    ykman = plug("5.4.3", "5.7.4")
    assert sorted(ykman("list --serials").split()) == [str(SERIAL), str(SERIAL + 1)]

    said = ykman.refuses("piv info")
    assert "Multiple YubiKeys detected" in said
    assert f"{NAMES['5.4.3']} [OTP+FIDO+CCID] Serial: {SERIAL}" in said
    assert f"{NAMES['5.7.4']} [OTP+FIDO+CCID] Serial: {SERIAL + 1}" in said
    assert "Use --device SERIAL" in said

    ykman(f"--device {SERIAL + 1} piv access change-pin -P 123456 -n 654321")
    assert "Using default PIN" in ykman(f"--device {SERIAL} piv info")
    assert "Using default PIN" not in ykman(f"--device {SERIAL + 1} piv info")
    assert "5.7.4" in ykman("--reader", "Yubico YubiKey OTP+FIDO+CCID 01", "piv", "info")
    assert "Failed connecting to a YubiKey with serial: 7" in ykman.refuses("--device 7 info")


def test_keys_of_two_generations_lie_side_by_side(plug: Plug) -> None:
    ykman = plug("4.3.7", "5.7.4")
    assert sorted(ykman("list --serials").split()) == [str(SERIAL), str(SERIAL + 1)]
    assert "Firmware version: 4.3.7" in ykman(f"--device {SERIAL} info")
    assert "PIV version:              5.7.4" in ykman(f"--device {SERIAL + 1} piv info")


def test_what_is_not_emulated_is_not_there(newest: Ykman) -> None:
    for group in ("oath", "openpgp", "hsmauth"):
        assert "not available on this YubiKey" in newest.refuses(f"{group} info")
