# SPDX-License-Identifier: Apache-2.0
"""PIN, PUK and their tries, as ykman sees them spent and given back."""

import pytest
from tests.interop.pcsc.ykman.conftest import (
    MANAGEMENT_KEY,
    PIN,
    PUK,
    WITH_METADATA,
    Plug,
    Ykman,
)

pytestmark = pytest.mark.interop

CHANGE_PIN = "piv access change-pin"
CHANGE_PUK = "piv access change-puk"
UNBLOCK = "piv access unblock-pin"
SET_RETRIES = f"piv access set-retries -f -m {MANAGEMENT_KEY}"
RESET_ONLY = "piv reset --force"


def tries(ykman: Ykman, secret: str = "PIN") -> str:
    """Return what ``piv info`` says of the tries left."""
    prefix = f"{secret} tries remaining:"
    return next(line[len(prefix) :].strip() for line in ykman("piv info").splitlines() if prefix in line)


def left(ykman: Ykman, number: int, total: int = 3) -> str:
    """Return what this firmware says when so many tries are left."""
    return f"{number}/{total}" if ykman.key.firmware.name in WITH_METADATA else str(number)


def test_pin_counts_down_blocks_and_is_unblocked(ykman: Ykman) -> None:
    assert "New PIN set." in ykman(f"{CHANGE_PIN} -P {PIN} -n 654321")
    assert "PIN change failed - 2 tries left." in ykman.refuses(f"{CHANGE_PIN} -P {PIN} -n 111111")
    assert "New PIN set." in ykman(f"{CHANGE_PIN} -P 654321 -n Aa1!-xyz")
    assert tries(ykman) == left(ykman, 3), "a right one gives the tries back"

    for said in ("2 tries left", "1 tries left", "PIN is blocked"):
        assert said in ykman.refuses(f"{CHANGE_PIN} -P 654321 -n 111111")
    assert "PIN is blocked." in ykman.refuses(f"{CHANGE_PIN} -P Aa1!-xyz -n 111111"), "the right one too"
    assert tries(ykman) == left(ykman, 0)

    assert "PIN unblock failed - 2 tries left." in ykman.refuses(f"{UNBLOCK} -p 87654321 -n 222222")
    assert tries(ykman) == left(ykman, 0)
    assert "New PIN set." in ykman(f"{UNBLOCK} -p {PUK} -n 222222")
    assert tries(ykman) == left(ykman, 3)
    assert "New PIN set." in ykman(f"{CHANGE_PIN} -P 222222 -n {PIN}")


def test_only_a_reset_helps_when_the_puk_is_blocked_too(ykman: Ykman) -> None:
    assert "New PUK set." in ykman(f"{CHANGE_PUK} -p {PUK} -n 87654321")
    for said in ("PUK change failed - 2 tries left.", "PUK change failed - 1 tries left.", "PUK is blocked."):
        assert said in ykman.refuses(f"{CHANGE_PUK} -p {PUK} -n 11111111")
    assert "PUK is blocked." in ykman.refuses(f"{CHANGE_PUK} -p 87654321 -n 11111111"), "the right one too"
    assert "New PIN set." in ykman(f"{CHANGE_PIN} -P {PIN} -n 654321"), "the PIN does not need the PUK"

    for _ in range(3):
        ykman.refuses(f"{CHANGE_PIN} -P {PIN} -n 111111")
    assert "PUK is blocked." in ykman.refuses(f"{UNBLOCK} -p 87654321 -n {PIN}")
    assert "PIN is blocked." in ykman.refuses(
        f"piv certificates request 9a {public_key(ykman)} r.pem -s x -P {PIN}"
    )

    said = ykman(RESET_ONLY)
    assert "Reset complete" in said
    assert tries(ykman) == left(ykman, 3)
    ykman(f"{CHANGE_PIN} -P {PIN} -n 654321")
    ykman(f"{UNBLOCK} -p {PUK} -n {PIN}")


def public_key(ykman: Ykman) -> str:
    """Make a key in slot 9a; whoever knows the management key may, whatever is blocked."""
    ykman(f"piv keys generate -a ECCP256 -m {MANAGEMENT_KEY} 9a key.pem")
    return "key.pem"


def test_reset_takes_keys_and_objects_and_leaves_attestation(ykman: Ykman) -> None:
    ykman("piv certificates export f9 before.pem")
    public_key(ykman)
    ykman(f"piv objects generate -m {MANAGEMENT_KEY} chuid")
    ykman(f"piv access change-management-key -f -m {MANAGEMENT_KEY} -n {'ab' * 24}")
    ykman(f"{CHANGE_PIN} -P {PIN} -n 654321")

    ykman(RESET_ONLY)
    assert "No data found" in ykman.refuses("piv objects export chuid x")
    assert "Attestation failed" in ykman.refuses("piv keys attest 9a x")
    ykman("piv certificates export f9 after.pem")
    assert ykman.read("after.pem") == ykman.read("before.pem")
    public_key(ykman)
    ykman("piv keys attest 9a statement.pem")
    ykman(f"{CHANGE_PIN} -P {PIN} -n 654321")


