# SPDX-License-Identifier: Apache-2.0
"""Which browsers have the module and the authorities, read from what they read."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pivgate.browser import firefox_policy
from pivgate.browser.change import read
from pivgate.browser.database import Authority, Database, wish
from pivgate.browser.firefox_policy import FirefoxPolicy
from pivgate.browser.found import Family, Store
from pivgate.browser.module_list import Module
from pivgate.browser.places import Places


@dataclass(frozen=True)
class Held:
    """What one database, with the policies over it, lacks.

    Attributes:
        store: The database.
        module: It has the module.
        authorities: The names of authorities that it lacks.
    """

    store: Store
    module: bool
    authorities: tuple[str, ...]


def held(places: Places, store: Store, module: Module, authorities: tuple[Authority, ...]) -> Held:
    """Say what of module and authorities a browser has.

    Raises:
        StorageError: Its database cannot be read.
    """
    database = Database(store.folder, None)
    missing = database.missing(read(database.paths), wish(module, authorities))
    lacks_module, lacking = "module" in missing, tuple(missing.get("authorities", {}))
    if store.family is Family.FIREFOX and (lacks_module or lacking):
        policy = _policy(places)
        lacks_module = lacks_module and module.library not in policy[0]
        lacking = tuple(
            each.nickname for each in authorities if each.nickname in lacking and each.der not in policy[1]
        )
    return Held(store, not lacks_module, lacking)


def _policy(places: Places) -> tuple[list[str], list[bytes]]:
    """Return the modules and the certificates of Firefox's policy."""
    target = FirefoxPolicy(places.root / firefox_policy.FILE)
    text = read(target.paths)[target.place]
    if text is None:
        return [], []
    modules, paths = target.listed(text)
    certificates = [_der(places.root / path.lstrip("/")) for path in paths if path.startswith("/")]
    return modules, [der for der in certificates if der]


def _der(path: Path) -> bytes:
    data = read((path,))[path]
    try:
        return ssl.PEM_cert_to_DER_cert((data or b"").decode())
    except (ValueError, UnicodeDecodeError):
        return data or b""
