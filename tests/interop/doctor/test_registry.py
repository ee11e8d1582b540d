# SPDX-License-Identifier: Apache-2.0
"""Faults of the registry, its log, the access tree, the authority, people's keys, and the clock."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from tests.interop.doctor.patient import ALICE, DAY, PASSPHRASE, Patient, enrol, fingerprint, issue

from pivgate.authority.issue import issue_authority
from pivgate.authority.keys import load_signer
from pivgate.doctor.finding import Area
from pivgate.gate.access import NO_CERTIFICATE
from pivgate.registry.migrations import MIGRATIONS, Migration
from pivgate.registry.store import Registry

pytestmark = pytest.mark.interop

AREAS = (Area.REGISTRY, Area.AUTHORITY, Area.PEOPLE)
NOBODY = 65534
THIRD = 31000003


def now() -> datetime:
    return datetime.now(UTC)


def test_a_sound_registry_has_nothing(sound: Patient) -> None:
    found = sound.diagnose(*AREAS)
    assert found.findings == ()
    assert [(report.area, report.good, report.unseen) for report in found.areas] == [
        (Area.REGISTRY, 3, ()),
        (Area.AUTHORITY, 4, ()),
        (Area.PEOPLE, 3, ()),
    ]


# --- The registry and its log ----------------------------------------------------------------------


def sql(patient: Patient, statement: str) -> None:
    with closing(sqlite3.connect(patient.home.registry)) as database, database:
        database.execute(statement)


def overwrite(patient: Patient) -> None:
    data = bytearray(patient.home.registry.read_bytes())
    data[4096:12288] = b"\xa5" * 8192
    patient.home.registry.write_bytes(data)


def older_copy(patient: Patient) -> None:
    before = patient.home.registry.read_bytes()
    with patient.registry() as registry:
        registry.add_group("editors", actor="test", now=now())
    patient.home.registry.write_bytes(before)


def swap(patient: Patient) -> None:
    sql(patient, "UPDATE events SET subject = 'mallory' WHERE sequence = 2")


REGISTRY: dict[str, tuple[str, Callable[[Patient], object], str]] = {
    "no registry": ("registry-missing", lambda patient: patient.home.registry.unlink(), "no registry"),
    "overwritten in the middle": ("registry-damaged", overwrite, "damaged"),
    "cut to nothing": (
        "registry-damaged",
        lambda patient: patient.home.registry.write_bytes(b""),
        "damaged",
    ),
    "a newer one": ("registry-newer", lambda patient: sql(patient, "PRAGMA user_version = 99"), "99"),
    "an event changed": ("log-broken", swap, "Event 2"),
    "no head": ("log-head-lost", lambda patient: patient.home.audit_head.unlink(), "missing"),
    "half a head": (
        "log-head-lost",
        lambda patient: patient.home.audit_head.write_text("12 abc\n"),
        "damaged",
    ),
    "an older copy": ("registry-older-copy", older_copy, "older copy"),
    "the last event cut off": (
        "registry-older-copy",
        lambda patient: sql(
            patient, "DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)"
        ),
        "older copy",
    ),
}


@pytest.mark.parametrize("name", REGISTRY)
def test_a_fault_of_the_registry_is_named(patient: Patient, name: str) -> None:
    code, plant, word = REGISTRY[name]
    plant(patient)
    findings = patient.findings(Area.REGISTRY, Area.PEOPLE)
    assert list(findings) == [code]
    assert word in findings[code].cause


def test_a_registry_behind_its_migrations_is_named_and_stays(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Migration(MIGRATIONS[-1].version + 1, "later", ("CREATE TABLE later (x)",))
    monkeypatch.setattr(Registry, "migrations", (*MIGRATIONS, later))
    before = patient.home.registry.read_bytes()
    assert list(patient.findings(Area.REGISTRY)) == ["registry-behind"]
    assert patient.home.registry.read_bytes() == before


def test_without_a_registry_the_rest_goes_on(patient: Patient) -> None:
    patient.home.registry.unlink()
    found = patient.diagnose(*AREAS, Area.HOME, Area.MACHINE, Area.SITES)
    assert "registry-missing" in {finding.code for finding in found.findings}
    assert {unseen.what for report in found.areas for unseen in report.unseen} >= {
        "the log of events",
        "the access tree",
        "people and their keys",
        "the groups that sites admit",
    }
    assert {report.area for report in found.areas if report.good} >= {Area.HOME, Area.AUTHORITY, Area.SITES}


# --- The access tree -------------------------------------------------------------------------------


def admit(patient: Patient, group: str, name: str) -> None:
    entry = patient.home.access / group / name
    entry.parent.mkdir(exist_ok=True)
    entry.touch()


def entries(patient: Patient) -> list[Path]:
    return sorted((patient.home.access / "admins").iterdir())


TREE: dict[str, tuple[str, Callable[[Patient], object]]] = {
    "one too many": ("access-extra", lambda patient: admit(patient, "admins", fingerprint())),
    "one missing": ("access-missing", lambda patient: entries(patient)[0].unlink()),
    "everybody": ("access-foreign", lambda patient: admit(patient, "admins", NO_CERTIFICATE)),
    "a stray file": ("access-foreign", lambda patient: (patient.home.access / "README").touch()),
}


@pytest.mark.parametrize("name", TREE)
def test_drift_is_named(patient: Patient, name: str) -> None:
    code, plant = TREE[name]
    plant(patient)
    assert list(patient.findings(Area.REGISTRY)) == [code]


def test_a_tree_that_cannot_be_read_is_named(patient: Patient) -> None:
    for path in (patient.home.root.parent, *patient.home.root.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.chown(patient.home.access, 0, 0)
    os.seteuid(NOBODY)
    try:
        findings = patient.findings(Area.REGISTRY, user=NOBODY)
    finally:
        os.seteuid(0)
    assert list(findings) == ["access-unreadable"]


# --- The authority ---------------------------------------------------------------------------------


def authority_of(patient: Patient, begins: int, days: int) -> None:
    """Give the authority a certificate with other dates."""
    authority = patient.authority()
    certificate = issue_authority(
        authority.name, authority.signer, now=now() + begins * DAY, days=days, serial_number=7
    )
    patient.home.authority_certificate.write_bytes(certificate.public_bytes(Encoding.PEM))


def unprotect(patient: Patient) -> None:
    signer = load_signer(patient.home.authority_key.read_bytes(), PASSPHRASE.encode())
    patient.home.authority_key.write_bytes(signer.encrypted_pem(b"", allow_empty=True))


def old_list(patient: Patient) -> None:
    with patient.registry() as registry:
        registry.next_crl_number(actor="test", now=now() - 40 * DAY)


AUTHORITY: dict[str, tuple[str, Callable[[Patient], object], str]] = {
    "no certificate": (
        "authority-unreadable",
        lambda patient: patient.home.authority_certificate.unlink(),
        "No such file",
    ),
    "no certificate in it": (
        "authority-unreadable",
        lambda patient: patient.home.authority_certificate.write_text("hello\n"),
        "damaged",
    ),
    "ended": ("authority-expired", lambda patient: authority_of(patient, -30, 10), "nobody gets in"),
    "ends soon": ("authority-ends-soon", lambda patient: authority_of(patient, -30, 60), "every certificate"),
    "no key": ("authority-key-missing", lambda patient: patient.home.authority_key.unlink(), "provisioned"),
    "a key in the clear": ("authority-key-unprotected", unprotect, "passphrase"),
    "nothing to knock with": (
        "probes-missing",
        lambda patient: (patient.home.probes / "revoked.key").unlink(),
        "revoked",
    ),
    "an old revocation list": ("revocation-list-overdue", old_list, "30 days"),
}


@pytest.mark.parametrize("name", AUTHORITY)
def test_a_fault_of_the_authority_is_named(patient: Patient, name: str) -> None:
    code, plant, word = AUTHORITY[name]
    plant(patient)
    findings = patient.findings(Area.AUTHORITY)
    assert list(findings) == [code]
    assert word in findings[code].cause


# --- People ----------------------------------------------------------------------------------------


def with_third_key(patient: Patient, days: tuple[int, int], public_key: object = None) -> None:
    """Give alice one more key, provisioned when its certificate began."""
    begun = now() + days[0] * DAY + timedelta(hours=1)
    certificate = issue(patient.authority(), "alice", public_key, days)
    with patient.registry() as registry:
        enrol(registry, "alice", THIRD, certificate, begun)


def unfinished(patient: Patient) -> None:
    with patient.registry() as registry:
        registry.register_key(
            THIRD,
            model="YubiKey 5",
            firmware="5.7.4",
            form_factor="USB-A",
            user="alice",
            actor="test",
            now=now(),
        )


def with_bob(patient: Patient) -> None:
    with patient.registry() as registry:
        registry.add_user("bob", actor="test", now=now())


def with_one_key(patient: Patient) -> None:
    from pivgate.registry.states import RevocationReason

    with patient.registry() as registry:
        registry.revoke_key(ALICE[1], RevocationReason.UNSPECIFIED, actor="test", now=now())


ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()
PEOPLE: dict[str, tuple[str, Callable[[Patient], object], str]] = {
    "no key": ("user-without-key", with_bob, "bob"),
    "one key": ("user-with-one-key", with_one_key, "alice"),
    "a key half provisioned": ("key-not-finished", unfinished, str(THIRD)),
    "ended": ("certificate-expired", lambda patient: with_third_key(patient, (-20, -2)), str(THIRD)),
    "ends soon": ("certificate-ends-soon", lambda patient: with_third_key(patient, (-300, 9)), str(THIRD)),
    "of no use to a browser": (
        "ed25519-certificate",
        lambda patient: with_third_key(patient, (-1, 300), ED25519),
        str(THIRD),
    ),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_fault_of_peoples_keys_is_named(patient: Patient, name: str) -> None:
    code, plant, word = PEOPLE[name]
    plant(patient)
    findings = patient.findings(Area.PEOPLE)
    assert list(findings) == [code]
    assert word in findings[code].what


# --- The clock -------------------------------------------------------------------------------------


def clock_codes(patient: Patient, **other: object) -> list[str]:
    return [code for code in patient.findings(Area.MACHINE, **other) if code != "clock-not-synchronised"]


def test_a_clock_that_is_behind_is_named(patient: Patient) -> None:
    assert clock_codes(patient) == []
    assert clock_codes(patient, now=now() - 2 * DAY) == ["clock-before-authority"]
    with patient.registry() as registry:
        registry.append_event("test.event", "x", actor="test", now=now() + DAY)
    assert clock_codes(patient) == ["clock-behind-log"]