def test_whoever_knows_the_pin_gets_a_blocked_puk_back(ykman: Ykman) -> None:
    """SET PIN RETRIES returns both to the factory's (yubikey-manager's issue 199): it wants PIN and key."""
    for _ in range(3):
        ykman.refuses(f"{CHANGE_PUK} -p 00000000 -n 11111111")
    assert "management key failed" in ykman.refuses(f"piv access set-retries -f -P {PIN} -m {'ab' * 24} 3 3")
    assert "PUK is blocked." in ykman.refuses(f"{UNBLOCK} -p {PUK} -n 654321")
    # No try at all is no number of tries (yubikey-manager's issue 390), though ykman lets it through.
    assert "Setting PIN retries failed." in ykman.refuses(f"{SET_RETRIES} -P {PIN} 3 0")
    assert "PUK is blocked." in ykman.refuses(f"{UNBLOCK} -p {PUK} -n 654321")
    ykman(f"{SET_RETRIES} -P {PIN} 3 3")
    assert "New PIN set." in ykman(f"{UNBLOCK} -p {PUK} -n 654321")


def test_numbers_of_tries_can_be_set(ykman: Ykman) -> None:
    ykman(f"{CHANGE_PIN} -P {PIN} -n 654321")
    ykman(f"{CHANGE_PUK} -p {PUK} -n 87654321")
    assert "management key failed" in ykman.refuses(f"piv access set-retries -f -P 654321 5 7 -m {'00' * 24}")
    assert "PIN verification failed, 2 tries left." in ykman.refuses(f"{SET_RETRIES} -P {PIN} 5 7")
    assert "Number of PIN/PUK retries set." in ykman(f"{SET_RETRIES} -P 654321 5 7")
    assert tries(ykman) == left(ykman, 5, 5)
    if ykman.key.firmware.name in WITH_METADATA:
        assert tries(ykman, "PUK") == "7/7"

    assert "PUK change failed - 6 tries left." in ykman.refuses(f"{CHANGE_PUK} -p 87654321 -n {PUK}")
    assert "New PUK set." in ykman(f"{CHANGE_PUK} -p {PUK} -n 87654321"), "both went back to the factory's"
    ykman(f"{SET_RETRIES} -P {PIN} 255 1")
    assert tries(ykman) == ("255/255" if ykman.key.firmware.name in WITH_METADATA else "15 or more")
    assert "PIN change failed - 15 or more tries left." in ykman.refuses(f"{CHANGE_PIN} -P 654321 -n 111111")
    assert "PUK is blocked." in ykman.refuses(f"{UNBLOCK} -p 87654321 -n 111111")
    ykman(RESET_ONLY)
    assert tries(ykman) == left(ykman, 3)


@pytest.mark.parametrize(
    ("version", "accepted"), [("4.3.7", True), ("5.2.7", True), ("5.4.3", True), ("5.7.4", False)]
)
def test_a_pin_is_text_since_firmware_5_7(plug: Plug, version: str, *, accepted: bool) -> None:
    ykman = plug(version)
    change = f"{CHANGE_PIN} -P {PIN} -n 12345é"
    if accepted:
        assert "New PIN set." in ykman(change)
    else:
        assert "does not meet complexity requirement" in ykman.refuses(change)
        ykman(f"{CHANGE_PIN} -P {PIN} -n 654321")


def test_secrets_are_asked_for_at_a_terminal(newest: Ykman) -> None:
    status, shown = newest.talk(
        CHANGE_PIN,
        answers=[
            ("Enter the current PIN: ", PIN),
            ("Enter the new PIN: ", "654321"),
            ("Repeat for confirmation: ", "654321"),
        ],
    )
    assert (status, "New PIN set." in shown, "654321" in shown) == (0, True, False)

    status, shown = newest.talk(
        UNBLOCK, answers=[("Enter PUK: ", "00000000"), ("new PIN: ", PIN), ("confirmation: ", PIN)]
    )
    assert (status, "PIN unblock failed - 2 tries left." in shown) == (1, True)

    newest("piv objects generate ccc -m", MANAGEMENT_KEY)
    status, shown = newest.talk("piv reset", answers=[("Proceed? [y/N]: ", "n")])
    assert (status, "Aborted!" in shown) == (1, True)
    newest("piv objects export ccc kept")
    status, shown = newest.talk("piv reset", answers=[("Proceed? [y/N]: ", "y")])
    assert (status, "Reset complete" in shown) == (0, True)
    assert "No data found" in newest.refuses("piv objects export ccc gone")
