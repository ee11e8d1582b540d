# SPDX-License-Identifier: Apache-2.0
"""Wrong, missing and blocked secrets: the tries are counted aloud, and the way out is named."""

import pytest

from tests.cli.conftest import ALICE, PUK, Machine, refused


def test_a_wrong_passphrase(founded: Machine) -> None:
    founded.plug_in(ALICE)
    founded.secret("passphrase", "wrong")
    refused(founded.provision("alice"), 4, "passphrase")
    assert not list(founded.home.access.glob("*/*"))


def test_an_empty_passphrase_needs_to_be_asked_for(machine: Machine) -> None:
    refused(machine.run("init", "--passphrase-file", machine.secret("empty", "")), 2, "--no-passphrase")
    assert not machine.home.root.exists()


def test_no_passphrase_and_nobody_to_ask(machine: Machine) -> None:
    refused(machine.run("init"), 4, "--passphrase-file")


@pytest.fixture
def uncertified(provisioned: Machine) -> Machine:
    """Alice's key has its PIN, and its certificate was revoked: provisioning it again asks for the PIN."""
    provisioned.good("key", "revoke", "alice", "--yes")
    return provisioned


def test_a_wrong_pin_is_counted_and_said(uncertified: Machine) -> None:
    uncertified.secret("pin", "000000")
    refused(uncertified.provision("alice", "--replace"), 4, "Wrong PIN; 2 tries are left")


def test_the_last_try_is_left_to_the_holder(uncertified: Machine) -> None:
    uncertified.secret("pin", "000000")
    for _ in range(2):
        refused(uncertified.provision("alice", "--replace"), 4, "Wrong PIN")
    for _ in range(2):
        last = uncertified.provision("alice", "--replace")
        refused(last, 4, "Only one try is left", "--use-last-try", "reset-pin")
    refused(uncertified.provision("alice", "--replace", "--use-last-try"), 4, "blocked", "reset-pin")
    refused(uncertified.provision("alice", "--replace"), 4, "blocked", "pivgate key reset-pin")

    reset = ("key", "reset-pin", "--puk-file", uncertified.secrets["puk"])
    uncertified.good(*reset, "--pin-file", uncertified.secret("pin", "864209"))
    assert uncertified.provision("alice", "--replace", "--algorithm", "p256").status == 0


def test_a_wrong_and_then_a_blocked_puk(provisioned: Machine) -> None:
    reset = ("key", "reset-pin", "--pin-file", provisioned.secret("new", "864209"), "--puk-file")
    wrong = provisioned.secret("wrong", "00000000")
    refused(provisioned.run(*reset, wrong), 4, "Wrong PUK; 2 tries are left")
    provisioned.run(*reset, wrong)
    refused(provisioned.run(*reset, wrong), 4, "Only one try is left for the PUK")
    refused(provisioned.run(*reset, wrong, "--use-last-try"), 4, "blocked", "ykman piv reset")
    refused(provisioned.run(*reset, provisioned.secret("right", PUK)), 4, "blocked", "ykman piv reset")


@pytest.mark.parametrize(
    ("pin", "word"),
    [("12345", "6 to 8"), ("123456789", "6 to 8"), ("123456", "factory"), ("ünïcode", "ASCII")],
)
def test_a_pin_that_breaks_the_rules(founded: Machine, pin: str, word: str) -> None:
    founded.plug_in(ALICE)
    founded.secret("pin", pin)
    refused(founded.provision("alice"), 2, word)
