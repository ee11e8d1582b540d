# SPDX-License-Identifier: Apache-2.0
"""Finds Firefox and its profiles on Linux: from packages, as a snap, as a flatpak."""

from pathlib import Path

from pivgate.browser.found import Browser, Family, Packaging, Store
from pivgate.browser.lock import firefox_runs
from pivgate.browser.places import Places
from pivgate.browser.profiles_ini import named_profiles
from pivgate.errors import InputError, StorageError
from pivgate.files import read_file

FLATPAK = "org.mozilla.firefox"
SNAP = "firefox"

# Program → what people call it. Debian's and Ubuntu's packages, Fedora's, Mozilla's own.
_PROGRAMS = {
    "firefox-esr": "Firefox ESR",
    "firefox": "Firefox",
    "firefox-beta": "Firefox Beta",
    "firefox-devedition": "Firefox Developer Edition",
    "firefox-nightly": "Firefox Nightly",
}
# How Debian's script of the name `firefox` starts the other one.
_ESR = b"exec firefox-esr"
_FOLDERS = ("usr/bin", "usr/local/bin", "opt/firefox", "usr/lib/firefox", "usr/lib64/firefox")


def firefox_browsers(places: Places) -> list[Browser]:
    """Return every Firefox that is installed."""
    browsers = []
    for program, name in _PROGRAMS.items():
        paths = (places.root / folder / program for folder in _FOLDERS)
        if path := next((each for each in paths if each.is_file() and not starts_another(each, _ESR)), None):
            browsers.append(Browser(name, Family.FIREFOX, Packaging.SYSTEM, path))
    if (snap := places.root / "snap/bin/firefox").exists():
        browsers.append(Browser("Firefox", Family.FIREFOX, Packaging.SNAP, snap, SNAP))
    browsers += [
        Browser("Firefox", Family.FIREFOX, Packaging.FLATPAK, path, FLATPAK)
        for path in flatpak_exports(places, FLATPAK)
    ]
    return browsers


def firefox_stores(places: Places) -> list[Store]:
    """Return every profile of every Firefox, also of one that is not installed any more."""
    flatpak = places.home / ".var/app" / FLATPAK
    roots = [
        (places.home / ".mozilla/firefox", Packaging.SYSTEM, ""),
        # From Firefox 147 on, where ~/.mozilla is not there.
        (places.config / "mozilla/firefox", Packaging.SYSTEM, ""),
        (places.home / "snap/firefox/common/.mozilla/firefox", Packaging.SNAP, SNAP),
        (places.home / "snap/firefox/common/.config/mozilla/firefox", Packaging.SNAP, SNAP),
        (flatpak / ".mozilla/firefox", Packaging.FLATPAK, FLATPAK),
        (flatpak / "config/mozilla/firefox", Packaging.FLATPAK, FLATPAK),
    ]
    found: dict[Path, Store] = {}
    for root, packaging, identity in roots:
        for folder, name in _profiles(root).items():
            if folder.is_dir():
                found.setdefault(folder.resolve(), _store(folder.resolve(), name, packaging, identity))
    return list(found.values())


def named_profile(folder: Path) -> Store:
    """Return the profile in a folder that somebody named.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}", "Give the folder that about:support names as Profile Directory."
        )
    return store_at(folder.resolve())


def store_at(folder: Path) -> Store:
    """Return the profile in a folder, which may be gone."""
    return _store(folder, folder.name, Packaging.SYSTEM, "")


def flatpak_exports(places: Places, identity: str) -> list[Path]:
    """Return what starts a flatpak, of the whole machine and of the holder."""
    folders = (places.root / "var/lib/flatpak", places.data / "flatpak")
    return [path for folder in folders if (path := folder / "exports/bin" / identity).exists()]


def runs(store: Store) -> bool:
    """Say whether a Firefox has this profile open."""
    return firefox_runs(store.folder)


def _store(folder: Path, name: str, packaging: Packaging, identity: str) -> Store:
    exists = (folder / "cert9.db").exists()
    return Store(Family.FIREFOX, packaging, folder, name, exists, identity=identity)


def _profiles(root: Path) -> dict[Path, str]:
    try:
        texts = [
            read_file(path).decode() if path.is_file() else ""
            for path in (root / "profiles.ini", root / "installs.ini")
        ]
    except UnicodeDecodeError as error:
        raise StorageError(
            f"A list of profiles in {root} is damaged: byte {error.start} is not UTF-8",
            "Start Firefox once, which mends it, or name the profile with --profile.",
        ) from error
    return named_profiles(root, *texts)


def starts_another(path: Path, *commands: bytes) -> bool:
    """Tell a program from what only starts another: a snap, as Ubuntu's do, or by one of these commands."""
    if "snap" in path.resolve().parts:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    return start.startswith(b"#!") and any(command in start for command in (b"/snap/bin/", *commands))
