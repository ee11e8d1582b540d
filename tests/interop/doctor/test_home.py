# SPDX-License-Identifier: Apache-2.0
"""Faults of the home on its disk, each planted in a copy of a sound one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.interop.doctor.patient import Patient, copied, copy_into

from pivgate.doctor.finding import Area
from pivgate.enrolment.upstream import create
from pivgate.files import exclusive_lock
from pivgate.gate.upstream_block import folder_of
from pivgate.settings import Home

pytestmark = pytest.mark.interop

NOBODY = 65534


def chown(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


FAULTS: dict[str, tuple[str, Callable[[Patient], object], str]] = {
    "settings with a syntax error": (
        "settings-damaged",
        lambda patient: patient.home.settings.write_text("client_days = [\n"),
        "line 1",
    ),
    "no settings": ("settings-damaged", lambda patient: patient.home.settings.unlink(), "missing"),
    "home open": ("home-open-to-others", lambda patient: patient.home.root.chmod(0o755), "0755"),
    "world-readable key": (
        "secret-open-to-others",
        lambda patient: patient.home.authority_key.chmod(0o644),
        "read",
    ),
    "world-readable registry": (
        "secret-open-to-others",
        lambda patient: patient.home.registry.chmod(0o640),
        "read",
    ),
    "Caddyfile writable": (
        "file-writable-by-others",
        lambda patient: patient.home.caddyfile.chmod(0o666),
        "write it",
    ),
    "no space kept": ("reserve-missing", lambda patient: patient.home.reserve.unlink(), "taking access away"),
    "another's file": ("wrong-owner", lambda patient: chown(patient.home.audit_head), f"user {NOBODY}"),
    "folder above writable": (
        "folder-above-writable",
        lambda patient: patient.home.root.parent.chmod(0o777),
        "rename",
    ),
    "folder above another's": (
        "folder-above-writable",
        lambda patient: chown(patient.home.root.parent),
        f"user {NOBODY}",
    ),
}


def test_a_sound_home_has_nothing(sound: Patient) -> None:
    (report,) = sound.diagnose(Area.HOME).areas
    assert report.findings == ()
    assert report.unseen == ()
    assert report.good == 7


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(patient: Patient, name: str) -> None:
    code, plant, word = FAULTS[name]
    plant(patient)
    findings = patient.findings(Area.HOME)
    assert list(findings) == [code]
    assert word in findings[code].cause


def shared(patient: Patient) -> None:
    """Let Caddy's own user have what it writes, and its group enter, as for a service of systemd."""
    home = patient.home
    os.chown(home.root, 0, NOBODY)
    home.root.chmod(0o710)
    for path in (home.run, home.caddy_storage):
        chown(path)


@pytest.mark.parametrize(
    ("code", "plant"),
    [
        (None, lambda home: chown_new(home.run / "caddy.pid")),
        ("wrong-owner", lambda home: (home.run / "caddy.pid").touch()),
        ("wrong-owner", lambda home: chown(home.access)),
        ("home-open-to-others", lambda home: home.root.chmod(0o750)),
        ("home-open-to-others", lambda home: home.root.chmod(0o711)),
        ("secret-open-to-others", lambda home: home.registry.chmod(0o640)),
    ],
)
def test_a_home_that_caddys_own_user_may_enter(
    patient: Patient, code: str | None, plant: Callable[[Home], object]
) -> None:
    shared(patient)
    plant(patient.home)
    assert list(patient.findings(Area.HOME)) == ([code] if code else [])


def chown_new(path: Path) -> None:
    path.touch()
    chown(path)


def test_the_key_of_an_upstream_is_a_secret_too(patient: Patient) -> None:
    create(patient.home, "localhost", ("localhost",), datetime.now(UTC))
    gate = folder_of(patient.home, "localhost").gate
    assert patient.findings(Area.HOME) == {}
    gate.chmod(0o640)
    assert list(patient.findings(Area.HOME)) == ["secret-open-to-others"]
    # Caddy's user shows it to the upstream.
    shared(patient)
    assert patient.findings(Area.HOME) == {}


def test_a_command_at_work_is_named(patient: Patient) -> None:
    with exclusive_lock(patient.home.lock):
        findings = patient.findings(Area.HOME)
    assert list(findings) == ["home-busy"]
    assert f"kill {os.getpid()}" in findings["home-busy"].remedy
    assert patient.findings(Area.HOME) == {}


def test_a_long_path_is_named(sound: Patient) -> None:
    with copied(sound, "home" * 25) as patient:
        assert list(patient.findings(Area.HOME)) == ["home-path-too-long"]


def test_no_home_is_said_once(patient: Patient) -> None:
    nowhere = patient.place(home=Home(patient.home.root / "nowhere"))
    findings = patient.findings(home=nowhere.home)
    assert "home-missing" in findings
    areas = {finding.area for finding in findings.values()} - {Area.CARD, Area.BROWSERS, Area.MACHINE}
    # A Caddy is looked for without a home as well.
    assert areas <= {Area.HOME, Area.GATE}
    assert "home-missing" not in patient.findings(Area.BROWSERS, home=nowhere.home)


def test_who_may_not_look_is_told_so(patient: Patient) -> None:
    os.seteuid(NOBODY)
    try:
        findings = patient.findings(Area.HOME, Area.REGISTRY, user=NOBODY)
    finally:
        os.seteuid(0)
    assert list(findings) == ["home-unreadable"]
    assert "sudo -u" in findings["home-unreadable"].remedy


def test_a_part_that_is_another_users_keeps_nothing_else_from_being_looked_at(patient: Patient) -> None:
    for path in (patient.home.root.parent, *patient.home.root.parent.rglob("*")):
        chown(path)
    os.chown(patient.home.caddyfile.parent, 0, 0)
    patient.home.caddyfile.parent.chmod(0o700)
    os.seteuid(NOBODY)
    try:
        found = patient.diagnose(Area.SITES, Area.GATE, Area.UPSTREAMS, Area.PEOPLE, user=NOBODY)
    finally:
        os.seteuid(0)
    (finding,) = found.findings
    assert finding.code == "file-unreadable"
    assert str(patient.home.caddyfile.parent) in finding.what
    assert "Permission denied" in finding.cause
    # What is in that folder is not judged, and that is said.
    os.seteuid(NOBODY)
    try:
        (home,) = patient.diagnose(Area.HOME, user=NOBODY).areas
    finally:
        os.seteuid(0)
    assert [finding.code for finding in home.findings] == ["wrong-owner"]
    assert [unseen.what for unseen in home.unseen] == [str(patient.home.caddyfile.parent)]
    assert found.areas[0].area is Area.PEOPLE
    assert found.areas[0].good == 3


def test_disks_without_room(sound: Patient, tmp_path: Path) -> None:
    """In a mount namespace of its own, where file systems of any size can be made."""
    copy_into(sound, tmp_path)
    script = Path(__file__).with_name("small_disks.py")
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, script, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "size=200m": [],
        "size=24m": ["disk-nearly-full"],
        "size=200m,nr_inodes=200": ["inodes-nearly-used-up"],
        "size=200m,ro": ["home-read-only"],
    }


def test_nothing_is_changed(patient: Patient) -> None:
    def everything() -> dict[str, tuple[int, int, int]]:
        paths = [patient.home.root, *patient.home.root.rglob("*")]
        seen = {str(path): path.lstat() for path in paths}
        return {path: (found.st_mtime_ns, found.st_mode, found.st_size) for path, found in seen.items()}

    before = everything()
    patient.diagnose(*(area for area in Area if area is not Area.CARD))
    assert everything() == before
