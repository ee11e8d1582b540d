# SPDX-License-Identifier: Apache-2.0
"""The holder's part: which databases there are, and a job for each."""

from pathlib import Path

from pivgate.browser import chromium, firefox
from pivgate.browser.change import read
from pivgate.browser.database import Authority, Database, wish
from pivgate.browser.found import Family, Store
from pivgate.browser.nss import Tools
from pivgate.browser.places import Places
from pivgate.browser.record import Entry
from pivgate.browser.sandbox import Reach
from pivgate.browser.setup import Job

NAMES = {Family.FIREFOX: "Firefox", Family.CHROMIUM: "Chromium"}


def stores(places: Places, families: frozenset[Family]) -> list[Store]:
    """Return the databases of the families.

    A database of Chromium's that does not exist yet is only among them if such a browser is installed.
    """
    found = firefox.firefox_stores(places) if Family.FIREFOX in families else []
    if Family.CHROMIUM in families:
        installed = {(each.packaging, each.identity) for each in chromium.chromium_browsers(places)}
        found += [
            store
            for store in chromium.chromium_stores(places)
            if store.exists or (store.packaging, store.identity) in installed
        ]
    return found


def without_profile(places: Places) -> list[str]:
    """Return the installed Firefox browsers whose packaging has no profile yet: they were never started."""
    used = {store.packaging for store in firefox.firefox_stores(places)}
    return [
        f"{each.name} ({each.packaging.value})"
        for each in firefox.firefox_browsers(places)
        if each.packaging not in used
    ]


def job(store: Store, reached: Reach, authorities: tuple[Authority, ...], tools: Tools | None) -> Job:
    """Return what is to be done to one database; nothing where its browser can load no module.

    While a browser has it open only the list of modules is written: it is read at the next start, whereas the
    database itself is the browser's.
    """
    running = runs(store)
    target = Database(store.folder, tools, live=running)
    wanted = wish(reached.module, authorities) if reached.module else {}
    deferred = ""
    if running and (lacking := Database(store.folder, tools).missing(_certificates(store.folder), wanted)):
        deferred = ", ".join(lacking.get("authorities", {}))
    return Job(
        target,
        wanted,
        NAMES[store.family],
        name_of(store),
        runs=running,
        deferred=deferred,
        lacks=(reached.cause, reached.remedy),
        check=target.check,
    )


def job_of(entry: Entry, known: list[Store], tools: Tools | None) -> Job:
    """Return the job of a database that is in the record, to undo it."""
    place = Path(entry.place)
    store = next((each for each in known if each.folder == place), None) or firefox.store_at(place)
    target = Database(place, tools)
    return Job(target, {}, NAMES[store.family], name_of(store), runs=runs(store), check=target.check)


def runs(store: Store) -> bool:
    """Say whether a browser has this database open."""
    return firefox.runs(store) if store.family is Family.FIREFOX else chromium.runs(store)


def _certificates(folder: Path) -> dict[Path, bytes | None]:
    return read((folder / "cert9.db", folder / "pkcs11.txt"))


def name_of(store: Store) -> str:
    """Return what a database is called, for people."""
    return store.name if not store.identity else f"{store.name} ({store.packaging.value})"
