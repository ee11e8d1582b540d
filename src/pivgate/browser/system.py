# SPDX-License-Identifier: Apache-2.0
"""The machine's part, for every holder on it: enterprise policies of Firefox and of Chromium's browsers."""

import base64
import ssl
from pathlib import Path

from pivgate.browser import chromium_policy, firefox_policy, plain_file
from pivgate.browser.change import Target, read
from pivgate.browser.chromium import KINDS, chromium_browsers
from pivgate.browser.chromium_policy import ChromiumPolicy
from pivgate.browser.database import Authority
from pivgate.browser.firefox import firefox_browsers
from pivgate.browser.firefox_policy import FirefoxPolicy
from pivgate.browser.found import Browser, Packaging
from pivgate.browser.module_list import Module
from pivgate.browser.places import Places
from pivgate.browser.plain_file import PlainFile
from pivgate.browser.record import Entry
from pivgate.browser.setup import Job
from pivgate.files import storage_error

# Where the snap of Ubuntu's Chromium looks, by its interface etc-chromium-browser-policies.
_SNAP_POLICIES = "etc/chromium-browser/policies"


def firefox_jobs(places: Places, module: Module, authorities: tuple[Authority, ...]) -> list[Job]:
    """Return what is to be done for Firefox: its policy file, and each authority's certificate beside it."""
    if not any(each.packaging is not Packaging.FLATPAK for each in firefox_browsers(places)):
        return []
    place = places.root / firefox_policy.FILE
    jobs = []
    paths = []
    for authority in authorities:
        path = place.parent / f"{_file_name(authority)}.pem"
        data = ssl.DER_cert_to_PEM_cert(authority.der).encode()
        wanted = {"data": base64.b64encode(data).decode()}
        jobs.append(Job(PlainFile(path), wanted, "Firefox", "authority for all profiles"))
        # As Firefox finds it, whose root is the machine's.
        paths.append(f"/{path.relative_to(places.root)}")
    target = FirefoxPolicy(place, _hidden(places))
    wishes = {"modules": {module.name: module.library}, "authorities": paths}
    return [*jobs, Job(target, wishes, "Firefox", "policy for all profiles")]


def chromium_jobs(places: Places, sites: tuple[str, ...], issuer: str) -> list[Job]:
    """Return what is to be done for each of Chromium's browsers that reads a folder of policies."""
    entries = [chromium_policy.entry(site, issuer) for site in sites]
    folders = {folder: browser for browser in chromium_browsers(places) if (folder := _policies(browser))}
    jobs = []
    for folder, browser in folders.items():
        managed = places.root / folder / "managed"
        target = ChromiumPolicy(managed / chromium_policy.file_in_force(_files(managed)))
        jobs.append(Job(target, {"entries": entries}, browser.name, "policy for all profiles"))
    return jobs


def has_chromium(places: Places) -> bool:
    """Say whether there is a browser of Chromium's family whose policies we can write."""
    return any(_policies(each) for each in chromium_browsers(places))


def job_of(entry: Entry) -> Job:
    """Return the job of a target in the record, to undo it."""
    place = Path(entry.place)
    targets: dict[str, Target] = {
        chromium_policy.KIND: ChromiumPolicy(place),
        firefox_policy.KIND: FirefoxPolicy(place),
        plain_file.KIND: PlainFile(place),
    }
    browser = "Chromium" if entry.kind == chromium_policy.KIND else "Firefox"
    return Job(targets[entry.kind], {}, browser, "policy for all profiles")


def _policies(browser: Browser) -> str:
    if browser.packaging is Packaging.SNAP:
        return _SNAP_POLICIES if browser.identity == "chromium" else ""
    if browser.packaging is Packaging.FLATPAK:
        return ""
    return next(kind.policies for kind in KINDS if kind.name == browser.name)


def _hidden(places: Places) -> Path | None:
    return next(
        (path for each in firefox_policy.DISTRIBUTIONS if (path := places.root / each).is_file()), None
    )


def _files(managed: Path) -> dict[str, bytes]:
    try:
        paths = [path for path in managed.iterdir() if path.is_file()] if managed.is_dir() else []
    except OSError as error:
        raise storage_error("read", managed, error) from error
    return {path.name: data for path, data in read(tuple(paths)).items() if data is not None}


def _file_name(authority: Authority) -> str:
    return "pivgate-" + authority.nickname.rpartition(" ")[2].rstrip(")")
