# SPDX-License-Identifier: Apache-2.0
"""The management key: every type, made up, kept on the key, guarded by a touch."""

import re

import pytest
from tests.interop.pcsc.ykman.conftest import MANAGEMENT_KEY, PIN, SERIAL, Plug, Ykman

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

pytestmark = pytest.mark.interop

CHANGE = "piv access change-management-key --force"
LENGTHS = {"TDES": 24, "AES128": 16, "AES192": 24, "AES256": 32}
TYPES = {
    "4.3.7": ("TDES",),
    "5.2.7": ("TDES",),
    "5.4.3": ("AES128", "AES192", "AES256", "TDES"),
    "5.7.4": ("AES128", "AES256", "TDES", "AES192"),
}
WRONG = "ab" * 24


def accepts(ykman: Ykman, key: str) -> bool:
    """Ask the key for something that only the holder of its management key gets."""
    status, said = ykman.run(f"piv objects generate chuid -m {key}")
    assert status == 0 or "Authentication with management key failed." in said
    return status == 0


@pytest.mark.parametrize("version", TYPES)
def test_every_type_can_be_set(plug: Plug, version: str) -> None:
    ykman = plug(version)
    assert "management key failed" in ykman.refuses(f"{CHANGE} -m {WRONG} -g")
    present = MANAGEMENT_KEY
    for name in TYPES[version]:
        said = ykman(f"{CHANGE} -a {name} -m {present} -g")
        former, present = present, re.findall(r"Generated management key: (\w+)", said)[0]
        assert len(bytes.fromhex(present)) == LENGTHS[name]
        assert f"Management key algorithm: {name}" in ykman("piv info")
        assert "default Management key" not in ykman("piv info")
        assert accepts(ykman, present)
        assert not accepts(ykman, former)
    for name in LENGTHS.keys() - set(TYPES[version]):
        assert ykman.run(f"{CHANGE} -a {name} -m {present} -g")[0] == 1
    assert accepts(ykman, present)

    ykman(f"{CHANGE} -a {TYPES[version][-1]} -m {present} -n {MANAGEMENT_KEY}")
    assert accepts(ykman, MANAGEMENT_KEY)
    assert "wrong length" in ykman.refuses(f"{CHANGE} -m {MANAGEMENT_KEY} -n {'ab' * 16}")
    assert ykman.run(f"{CHANGE} -m {MANAGEMENT_KEY} -n {'ab' * 17}")[0] == 2


def test_a_key_kept_on_the_card_asks_for_the_pin_instead(ykman: Ykman) -> None:
    assert "2 tries left" in ykman.refuses(f"{CHANGE} --protect -m {MANAGEMENT_KEY} -P 654321")
    assert accepts(ykman, MANAGEMENT_KEY), "a wrong PIN changes nothing"
    ykman(f"{CHANGE} --protect -m {MANAGEMENT_KEY} -P {PIN}")
    said = ykman("piv info")
    assert "Management key is stored on the YubiKey, protected by PIN" in said
    assert not accepts(ykman, MANAGEMENT_KEY)
    assert "PIN verification failed, 2 tries left." in ykman.refuses("piv objects generate ccc -P 654321")
    ykman(f"piv objects generate ccc -P {PIN}")
    # The key lies in an object that is shown to nobody without the PIN.
    assert "2 tries left" in ykman.refuses("piv objects export printed kept -P 654321")
    ykman(f"piv objects export printed kept -P {PIN}")
    kept = ykman.read("kept")[-24:].hex()
    assert accepts(ykman, kept)
    assert "protected by PIN" in ykman.refuses(
        f"piv objects import printed -P {PIN}", ykman.write("card", "a card")
    )

    ykman(f"piv access change-pin -P {PIN} -n 654321")
    ykman(f"{CHANGE} -P 654321 -n {MANAGEMENT_KEY}")
    assert "protected by PIN" not in ykman("piv info")
    assert accepts(ykman, MANAGEMENT_KEY)
    assert "No data found" in ykman.refuses("piv objects export printed kept -P 654321")


@pytest.mark.parametrize("version", TYPES)
def test_a_touch_can_be_demanded(plug: Plug, version: str) -> None:
    touched = []
    willing = True

    def touch() -> bool:
        touched.append(True)
        return willing

    ykman = plug(EmulatedYubiKey(FIRMWARE[version], SERIAL, touch=touch))
    ykman(f"{CHANGE} --touch -m {MANAGEMENT_KEY} -n {WRONG}")
    assert touched == [], "not for setting it"
    assert accepts(ykman, WRONG)
    assert touched == [True]
    willing = False
    assert not accepts(ykman, WRONG)
    willing = True
    ykman(f"{CHANGE} -m {WRONG} -n {MANAGEMENT_KEY}")
    touched.clear()
    assert accepts(ykman, MANAGEMENT_KEY)
    assert touched == []
