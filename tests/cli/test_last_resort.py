# SPDX-License-Identifier: Apache-2.0
"""When the registry is broken or old, access can still be taken away, and none is given back unseen."""

import shutil

import pytest

from pivgate.gate.verdict import Verdict, ask
from pivgate.registry.store import Registry
from tests.cli.conftest import ALICE, Machine, refused


@pytest.fixture
def gate(provisioned: Machine) -> Machine:
    provisioned.good("site", "add", "app.localhost", "127.0.0.1:9")
    provisioned.good("up")
    return provisioned


def test_one_certificate_is_shut_out_without_a_registry(gate: Machine) -> None:
    (entry,) = gate.home.access.glob("everyone/*")
    whole, head = gate.home.registry.read_bytes(), gate.home.audit_head.read_bytes()
    for harm, status in (("damaged", 8), ("missing", 3), ("older", 3)):
        gate.home.registry.unlink(missing_ok=True)
        if harm == "damaged":
            gate.home.registry.write_bytes(b"not a database" * 1000)
        elif harm == "older":
            Registry.create(gate.home.registry, gate.root / "head").close()
        entry.parent.mkdir(exist_ok=True)
        entry.touch()
        assert ask(gate.home.verdict_socket, "everyone", entry.name) is Verdict.ADMITTED

        shut = gate.run("key", "revoke", entry.name[:12].upper(), "--yes")

        assert ask(gate.home.verdict_socket, "everyone", entry.name) is Verdict.REFUSED
        refused(shut, status, "refuses", "not recorded", "`pivgate up` may let it in again")
        assert entry.name in shut.out
    entry.touch()
    gate.home.registry.write_bytes(b"not a database" * 1000)
    for command in (("key", "lost", str(ALICE)), ("key", "revoke", "alice", "--yes")):
        refused(gate.run(*command), 8, "pivgate down", "key revoke FINGERPRINT")
    for wrong in (entry.name[:7], "0" * 12, "*"):
        gate.run("key", "revoke", wrong, "--yes")
    assert gate.run("key", "revoke", entry.name[:12], given="no\n").status == 2
    assert entry.exists()

    gate.home.registry.write_bytes(whole)
    assert gate.home.audit_head.read_bytes() == head
    gate.good("key", "revoke", entry.name[:12], "--yes")
    gate.good("up")
    assert ask(gate.home.verdict_socket, "everyone", entry.name) is Verdict.REFUSED


def test_an_older_registry_grants_nothing(gate: Machine) -> None:
    backup = gate.root / "backup.sqlite"
    shutil.copy(gate.home.registry, backup)
    for name in ("-wal", "-shm"):
        assert not gate.home.registry.with_name(gate.home.registry.name + name).exists()
    gate.good("group", "add", "staff")
    gate.good("key", "revoke", "alice", "--yes")
    shutil.copy(backup, gate.home.registry)

    for command in (["up"], ["group", "add", "staff"], ["user", "add", "bob"]):
        refused(gate.run(*command), 1, "older copy", "audit accept")
    refused(gate.provision("alice"), 1, "older copy")
    assert gate.run("status").status == 6
    assert "older copy" in gate.run("status").out
    assert not list(gate.home.access.glob("*/*"))

    gate.good("key", "lost", str(ALICE))
    assert not list(gate.home.access.glob("*/*"))
    gate.good("audit", "accept", "--reason", "disk died, backup of the morning", "--yes")
    gate.good("up")
    assert not list(gate.home.access.glob("*/*"))
    gate.good("audit", "verify")


def test_a_withdrawal_that_was_cut_short_does_not_come_back_by_the_way(provisioned: Machine) -> None:
    (entry,) = provisioned.home.access.glob("*/*")
    entry.unlink()
    provisioned.good("user", "add", "bob")
    provisioned.good("group", "add", "staff")
    provisioned.good("group", "join", "staff", "bob")
    provisioned.good("group", "leave", "staff", "bob")
    provisioned.good("user", "remove", "bob", "--yes")
    assert not list(provisioned.home.access.glob("*/*"))
    provisioned.good("site", "add", "app.localhost", "127.0.0.1:9")
    assert "Access tree mended: 1 added" in provisioned.good("up").out
    assert entry.exists()


def test_a_home_is_the_same_by_any_path(gate: Machine) -> None:
    link = gate.root / "link"
    link.symlink_to(gate.home.root)
    assert gate.run("--home", link, "status", "--json").json()["running"] is True
    assert "The gate is down" in gate.good("--home", link, "down").out
    assert gate.run("status").status == 6
