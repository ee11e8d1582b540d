# SPDX-License-Identifier: Apache-2.0
"""Finds Chromium and its relatives on Linux, and the NSS databases that they read."""

from dataclasses import dataclass
from pathlib import Path

from pivgate.browser.firefox import flatpak_exports, starts_another
from pivgate.browser.found import Browser, Family, Packaging, Store
from pivgate.browser.lock import chromium_runs
from pivgate.browser.places import Places


@dataclass(frozen=True)
class Kind:
    """A browser of the family, and its names in each packaging.

    Attributes:
        name: What people call it.
        programs: What starts it.
        user_data: Its folders below the holder's configuration.
        policies: Where it reads policies, below the root; the folder has ``managed`` in it. Empty where that
            is not documented.
        snap: Its name as a snap.
        flatpak: Its name as a flatpak.
    """

    name: str
    programs: tuple[str, ...]
    user_data: tuple[str, ...]
    policies: str
    snap: str = ""
    flatpak: str = ""


KINDS = (
    Kind(
        "Chromium",
        ("usr/bin/chromium", "usr/bin/chromium-browser", "usr/lib64/chromium-browser/chromium-browser"),
        ("chromium",),
        "etc/chromium/policies",
        snap="chromium",
        flatpak="org.chromium.Chromium",
    ),
    Kind(
        "Chrome",
        ("usr/bin/google-chrome", "usr/bin/google-chrome-stable", "opt/google/chrome/google-chrome"),
        ("google-chrome", "google-chrome-beta", "google-chrome-unstable"),
        "etc/opt/chrome/policies",
        flatpak="com.google.Chrome",
    ),
    Kind(
        "Edge",
        ("usr/bin/microsoft-edge", "usr/bin/microsoft-edge-stable", "opt/microsoft/msedge/microsoft-edge"),
        ("microsoft-edge", "microsoft-edge-beta", "microsoft-edge-dev"),
        "etc/opt/edge/policies",
        flatpak="com.microsoft.Edge",
    ),
    Kind(
        "Brave",
        (
            "usr/bin/brave-browser",
            "usr/bin/brave-browser-stable",
            "usr/bin/brave",
            "opt/brave.com/brave/brave",
        ),
        ("BraveSoftware/Brave-Browser",),
        "etc/brave/policies",
        snap="brave",
        flatpak="com.brave.Browser",
    ),
    Kind(
        "Vivaldi",
        ("usr/bin/vivaldi", "usr/bin/vivaldi-stable", "opt/vivaldi/vivaldi"),
        ("vivaldi",),
        # Vivaldi does not document where it looks on Linux.
        "",
        flatpak="com.vivaldi.Vivaldi",
    ),
)


def chromium_browsers(places: Places) -> list[Browser]:
    """Return every browser of the family that is installed."""
    browsers = []
    for kind in KINDS:
        paths = (places.root / program for program in kind.programs)
        if path := next((each for each in paths if each.is_file() and not starts_another(each)), None):
            browsers.append(Browser(kind.name, Family.CHROMIUM, Packaging.SYSTEM, path))
        if kind.snap and (snap := places.root / "snap/bin" / kind.snap).exists():
            browsers.append(Browser(kind.name, Family.CHROMIUM, Packaging.SNAP, snap, kind.snap))
        if kind.flatpak:
            browsers += [
                Browser(kind.name, Family.CHROMIUM, Packaging.FLATPAK, path, kind.flatpak)
                for path in flatpak_exports(places, kind.flatpak)
            ]
    return browsers


def chromium_stores(places: Places) -> list[Store]:
    """Return the databases: what is shared by those from packages, and each sandbox's own.

    Where there is none, one at ``~/.pki/nssdb``: every version reads that if it exists, newer ones otherwise
    make ``~/.local/share/pki/nssdb``.
    """
    users = tuple(places.config / folder for kind in KINDS for folder in kind.user_data)
    stores = _stores(
        Packaging.SYSTEM,
        "",
        (places.home / ".pki/nssdb", places.data / "pki/nssdb"),
        users,
        "shared database",
    )
    for kind in KINDS:
        if kind.snap and (home := places.home / "snap" / kind.snap).is_dir():
            # What a revision keeps for itself is in "current", what all share in "common".
            current, common = (home / "current").resolve(), home / "common"
            stores += _stores(
                Packaging.SNAP,
                kind.snap,
                (current / ".pki/nssdb", current / ".local/share/pki/nssdb", common / ".pki/nssdb"),
                tuple(common / folder for folder in kind.user_data),
                f"{kind.name}'s database",
            )
        if kind.flatpak and (home := places.home / ".var/app" / kind.flatpak).is_dir():
            stores += _stores(
                Packaging.FLATPAK,
                kind.flatpak,
                (home / ".pki/nssdb", home / "data/pki/nssdb"),
                tuple(home / "config" / folder for folder in kind.user_data),
                f"{kind.name}'s database",
            )
    return stores


def runs(store: Store) -> bool:
    """Say whether a browser that reads this database runs."""
    return any(chromium_runs(folder) for folder in store.users)


def _stores(
    packaging: Packaging, identity: str, folders: tuple[Path, ...], users: tuple[Path, ...], name: str
) -> list[Store]:
    there = [folder for folder in folders if (folder / "cert9.db").exists()]
    return [
        Store(Family.CHROMIUM, packaging, folder, name, bool(there), users, identity)
        for folder in there or folders[:1]
    ]
