# SPDX-License-Identifier: Apache-2.0
"""PIN, PUK and management key by yubico-piv-tool: wrong, blocked, unblocked, changed; and the reset."""

import pytest
from tests.interop.pcsc.stories import PIN, PUK
from tests.interop.pcsc.yubico_piv_tool.conftest import Tool
from yubikit.piv import SLOT

from pivgate.emulator.piv.references import Secret

pytestmark = pytest.mark.interop

NEW_KEY = "a1b2c3d4e5f60718" * 3


def tries(tool: Tool) -> tuple[int, int]:
    """Return what is left of PIN and PUK."""
    secrets = tool.yubikey.piv.state.secrets
    return secrets[Secret.PIN].left, secrets[Secret.PUK].left


def test_wrong_pins_block_the_pin_and_the_puk_frees_it(tool: Tool) -> None:
    assert "PIN tries left:\t3" in tool.good("status")
    for left in (2, 1):
        assert f"{left} tries left before pin is blocked" in tool.bad("verify-pin -P 000000")
        assert f"PIN tries left:\t{left}" in tool.good("status")
    assert "Pin code blocked" in tool.bad("verify-pin -P 000000")
    assert "Pin code blocked" in tool.bad(f"verify-pin -P {PIN}")
    assert "The pin code is blocked" in tool.bad(f"change-pin -P {PIN} -N 135790")
    assert tries(tool) == (0, 3)

    assert "Failed verifying puk code, now 2 tries left" in tool.bad("unblock-pin -P 00000000 -N 135790")
    tool.good(f"unblock-pin -P {PUK} -N 135790")
    tool.good("verify-pin -P 135790")
    assert tries(tool) == (3, 3)


def test_a_blocked_puk_leaves_only_the_reset(tool: Tool) -> None:
    tool.good("generate -s 9a -A ECCP256")
    assert "are pincodes blocked?" in tool.bad("reset")
    for _ in range(3):
        tool.bad("verify-pin -P 000000")
    assert "are pincodes blocked?" in tool.bad("reset"), "the PUK still has tries"
    for left in (2, 1, 0):
        assert f"now {left} tries left" in tool.bad("change-puk -P 00000000 -N 13579024")
    assert "The puk code is blocked" in tool.bad("change-puk -P 00000000 -N 13579024")
    assert "The puk code is blocked" in tool.bad(f"unblock-pin -P {PUK} -N 135790")
    assert tries(tool) == (0, 0)

    tool.good("reset")
    assert tries(tool) == (3, 3)
    assert SLOT.AUTHENTICATION not in tool.yubikey.piv.state.keys
    tool.good(f"verify-pin -P {PIN}")


def test_pin_and_puk_are_changed_by_who_knows_them(tool: Tool) -> None:
    tool.good(f"change-pin -P {PIN} -N 135790")
    tool.bad(f"verify-pin -P {PIN}")
    tool.good("verify-pin -P 135790")
    tool.good(f"change-puk -P {PUK} -N 86420864")
    tool.bad(f"unblock-pin -P {PUK} -N 424242")
    tool.good("unblock-pin -P 86420864 -N 424242")
    tool.good("verify-pin -P 424242")


def test_the_number_of_tries_is_set_by_pin_and_management_key(tool: Tool) -> None:
    tool.good(f"change-pin -P {PIN} -N 135790")
    assert "Failed changing pin retries." in tool.bad("pin-retries --pin-retries 5 --puk-retries 7"), "no PIN"
    tool.good("verify-pin -P 135790", "pin-retries --pin-retries 5 --puk-retries 7")
    assert tries(tool) == (5, 7)
    tool.good(f"verify-pin -P {PIN}")  # setting the tries puts the factory's PIN back
    assert "4 tries left" in tool.bad("verify-pin -P 000000")


def test_the_management_key_is_changed_and_the_old_one_refused(tool: Tool) -> None:
    tool.good(f"set-mgm-key -n {NEW_KEY}")
    assert tool.yubikey.piv.state.management.key.hex() == NEW_KEY
    assert "Failed authentication with the application." in tool.bad("generate -s 9a -A ECCP256")
    assert SLOT.AUTHENTICATION not in tool.yubikey.piv.state.keys
    done = tool.table.run(
        "yubico-piv-tool", f"--key={NEW_KEY}", "-a", "generate", "-s", "9a", "-A", "ECCP256"
    )
    assert done.returncode == 0, done
    assert SLOT.AUTHENTICATION in tool.yubikey.piv.state.keys


def test_a_management_key_that_is_easily_guessed_is_refused_by_the_tool(tool: Tool) -> None:
    before = tool.yubikey.piv.state.management
    tool.bad(f"set-mgm-key -n {'01' * 24}")
    assert tool.yubikey.piv.state.management == before


@pytest.mark.parametrize("new", ["1234", "12345"])
def test_a_new_pin_that_is_too_short_never_reaches_the_key(tool: Tool, new: str) -> None:
    tool.bad(f"change-pin -P {PIN} -N {new}")
    assert not [command for command, _ in tool.table.log if command[1] == 0x24]
    tool.good(f"verify-pin -P {PIN}")
