# SPDX-License-Identifier: Apache-2.0
"""Data objects, written and read by name and by number."""

import pytest
from tests.interop.pcsc.ykman.conftest import MANAGEMENT_KEY, PIN, Ykman

pytestmark = pytest.mark.interop

IMPORT = f"piv objects import -m {MANAGEMENT_KEY}"
GENERATE = f"piv objects generate -m {MANAGEMENT_KEY}"
PROTECTED = ("printed", "fingerprints", "facial", "iris")


def test_what_ykman_writes_by_itself(ykman: Ykman) -> None:
    for name in ("chuid", "ccc"):
        assert "No data found." in ykman.refuses(f"piv objects export {name} data")
        assert "Object generated." in ykman(f"{GENERATE} {name}")
        ykman(f"piv objects export {name} first")
        ykman(f"{GENERATE} {name}")
        ykman(f"piv objects export {name} second")
        assert ykman.read("first") != ykman.read("second"), "random in part"
        assert len(ykman.read("first")) == len(ykman.read("second")) > 40
    said = ykman("piv info")
    assert "CHUID: " + ykman.read("first").hex()[:4] not in said
    assert "No data available" not in said
    assert "Unsupported object ID" in ykman.refuses(f"{GENERATE} printed")


def test_objects_of_all_kinds(ykman: Ykman) -> None:
    ykman.write("small", b"\0")
    ykman.write("large", bytes(range(256)) * 10)
    ykman.write("nothing", b"")
    for number in ("5f0000", "5fff10", "5fffff", "security", "key-history"):
        for name in ("large", "small"):
            assert "Object imported." in ykman(f"{IMPORT} {number} {name}")
            ykman(f"piv objects export {number} exported")
            assert ykman.read("exported") == ykman.read(name)
    ykman(f"{IMPORT} 5fff10 nothing")
    assert "No data found." in ykman.refuses("piv objects export 5fff10 exported")
    ykman("piv objects export 5fffff exported")

    ykman.write("too large", bytes(3100))
    assert ykman.run(f"{IMPORT} 5fff10", "too large")[0] == 1
    assert "No data found." in ykman.refuses("piv objects export 5fff10 exported")
    assert "is the object id valid?" in ykman.refuses(f"{IMPORT} 3f0000 small")
    assert "No data found." in ykman.refuses("piv objects export 3f0000 exported")
    assert "management key failed" in ykman.refuses(f"piv objects import -m {'ab' * 24} 5fff10 small")


def test_personal_data_is_shown_only_with_the_pin(ykman: Ykman) -> None:
    for name in PROTECTED:
        ykman(f"{IMPORT} {name}", ykman.write("data", name))
        ykman(f"piv objects export -P {PIN} {name} exported")
        assert ykman.read("exported") == name.encode()
    assert "2 tries left" in ykman.refuses("piv objects export -P 654321 printed exported")
    assert ykman.read("exported") == b"", "ykman opens the file before it asks"
    status, shown = ykman.talk("piv objects export printed -", answers=[("Enter PIN: ", PIN)])
    assert (status, shown.endswith("printed")) == (0, True)


def test_what_does_not_fit_any_more_leaves_what_was_there(newest: Ykman) -> None:
    newest.write("3000", bytes(3000))
    numbers = [f"5f00{number:02x}" for number in range(20)]
    filled = [number for number in numbers if newest.run(f"{IMPORT} {number} 3000")[0] == 0]
    assert filled == numbers[: len(filled)]
    assert len(filled) == 16
    newest.write("3030", bytes(3030))
    assert "Error writing object." in newest.refuses(f"{IMPORT} 5f00ff 3030")
    newest(f"piv objects export {filled[-1]} exported")
    assert newest.read("exported") == newest.read("3000")
    newest("piv reset --force")
    newest(f"{IMPORT} 5f00ff 3030")
