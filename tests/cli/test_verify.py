# SPDX-License-Identifier: Apache-2.0
"""``key verify``: each of its refusals, and renewal, which makes a key good for longer."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from ykman.piv import get_pivman_protected_data
from yubikit.piv import SLOT, PivSession

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.state_file import load, save
from tests.cli.conftest import ALICE, PIN, Machine, refused


@pytest.fixture
def card(provisioned: Machine) -> Path:
    return provisioned.port / f"{ALICE}.json"


def change(card: Path, what: str) -> None:
    """Do something to slot 9a that pivgate does not know of."""
    yubikey = load(card)
    with EmulatedDevice(yubikey).open() as connection:
        piv = PivSession(connection)
        piv.verify_pin(PIN)
        management_key = get_pivman_protected_data(piv).key
        assert management_key is not None
        piv.authenticate(management_key)
        match what:
            case "another key":
                piv.put_key(SLOT.AUTHENTICATION, ec.generate_private_key(ec.SECP256R1()))
            case "no key":
                piv.delete_key(SLOT.AUTHENTICATION)
            case "no certificate":
                piv.delete_certificate(SLOT.AUTHENTICATION)
    card.unlink()
    save(yubikey, card)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("another key", "does not belong to its certificate"),
        ("no key", "holds no key"),
        ("no certificate", "another certificate than the registry"),
    ],
)
def test_a_slot_that_was_changed_is_found_out(
    provisioned: Machine, card: Path, what: str, words: str
) -> None:
    provisioned.good("key", "verify", str(ALICE))
    change(card, what)
    refused(provisioned.run("key", "verify", str(ALICE)), 1, words, "--replace")


def test_a_key_that_is_not_plugged_in_is_verified_as_far_as_can_be(provisioned: Machine) -> None:
    provisioned.pull_out(ALICE)
    assert "could not be compared" in provisioned.good("key", "verify", str(ALICE)).out
    assert provisioned.good("key", "verify", str(ALICE), "--json").json()["key_match"] is None


def test_a_revoked_certificate(provisioned: Machine) -> None:
    fingerprint = provisioned.good("key", "verify", str(ALICE), "--json").json()["fingerprint"]
    provisioned.good("key", "revoke", fingerprint, "--yes")
    refused(provisioned.run("key", "verify", str(ALICE)), 1, "no certificate in force", "provision")


def test_a_key_that_is_lost(provisioned: Machine) -> None:
    provisioned.good("key", "lost", str(ALICE))
    refused(provisioned.run("key", "verify", str(ALICE)), 1, "is lost")


@pytest.mark.parametrize(("days", "words"), [("366", "ended"), ("-1", "clock")])
def test_a_certificate_outside_its_dates(provisioned: Machine, days: str, words: str) -> None:
    result = provisioned.run("key", "verify", str(ALICE), environment={"DAYS_FROM_NOW": days})
    assert result.status == 1
    assert words in result.err or "begins" in result.err or "until" in result.err, result.err


def test_in_its_last_thirty_days_a_certificate_is_renewed(provisioned: Machine) -> None:
    late = {"DAYS_FROM_NOW": "340"}
    before = provisioned.good("key", "verify", str(ALICE), "--json").json()["fingerprint"]
    ending = provisioned.run("status", "--json", environment=late).json()["ending_soon"]
    assert [row["key"] for row in ending] == [ALICE]

    assert provisioned.provision("alice", environment=late).status == 0
    assert provisioned.good("key", "verify", str(ALICE), "--json").json()["fingerprint"] == before

    renewed = provisioned.provision("alice", "--algorithm", "p256", "--replace", environment=late)
    assert renewed.status == 0, renewed
    states = {
        row["fingerprint"] == before: row["state"]
        for row in provisioned.good("key", "show", str(ALICE), "--json").json()["certificates"]
    }
    assert states == {True: "superseded", False: "active"}
    assert provisioned.run("status", "--json", environment=late).json()["ending_soon"] == []
    assert provisioned.run("key", "verify", str(ALICE), environment=late).status == 0
    assert len(list(provisioned.home.access.glob("*/*"))) <= 1


def test_long_before_its_end_a_certificate_stays(provisioned: Machine) -> None:
    before = provisioned.good("key", "verify", str(ALICE), "--json").json()["fingerprint"]
    assert provisioned.provision("alice", "--algorithm", "p256", "--replace").status == 0
    assert provisioned.good("key", "verify", str(ALICE), "--json").json()["fingerprint"] == before
