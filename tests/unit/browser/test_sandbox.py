# SPDX-License-Identifier: Apache-2.0
"""Which module a browser in a sandbox can load, why not, and what to do about it."""

from pathlib import Path

import pytest
from tests.unit.browser.trees import machine, program, put

from pivgate.browser.found import Family, Packaging, Store
from pivgate.browser.module_list import Module
from pivgate.browser.places import Places
from pivgate.browser.sandbox import reach

OPENSC = Module("OpenSC (pivgate)", "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so")
FLATPAK = "org.mozilla.firefox"
CONNECTIONS = """Interface  Plug             Slot    Notes
network    firefox:network  :network  -
pcscd      firefox:pcscd    {}        -
"""


def store(packaging: Packaging, identity: str) -> Store:
    return Store(Family.FIREFOX, packaging, Path("/p"), "p", exists=True, identity=identity)


def snapd(places: Places, slot: str) -> None:
    program(places.root / "usr/bin/snap", f"#!/bin/sh\ncat <<'END'\n{CONNECTIONS.format(slot)}END\n")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return machine(tmp_path)


def test_a_browser_from_a_package_loads_the_machine_s_module(places: Places) -> None:
    found = reach(places, store(Packaging.SYSTEM, ""), OPENSC)
    assert (found.module, found.cause) == (OPENSC, "")


def test_a_snap_that_brings_the_module_and_is_connected(places: Places) -> None:
    put(places.root / f"snap/firefox/current{OPENSC.library}")
    snapd(places, ":pcscd")
    found = reach(places, store(Packaging.SNAP, "firefox"), OPENSC)
    assert (found.module, found.cause) == (OPENSC, "")


def test_a_snap_brings_opensc_to_a_machine_that_has_none(places: Places) -> None:
    put(places.root / f"snap/firefox/current{OPENSC.library}")
    snapd(places, ":pcscd")
    assert reach(places, store(Packaging.SNAP, "firefox"), None).module == OPENSC
    found = reach(places, store(Packaging.SYSTEM, ""), None)
    assert found.module is None
    assert "apt install opensc-pkcs11" in found.remedy


@pytest.mark.parametrize("answer", ["-", None])
def test_a_snap_that_is_not_connected_says_how(places: Places, answer: str | None) -> None:
    put(places.root / f"snap/firefox/current{OPENSC.library}")
    if answer is not None:
        snapd(places, answer)
    found = reach(places, store(Packaging.SNAP, "firefox"), OPENSC)
    assert found.module == OPENSC
    assert "may not talk to the PC/SC service" in found.cause
    assert "sudo snap connect firefox:pcscd" in found.remedy


def test_a_snap_without_the_module_cannot_load_the_machine_s(places: Places) -> None:
    snapd(places, ":pcscd")
    found = reach(places, store(Packaging.SNAP, "firefox"), OPENSC)
    assert found.module is None
    assert f"hides {OPENSC.library}" in found.cause
    assert "sudo snap refresh firefox" in found.remedy


def test_a_snap_loads_a_module_in_its_own_part_of_the_home(places: Places) -> None:
    snapd(places, ":pcscd")
    mine = Module("mine", str(places.home / "snap/firefox/common/mine.so"))
    assert reach(places, store(Packaging.SNAP, "firefox"), mine).module == mine
    other = Module("mine", str(places.home / "snap/chromium/common/mine.so"))
    assert reach(places, store(Packaging.SNAP, "firefox"), other).module is None


def flatpak(places: Places, sockets: str, *, module: bool) -> None:
    active = places.root / "var/lib/flatpak/app" / FLATPAK / "current/active"
    put(active / "metadata", f"[Application]\nname={FLATPAK}\n\n[Context]\nsockets={sockets}\n")
    if module:
        put(active / "files/lib64/opensc-pkcs11.so")


def test_a_flatpak_without_a_module_cannot_load_the_machine_s(places: Places) -> None:
    flatpak(places, "x11;pcsc;", module=False)
    found = reach(places, store(Packaging.FLATPAK, FLATPAK), OPENSC)
    assert found.module is None
    assert "the flatpak brings no module" in found.cause
    assert "distribution's packages" in found.remedy


def test_a_flatpak_that_brings_the_module_loads_its_own(places: Places) -> None:
    flatpak(places, "x11;pcsc;", module=True)
    found = reach(places, store(Packaging.FLATPAK, FLATPAK), OPENSC)
    assert found.module == Module(OPENSC.name, "/app/lib64/opensc-pkcs11.so")
    assert not found.cause


@pytest.mark.parametrize(
    ("own", "of_machine", "of_holder", "granted"),
    [
        ("x11;", None, None, False),
        ("x11;pcsc;", None, None, True),
        ("x11;", "pcsc;", None, True),
        ("x11;", None, "pcsc;", True),
        ("x11;pcsc;", "!pcsc;", None, False),
        ("x11;", "!pcsc;", "pcsc;", True),
        ("x11;pcsc;", None, "!pcsc;", False),
    ],
)
def test_a_flatpak_s_permission_and_what_overrides_it(
    places: Places, own: str, of_machine: str | None, of_holder: str | None, granted: bool
) -> None:
    flatpak(places, own, module=True)
    bases = {places.root / "var/lib/flatpak": of_machine, places.data / "flatpak": of_holder}
    for base, sockets in bases.items():
        if sockets is not None:
            put(base / "overrides" / FLATPAK, f"[Context]\nsockets={sockets}\n")
    found = reach(places, store(Packaging.FLATPAK, FLATPAK), OPENSC)
    assert bool(found.cause) is not granted
    if not granted:
        assert f"flatpak override --user --socket=pcsc {FLATPAK}" in found.remedy


def test_a_flatpak_whose_metadata_is_damaged_has_no_permission(places: Places) -> None:
    flatpak(places, "pcsc;", module=True)
    put(places.root / "var/lib/flatpak/app" / FLATPAK / "current/active/metadata", "nonsense")
    assert reach(places, store(Packaging.FLATPAK, FLATPAK), OPENSC).cause
