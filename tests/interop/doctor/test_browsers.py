# SPDX-License-Identifier: Apache-2.0
"""Faults of browsers: a machine of folders, with the real OpenSC in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.doctor.patient import Patient
from tests.unit.browser.trees import program, put

from pivgate.doctor.finding import Area

pytestmark = pytest.mark.interop

OPENSC = Path("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so")
LISTED = "library=\nname=NSS Internal PKCS #11 Module\n\nlibrary={library}\nname=OpenSC (pivgate)\n\n"


def module(patient: Patient) -> Path:
    return patient.machine / "usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"


def database(folder: Path, library: str | Path) -> None:
    put(folder / "cert9.db")
    put(folder / "pkcs11.txt", LISTED.format(library=library))


@pytest.fixture
def desk(patient: Patient) -> Patient:
    """A machine with OpenSC, and with Firefox and Chromium that are set up for it."""
    module(patient).parent.mkdir(parents=True)
    module(patient).symlink_to(OPENSC)
    program(patient.machine / "usr/bin/firefox")
    program(patient.machine / "usr/bin/chromium")
    holder = patient.place().browsers.home
    profiles = holder / ".mozilla/firefox"
    put(profiles / "profiles.ini", "[Profile0]\nName=default\nIsRelative=1\nPath=abc.default\nDefault=1\n")
    database(profiles / "abc.default", module(patient))
    database(holder / ".pki/nssdb", module(patient))
    return patient


def nssdb(patient: Patient) -> Path:
    return patient.place().browsers.home / ".pki/nssdb"


def snap(patient: Patient, *, brings: bool) -> None:
    program(patient.machine / "snap/bin/chromium")
    database(patient.place().browsers.home / "snap/chromium/current/.pki/nssdb", OPENSC)
    if brings:
        put(patient.machine / "snap/chromium/current/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so")


def flatpak(patient: Patient) -> None:
    program(patient.machine / "var/lib/flatpak/exports/bin/org.chromium.Chromium")
    database(patient.place().browsers.home / ".var/app/org.chromium.Chromium/.pki/nssdb", "x.so")


def break_module(patient: Patient) -> None:
    module(patient).unlink()
    put(module(patient), "this is no library")


def without_module(patient: Patient) -> None:
    module(patient).unlink()
    for listed in patient.place().browsers.home.rglob("pkcs11.txt"):
        listed.write_text("")


FAULTS: dict[str, tuple[str, Callable[[Patient], object], str]] = {
    "no OpenSC": ("module-missing", without_module, "no OpenSC"),
    "an OpenSC that does not load": ("module-broken", break_module, "cannot be used"),
    "a stale path": (
        "browser-module-gone",
        lambda desk: database(nssdb(desk), "/usr/lib/gone/opensc-pkcs11.so"),
        "/usr/lib/gone/opensc-pkcs11.so",
    ),
    "not set up": (
        "browser-not-set-up",
        lambda desk: (nssdb(desk) / "pkcs11.txt").write_text(""),
        "does not know",
    ),
    "a snap without the module": (
        "browser-sandboxed",
        lambda desk: snap(desk, brings=False),
        "snap chromium hides",
    ),
    "a snap that is not connected": (
        "browser-sandboxed",
        lambda desk: snap(desk, brings=True),
        "may not talk",
    ),
    "a flatpak": ("browser-sandboxed", flatpak, "flatpak org.chromium.Chromium hides"),
    "a damaged list of profiles": (
        "browser-database-damaged",
        lambda desk: (desk.place().browsers.home / ".mozilla/firefox/profiles.ini").write_bytes(b"\xff\xfe"),
        "damaged",
    ),
}


def test_a_machine_without_browsers_has_nothing(patient: Patient) -> None:
    (report,) = patient.diagnose(Area.BROWSERS).areas
    assert report.findings == ()
    assert [unseen.what for unseen in report.unseen] == ["browsers"]


def test_browsers_that_are_set_up_have_nothing(desk: Patient) -> None:
    (report,) = desk.diagnose(Area.BROWSERS).areas
    assert report.findings == ()
    assert (report.unseen, report.good) == ((), 3)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_browsers_is_named(desk: Patient, name: str) -> None:
    code, plant, word = FAULTS[name]
    plant(desk)
    findings = desk.diagnose(Area.BROWSERS).findings
    assert {finding.code for finding in findings} == {code}
    assert word in findings[0].cause
    assert all(finding.remedy for finding in findings)
