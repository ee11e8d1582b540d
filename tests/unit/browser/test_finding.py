# SPDX-License-Identifier: Apache-2.0
"""Which browsers, profiles, databases and modules are found on machines of many kinds."""

from pathlib import Path

import pytest
from tests.unit.browser.trees import machine, program, put

from pivgate.browser import holder
from pivgate.browser.chromium import chromium_browsers, chromium_stores
from pivgate.browser.firefox import firefox_browsers, firefox_stores, named_profile
from pivgate.browser.found import Family, Packaging
from pivgate.browser.module import find_module, named_module, need_module
from pivgate.errors import InputError, StorageError

PROFILE = "[Profile0]\nName={0}\nIsRelative=1\nPath={0}\n"


def profile(root: Path, name: str = "p.default") -> Path:
    """Make a profile that its list names."""
    put(root / "profiles.ini", PROFILE.format(name))
    (root / name).mkdir()
    return root / name


def test_an_empty_machine_has_nothing(tmp_path: Path) -> None:
    places = machine(tmp_path)
    assert firefox_browsers(places) == chromium_browsers(places) == firefox_stores(places) == []
    assert holder.stores(places, frozenset(Family)) == []


@pytest.mark.parametrize(
    "where", ["usr/bin", "usr/local/bin", "opt/firefox", "usr/lib64/firefox", "usr/lib/firefox"]
)
def test_firefox_from_any_package(tmp_path: Path, where: str) -> None:
    places = machine(tmp_path)
    program(places.root / where / "firefox")
    assert [(each.name, each.packaging) for each in firefox_browsers(places)] == [
        ("Firefox", Packaging.SYSTEM)
    ]


def test_debian_s_firefox_esr_counts_once(tmp_path: Path) -> None:
    places = machine(tmp_path)
    program(places.root / "usr/lib/firefox-esr/firefox-esr", "\x7fELF")
    (places.root / "usr/bin").mkdir()
    (places.root / "usr/bin/firefox-esr").symlink_to("../lib/firefox-esr/firefox-esr")
    program(places.root / "usr/bin/firefox", '#!/bin/sh\n\nexec firefox-esr "$@"\n')
    assert [each.name for each in firefox_browsers(places)] == ["Firefox ESR"]


def test_ubuntu_s_wrappers_stand_for_the_snap(tmp_path: Path) -> None:
    places = machine(tmp_path)
    program(places.root / "usr/bin/firefox", "#!/bin/sh\nexec /snap/bin/firefox\n")
    program(places.root / "usr/bin/chromium-browser", '#!/bin/sh\nexec /snap/bin/chromium "$@"\n')
    for name in ("firefox", "chromium"):
        program(places.root / "snap/bin" / name)
    assert [each.packaging for each in firefox_browsers(places)] == [Packaging.SNAP]
    assert [each.packaging for each in chromium_browsers(places)] == [Packaging.SNAP]


@pytest.mark.parametrize("scope", ["machine", "holder"])
def test_flatpaks_by_their_exports(tmp_path: Path, scope: str) -> None:
    places = machine(tmp_path)
    base = places.root / "var/lib/flatpak" if scope == "machine" else places.data / "flatpak"
    program(base / "exports/bin/org.mozilla.firefox")
    program(base / "exports/bin/com.google.Chrome")
    assert [(each.packaging, each.identity) for each in firefox_browsers(places)] == [
        (Packaging.FLATPAK, "org.mozilla.firefox")
    ]
    assert [(each.name, each.packaging) for each in chromium_browsers(places)] == [
        ("Chrome", Packaging.FLATPAK)
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("usr/bin/chromium", "Chromium"),
        ("usr/bin/chromium-browser", "Chromium"),
        ("usr/bin/google-chrome-stable", "Chrome"),
        ("opt/google/chrome/google-chrome", "Chrome"),
        ("usr/bin/microsoft-edge", "Edge"),
        ("usr/bin/brave-browser", "Brave"),
        ("opt/brave.com/brave/brave", "Brave"),
        ("usr/bin/vivaldi-stable", "Vivaldi"),
    ],
)
def test_chromium_s_relatives(tmp_path: Path, path: str, name: str) -> None:
    places = machine(tmp_path)
    program(places.root / path)
    assert [each.name for each in chromium_browsers(places)] == [name]


def test_every_firefox_profile_in_every_place(tmp_path: Path) -> None:
    places = machine(tmp_path)
    expected = {
        profile(places.home / ".mozilla/firefox"): Packaging.SYSTEM,
        profile(places.config / "mozilla/firefox"): Packaging.SYSTEM,
        profile(places.home / "snap/firefox/common/.mozilla/firefox"): Packaging.SNAP,
        profile(places.home / ".var/app/org.mozilla.firefox/.mozilla/firefox"): Packaging.FLATPAK,
        profile(places.home / ".var/app/org.mozilla.firefox/config/mozilla/firefox"): Packaging.FLATPAK,
    }
    assert {each.folder: each.packaging for each in firefox_stores(places)} == expected


