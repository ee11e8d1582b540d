# SPDX-License-Identifier: Apache-2.0
"""PIN and PUK by OpenSC's tools: wrong, blocked, changed, unblocked; counted as the standard says."""

from collections.abc import Iterator

import pytest
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.stories import FIRMWARES, PIN, PUK, holder
from yubikit.piv import KEY_TYPE, SLOT

pytestmark = pytest.mark.interop


@pytest.fixture(params=FIRMWARES)
def table(request: pytest.FixtureRequest) -> Iterator[CardTable]:
    alice = holder(request.param, {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256})
    with card_table(alice.yubikey) as laid:
        yield laid


def verify(table: CardTable, pin: str) -> tuple[int, str]:
    done = table.run("pkcs15-tool", "--verify-pin", "--pin", pin)
    return done.returncode, done.stderr.splitlines()[-1]


def flags(table: CardTable) -> str:
    """Return what PKCS#11 tells a program about the PIN before it asks for one."""
    listed = table.run("pkcs11-tool", "--list-slots").stdout
    return next(line for line in listed.splitlines() if "token flags" in line)


WRONG = (255, "Operation failed: PIN code or key incorrect")
BLOCKED = (255, "Operation failed: Authentication method blocked")


def test_wrong_pins_block_the_pin_and_the_puk_frees_it(table: CardTable) -> None:
    assert verify(table, PIN)[0] == 0
    assert verify(table, "000000") == WRONG
    assert verify(table, PIN)[0] == 0, "a right PIN gives all tries back"

    assert "try" not in flags(table)
    assert verify(table, "000000") == WRONG
    assert verify(table, "000000") == WRONG
    assert "final user PIN try" in flags(table)
    assert verify(table, "000000") == WRONG
    assert "user PIN locked" in flags(table)
    assert verify(table, "000000") == BLOCKED
    assert verify(table, PIN) == BLOCKED, "the right PIN comes too late"

    done = table.run("pkcs15-tool", "--unblock-pin", "--puk", "00000000", "--new-pin", "135790")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (3, "PUK code incorrect; tries left: 2")
    done = table.run("pkcs15-tool", "--unblock-pin", "--puk", PUK, "--new-pin", "135790")
    assert done.returncode == 0, done
    assert verify(table, "135790")[0] == 0
    assert verify(table, PIN) == WRONG
    assert "locked" not in flags(table)


def test_a_blocked_puk_frees_nothing(table: CardTable) -> None:
    for left in (2, 1, 0):
        done = table.run("pkcs15-tool", "--unblock-pin", "--puk", "00000000", "--new-pin", "135790")
        assert done.returncode == 3, done
        assert f"PUK code incorrect; tries left: {left}" in done.stderr
    done = table.run("pkcs15-tool", "--unblock-pin", "--puk", PUK, "--new-pin", "135790")
    assert done.returncode == 2
    assert "PIN unblocking failed: Authentication method blocked" in done.stderr
    assert verify(table, PIN)[0] == 0, "the PIN itself was never wrong"


def test_pin_and_puk_are_changed_by_who_knows_them(table: CardTable) -> None:
    change = ("pkcs15-tool", "--change-pin")
    assert table.run(*change, "--pin", "000000", "--new-pin", "135790").returncode == 3
    assert table.run(*change, "--pin", PIN, "--new-pin", "135790").returncode == 0
    assert verify(table, PIN) == WRONG
    assert verify(table, "135790")[0] == 0

    assert table.run(*change, "--auth-id", "02", "--pin", PUK, "--new-pin", "86420864").returncode == 0
    unblock = ("pkcs15-tool", "--unblock-pin", "--new-pin", "424242")
    assert table.run(*unblock, "--puk", PUK).returncode == 3
    assert table.run(*unblock, "--puk", "86420864").returncode == 0
    assert verify(table, "424242")[0] == 0


def test_a_pin_shorter_than_six_is_refused_by_the_key(table: CardTable) -> None:
    # OpenSC looks at the length itself when a PIN is changed, but not when it is set by the PUK.
    # Yubico, "The PIV PIN, PUK, and management key": 6 to 8 bytes.
    done = table.run("pkcs15-tool", "--unblock-pin", "--puk", PUK, "--new-pin", "12345")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "PIN unblocking failed: Not allowed")
    assert [reply.hex() for command, reply in table.log if command[1] == 0x2C] == ["6985"]
    assert verify(table, PIN)[0] == 0


def test_pkcs11_logs_in_changes_and_says_what_is_wrong(table: CardTable) -> None:
    def tool(*arguments: str) -> tuple[int, str]:
        done = table.run("pkcs11-tool", "--login", *arguments)
        return done.returncode, done.stderr

    assert tool("--pin", PIN, "--change-pin", "--new-pin", "135790")[0] == 0
    status, words = tool("--pin", PIN, "--list-objects")
    assert status == 1
    assert "CKR_PIN_INCORRECT" in words
    assert tool("--pin", "135790", "--list-objects")[0] == 0
    for _ in range(3):
        status, words = tool("--pin", PIN, "--list-objects")
        assert "CKR_PIN_INCORRECT" in words
    status, words = tool("--pin", "135790", "--list-objects")
    assert status == 1
    assert "CKR_PIN_LOCKED" in words


def test_the_puk_is_no_officer_of_pkcs11(table: CardTable) -> None:
    # SP 800-73-4 part 2 section 3.2.1: VERIFY knows the PIN, not the PUK.
    done = table.run(
        *("pkcs11-tool", "--login", "--login-type", "so", "--so-pin", PUK, "--init-pin", "--pin", "135790")
    )
    assert done.returncode == 1
    assert next(reply.hex() for command, reply in table.log if command[:4] == b"\0\x20\0\x81") == "6a88"
    assert verify(table, PIN)[0] == 0
