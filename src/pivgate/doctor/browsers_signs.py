# SPDX-License-Identifier: Apache-2.0
"""Examinations of the browsers. Pure."""

from collections.abc import Iterator

from pivgate.browser.found import Packaging
from pivgate.browser.module import INSTALL
from pivgate.doctor.browsers_facts import BrowsersFacts
from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen


def module(facts: BrowsersFacts) -> Iterator[Finding | Unseen]:
    """Is there a module through which browsers reach a key, and does it load?"""
    if facts.trouble:
        yield found("browser-database-damaged", "browsers", facts.trouble.message, facts.trouble.hint)
    elif not facts.installed and not facts.stores:
        yield Unseen("browsers", "there is none here")
    elif facts.module is None and any(store.packaging is Packaging.SYSTEM for store in facts.stores):
        yield found(
            "module-missing",
            "PKCS#11 module",
            "no OpenSC is installed, through which a browser reaches the key",
            INSTALL,
        )
    elif facts.broken:
        yield found("module-broken", "PKCS#11 module", facts.broken.message, facts.broken.hint)


def sandboxes(facts: BrowsersFacts) -> Iterator[Finding]:
    """Does no sandbox keep a browser from the key?"""
    for store in facts.stores:
        if store.packaging is not Packaging.SYSTEM and store.reach.cause:
            yield found("browser-sandboxed", store.name, store.reach.cause, store.reach.remedy)


def databases(facts: BrowsersFacts) -> Iterator[Finding]:
    """Does each browser's database list a module that is there?"""
    for store in facts.stores:
        if isinstance(store.has_module, Trouble):
            yield found(
                "browser-database-damaged", store.name, store.has_module.message, store.has_module.hint
            )
            continue
        for library in store.gone:
            yield found(
                "browser-module-gone",
                store.name,
                f"its list of modules names {library}, which is not there any more",
                "`pivgate browser setup` enters the one that is; then take the old one out: Settings, "
                "Privacy & "
                "Security, Security Devices in Firefox, `modutil -dbdir sql:"
                f"{store.folder} -delete NAME` for Chromium.",
            )
        if store.reach.module and not store.has_module and not store.gone:
            yield found(
                "browser-not-set-up",
                store.name,
                "it does not know the module through which it would reach the key",
                "`pivgate browser setup`",
            )