def test_a_profile_whose_folder_is_gone_is_left_out_and_one_by_two_names_counts_once(tmp_path: Path) -> None:
    places = machine(tmp_path)
    there = profile(places.home / ".mozilla/firefox")
    (places.config / "mozilla").mkdir(parents=True)
    (places.config / "mozilla/firefox").symlink_to(there.parent)
    with (there.parent / "profiles.ini").open("a") as file:
        file.write("[Profile9]\nName=gone\nPath=gone\n")
    assert [each.folder for each in firefox_stores(places)] == [there]


def test_a_list_that_is_not_text_is_named(tmp_path: Path) -> None:
    places = machine(tmp_path)
    put(places.home / ".mozilla/firefox/profiles.ini", b"[Profile0]\nPath=\xff\n")
    with pytest.raises(StorageError, match="not UTF-8"):
        firefox_stores(places)


def test_a_named_profile_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        named_profile(tmp_path / "nowhere")
    assert named_profile(tmp_path).folder == tmp_path


def test_an_installed_firefox_without_a_profile_is_named(tmp_path: Path) -> None:
    places = machine(tmp_path)
    program(places.root / "usr/bin/firefox")
    program(places.root / "snap/bin/firefox")
    profile(places.home / ".mozilla/firefox")
    assert holder.without_profile(places) == ["Firefox (snap)"]


def test_databases_that_chromium_shares_old_and_new(tmp_path: Path) -> None:
    places = machine(tmp_path)
    program(places.root / "usr/bin/chromium")
    [new] = holder.stores(places, frozenset({Family.CHROMIUM}))
    assert (new.folder, new.exists) == (places.home / ".pki/nssdb", False)
    put(places.data / "pki/nssdb/cert9.db")
    [young] = holder.stores(places, frozenset({Family.CHROMIUM}))
    assert (young.folder, young.exists) == (places.data / "pki/nssdb", True)
    put(places.home / ".pki/nssdb/cert9.db")
    both = holder.stores(places, frozenset({Family.CHROMIUM}))
    assert [each.folder for each in both] == [places.home / ".pki/nssdb", places.data / "pki/nssdb"]


def test_a_database_exists_without_an_installed_browser_but_is_not_made_for_none(tmp_path: Path) -> None:
    places = machine(tmp_path)
    assert holder.stores(places, frozenset({Family.CHROMIUM})) == []
    put(places.home / ".pki/nssdb/cert9.db")
    assert [each.folder for each in holder.stores(places, frozenset({Family.CHROMIUM}))] == [
        places.home / ".pki/nssdb"
    ]


def test_sandboxes_have_databases_of_their_own(tmp_path: Path) -> None:
    places = machine(tmp_path)
    put(places.home / "snap/chromium/2999/.pki/nssdb/cert9.db")
    (places.home / "snap/chromium/current").symlink_to("2999")
    put(places.home / ".var/app/com.google.Chrome/data/pki/nssdb/cert9.db")
    found = {each.folder: each.packaging for each in chromium_stores(places) if each.exists}
    assert found == {
        places.home / "snap/chromium/2999/.pki/nssdb": Packaging.SNAP,
        places.home / ".var/app/com.google.Chrome/data/pki/nssdb": Packaging.FLATPAK,
    }


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
        "usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
        "usr/lib64/opensc-pkcs11.so",
        "usr/lib64/pkcs11/opensc-pkcs11.so",
        "usr/lib/pkcs11/opensc-pkcs11.so",
        "usr/lib/opensc-pkcs11.so",
        "home/linuxbrew/.linuxbrew/lib/opensc-pkcs11.so",
        "usr/lib/x86_64-linux-gnu/libykcs11.so",
        "usr/local/lib/libykcs11.so.2",
    ],
)
def test_a_module_in_each_place(tmp_path: Path, path: str) -> None:
    places = machine(tmp_path)
    put(places.root / path)
    assert need_module(places).library == str(places.root / path)


def test_opensc_comes_before_ykcs11_and_none_is_named(tmp_path: Path) -> None:
    places = machine(tmp_path)
    assert find_module(places) is None
    with pytest.raises(InputError, match=r"No PKCS#11 module was found"):
        need_module(places)
    put(places.root / "usr/lib/x86_64-linux-gnu/libykcs11.so")
    put(places.root / "usr/lib64/opensc-pkcs11.so")
    assert need_module(places).name == "OpenSC (pivgate)"


def test_a_named_module_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no module"):
        named_module(tmp_path / "nothing.so")
    assert named_module(put(tmp_path / "mine.so")).name == "mine (pivgate)"
