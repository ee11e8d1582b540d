# SPDX-License-Identifier: Apache-2.0
"""The browsers of whoever looks: which there are, what they can load, and what their databases hold."""

from dataclasses import dataclass
from pathlib import Path

from pivgate.browser import holder
from pivgate.browser.ask_module import ask_module
from pivgate.browser.change import read
from pivgate.browser.chromium import chromium_browsers
from pivgate.browser.firefox import firefox_browsers
from pivgate.browser.found import Family, Packaging, Store
from pivgate.browser.module import find_module
from pivgate.browser.module_list import Module, modules
from pivgate.browser.nss import MODULES
from pivgate.browser.sandbox import Reach, reach
from pivgate.browser.state import held
from pivgate.doctor.card_facts import CardFacts
from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.errors import PivgateError


@dataclass(frozen=True)
class StoreFacts:
    """A database that a browser reads.

    Attributes:
        name: What people call it.
        packaging: How its browser came to the machine.
        folder: Where it is.
        reach: What its browser can load.
        has_module: Whether it lists that module, or why that cannot be told.
        gone: Libraries that it lists and that do not exist.
    """

    name: str
    packaging: Packaging
    folder: Path
    reach: Reach
    has_module: bool | Trouble
    gone: tuple[str, ...]


@dataclass(frozen=True)
class BrowsersFacts:
    """Browsers.

    Attributes:
        installed: How many there are.
        module: The module through which they reach a key; None if there is none.
        broken: Why it cannot be loaded; None if it can, or there is none.
        stores: Their databases.
        trouble: Why the databases cannot be listed; None if they can.
    """

    installed: int
    module: Module | None
    broken: Trouble | None
    stores: tuple[StoreFacts, ...]
    trouble: Trouble | None = None


def gather_browsers(place: Place, cards: CardFacts) -> BrowsersFacts:  # noqa: ARG001
    """Look at each browser's database. It comes after the cards: the module opens them, too."""
    where = place.browsers
    module = find_module(where)
    try:
        installed = len(firefox_browsers(where)) + len(chromium_browsers(where))
        stores = holder.stores(where, frozenset(Family))
    except PivgateError as error:
        return BrowsersFacts(1, module, None, (), Trouble.of(error))
    if not installed and not stores:
        return BrowsersFacts(0, module, None, ())
    broken = None
    if module is not None:
        try:
            ask_module(module.library, place.environment)
        except PivgateError as error:
            broken = Trouble.of(error)
    return BrowsersFacts(installed, module, broken, tuple(_store(place, each, module) for each in stores))


def _store(place: Place, store: Store, module: Module | None) -> StoreFacts:
    reached = reach(place.browsers, store, module)
    name = f"{holder.NAMES[store.family]}, {holder.name_of(store)}"
    try:
        has: bool | Trouble = (
            held(place.browsers, store, reached.module, ()).module if reached.module else False
        )
        gone = _gone(place, store)
    except PivgateError as error:
        has, gone = Trouble.of(error), ()
    return StoreFacts(name, store.packaging, store.folder, reached, has, gone)


def _gone(place: Place, store: Store) -> tuple[str, ...]:
    """Return libraries that are listed and not there; only a browser without a sandbox sees our files."""
    if store.packaging is not Packaging.SYSTEM:
        return ()
    path = store.folder / MODULES
    listed = [each.library for each in modules(read((path,))[path] or b"")]
    # A name without a folder is looked for by the dynamic linker.
    return tuple(
        library
        for library in listed
        if library.startswith("/") and not Path(library).exists() and not _below(place.root, library).exists()
    )


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
