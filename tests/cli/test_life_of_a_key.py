# SPDX-License-Identifier: Apache-2.0
"""The commands as a person uses them, with an emulated YubiKey: from the factory to its end."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PIN, PUK, Machine


@pytest.fixture
def ready(machine: Machine) -> Machine:
    machine.init()
    machine.good("user", "add", "alice", "--email", "alice@example.com")
    machine.plug_in(31000001)
    return machine


def test_from_the_factory_to_the_registry(ready: Machine) -> None:
    before = ready.good("key", "list", "--json").json()
    assert before["plugged_in"][0]["still_factory"] == ["PIN", "PUK", "management key"]
    assert before["registered"] == []

    done = ready.provision("alice")
    assert done.status == 0, done
    assert "alice can log in with YubiKey 31000001" in done.out

    after = ready.good("key", "list", "--json").json()
    assert after["plugged_in"][0]["still_factory"] == []
    assert "CN=alice" in after["plugged_in"][0]["slot_9a"]
    assert [(row["serial"], row["user"], row["state"]) for row in after["registered"]] == [
        (31000001, "alice", "active")
    ]
    assert "belongs to the certificate" in ready.good("key", "verify", "31000001").out


def test_openssl_judges_the_certificate(ready: Machine, tmp_path: Path) -> None:
    assert ready.provision("alice").status == 0
    fingerprint = ready.good("key", "show", "31000001", "--json").json()["certificates"][0]["fingerprint"]
    entry = ready.home.access / "everyone" / fingerprint
    assert entry.exists()
    ca = tmp_path / "ca.pem"
    ready.good("ca", "export", "--out", ca)
    from pivgate.registry.store import Registry

    with Registry.open(ready.home.registry, ready.home.audit_head) as registry:
        der = registry.certificate(fingerprint).der
    (tmp_path / "alice.der").write_bytes(der)
    subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-in", tmp_path / "alice.der", "-out", tmp_path / "alice.pem"],
        check=True,
    )
    verified = subprocess.run(
        ["openssl", "verify", "-purpose", "sslclient", "-x509_strict", "-CAfile", ca, tmp_path / "alice.pem"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "OK" in verified.stdout


def test_doing_it_again_changes_nothing(ready: Machine) -> None:
    assert ready.provision("alice").status == 0
    before = (ready.port / "31000001.json").read_text()
    shown = ready.good("key", "show", "31000001", "--json").json()
    again = ready.provision("alice")
    assert again.status == 0, again
    assert (ready.port / "31000001.json").read_text() == before
    assert ready.good("key", "show", "31000001", "--json").json() == shown


def test_secrets_show_up_nowhere(ready: Machine) -> None:
    done = ready.provision("alice")
    log = ready.good("audit", "log", "--json")
    for secret in (PIN, PUK):
        assert secret not in done.out + done.err + log.out
    for path in ready.home.root.rglob("*"):
        if path.is_file():
            assert PIN.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("firmware", ["4.3.7", "5.2.7", "5.4.3", "5.7.4"])
def test_every_firmware(machine: Machine, firmware: str) -> None:
    machine.init()
    machine.good("user", "add", "alice")
    machine.plug_in(5000001, firmware)
    assert machine.provision("alice").status == 0
    machine.good("key", "verify", "5000001")


@pytest.mark.parametrize("algorithm", ["p256", "rsa2048"])
def test_other_algorithms(ready: Machine, algorithm: str) -> None:
    assert ready.provision("alice", "--algorithm", algorithm).status == 0
    ready.good("key", "verify", "31000001")


def test_ed25519_is_warned_about(ready: Machine) -> None:
    done = ready.provision("alice", "--algorithm", "ed25519")
    assert done.status == 0
    assert "browser" in done.err


def test_x25519_is_refused_with_what_to_use_instead(ready: Machine) -> None:
    refused = ready.provision("alice", "--algorithm", "x25519")
    assert refused.status == 2
    assert "sign" in refused.err
    assert "p384" in refused.err


@pytest.mark.parametrize("apdu", range(3, 45, 7))
def test_killed_in_the_middle_the_same_command_finishes(ready: Machine, apdu: int) -> None:
    killed = ready.provision("alice", environment={"KILL_AT_APDU": str(apdu)})
    assert killed.status == -9
    done = ready.provision("alice")
    assert done.status == 0, done
    ready.good("key", "verify", "31000001")
    ready.good("audit", "verify")
    active = [
        row
        for row in ready.good("key", "show", "31000001", "--json").json()["certificates"]
        if row["state"] == "active"
    ]
    assert len(active) == 1


def test_pulled_out_in_the_middle_says_so_and_the_same_command_finishes(ready: Machine) -> None:
    pulled = ready.provision("alice", environment={"PULL_AT_APDU": "30"})
    assert pulled.status == 5
    assert "pulled out" in pulled.err
    assert "same command" in pulled.err
    assert ready.provision("alice").status == 0


def test_a_lost_key_and_its_return(ready: Machine) -> None:
    assert ready.provision("alice").status == 0
    lost = ready.good("key", "lost", "31000001")
    assert "no other key" in lost.out
    assert not list(ready.home.access.glob("*/*"))
    assert ready.run("key", "verify", "31000001").status == 1
    ready.good("key", "found", "31000001", "--yes")
    assert len(list(ready.home.access.glob("*/*"))) == 1
    ready.good("key", "verify", "31000001")


def test_a_revoked_key_can_become_somebody_elses(ready: Machine) -> None:
    assert ready.provision("alice").status == 0
    ready.good("user", "add", "bob")
    refused = ready.provision("bob")
    assert refused.status == 1
    assert "alice's" in refused.err
    ready.good("key", "revoke", "31000001", "--reason", "superseded", "--yes")
    assert not list(ready.home.access.glob("*/*"))
    done = ready.provision("bob", "--replace")
    assert done.status == 0, done
    assert ready.good("key", "show", "31000001", "--json").json()["user"] == "bob"
