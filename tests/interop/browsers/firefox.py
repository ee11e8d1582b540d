# SPDX-License-Identifier: Apache-2.0
"""A headless Firefox with a profile of its own, and a holder at it who answers its dialogs."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.browser.marionette import Marionette

PATIENCE = 40.0
"""Seconds for what a busy machine may take long for: the start, a page."""

NOTHING_HAPPENS = 0x80004004
"""NS_ERROR_ABORT: the tab stays as it was, without a word. Over TLS 1.3 a gate says no to a certificate after
the handshake, and that is all that Firefox makes of an HTTP/2 connection which ends so early."""

# Firefox's error pages keep their text in shadow trees.
_READ = """
const texts = [document.body?.innerText ?? ""];
for (const element of document.querySelectorAll("*")) {
  for (const child of element.shadowRoot?.children ?? []) {
    texts.push(child.tagName == "STYLE" || child.tagName == "LINK" ? "" : child.innerText ?? "");
  }
}
const text = texts.join("\\n").replace(/\\s*\\n\\s*/g, "\\n").trim();
return [location.href, document.title, text];
"""

_DOCUMENT = "return gBrowser.selectedBrowser.browsingContext.currentWindowGlobal?.documentURI.spec ?? ''"

WATCH = Path(__file__).with_name("firefox_watch.js").read_text()

_COMMAND = ("firefox-esr", "--headless", "--marionette", "-remote-allow-system-access", "--no-remote")

# Nothing that calls home, no first-run pages, no animation; the rest is as shipped.
PREFERENCES: dict[str, bool | int | str] = {
    "marionette.port": 0,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.tabs.warnOnClose": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "termsofuse.bypassNotification": True,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.disabledForTesting": True,
    "app.normandy.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "ui.prefersReducedMotion": 1,
}


@dataclass(frozen=True)
class Page:
    """What a tab shows.

    Attributes:
        url: Its address; of an error page, the address that was asked for.
        title: Its title.
        text: What can be read on it.
        status: How loading it ended: 0, or the nsresult of a failure.
        error: The name of Firefox's error page, such as ``nssFailure2``; empty for a page of a server.
    """

    url: str
    title: str
    text: str
    status: int
    error: str


class Firefox:
    """A running Firefox.

    Args:
        marionette: A session with it.
        folder: Where the script inside it writes what happens and reads what to answer.
        pictures: Where pictures are kept.
    """

    def __init__(self, marionette: Marionette, folder: Path, pictures: Path) -> None:
        self.marionette = marionette
        self._folder = folder
        self._pictures = pictures
        self._events = folder / "events.jsonl"
        self._events.touch()
        self.answer()
        marionette.chrome(WATCH, str(folder))

    def answer(self, pins: Sequence[str] = (), certificates: Sequence[str] = ()) -> None:
        """Decide what the holder answers from now on; what is not foreseen is cancelled.

        Args:
            pins: What is typed at each PIN prompt.
            certificates: Which certificate is chosen at each question: a part of its label in the list.
        """
        answers = {"pins": list(pins), "certificates": list(certificates)}
        (self._folder / "answers.json").write_text(json.dumps(answers))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return what happened so far, in order.

        Args:
            kind: ``pin``, ``picker``, ``message`` or ``loaded``.
        """
        lines = [json.loads(line) for line in self._events.read_text().splitlines()]
        faults = [line["text"] for line in lines if line["kind"] == "fault"]
        assert not faults, faults
        return [line for line in lines if line["kind"] == kind]

    def open(self, url: str) -> Page:
        """Type an address and wait until the tab has done with it."""
        before = len(self.events("loaded"))
        self.marionette.chrome(
            "gBrowser.selectedBrowser.fixupAndLoadURIString(arguments[0], {"
            "triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal()})",
            url,
        )
        return self.after(before)

    def click(self, selector: str) -> Page:
        """Click a link of the page that leads to another one, and wait for that."""
        before = len(self.events("loaded"))
        self.marionette.page("document.querySelector(arguments[0]).click()", selector)
        return self.after(before)

    def reload(self) -> Page:
        """Press F5 and wait."""
        before = len(self.events("loaded"))
        self.marionette.chrome("gBrowser.reload()")
        return self.after(before)

    def after(self, before: int) -> Page:
        """Wait until one more page has been loaded than before, and return what the tab shows."""
        deadline = time.monotonic() + PATIENCE
        while len(loaded := self.events("loaded")) <= before:
            assert time.monotonic() < deadline, f"still loading; {self._events.read_text()}"
            time.sleep(0.02)
        return self.shown(loaded[-1]["status"])

    def shown(self, status: int = 0) -> Page:
        """Return what the tab shows; after a failure that has an error page, when it can be read.

        Args:
            status: How loading it ended.
        """
        if status in (0, NOTHING_HAPPENS):
            url, title, text = self.marionette.page(_READ)
            return Page(url, title, text, status, "")
        deadline = time.monotonic() + PATIENCE
        # No script may run in the page that is about to make room for the error page.
        while not (error := re.match(r"about:(?:net|cert)error\?e=(\w+)", self.marionette.chrome(_DOCUMENT))):
            assert time.monotonic() < deadline, f"no error page for {status:#x}"
            time.sleep(0.02)
        while True:
            url, title, text = self.marionette.page(_READ)
            if title and text:
                return Page(url, title, text, status, error[1])
            assert time.monotonic() < deadline, f"an empty error page, {error[0]}"
            time.sleep(0.02)

    def prefer(self, name: str, value: bool | int) -> None:
        """Change a setting in about:config; of TLS, it holds for new connections."""
        kind = "Bool" if isinstance(value, bool) else "Int"
        self.marionette.chrome(f"Services.prefs.set{kind}Pref(arguments[0], arguments[1])", name, value)

    def tls_version(self) -> str:
        """Return the version of TLS by which the page in the tab came."""
        number = self.marionette.chrome("return gBrowser.securityUI.secInfo.protocolVersion")
        return {3: "1.2", 4: "1.3"}[number]

    def picture(self, name: str) -> None:
        """Keep a picture of the whole window."""
        (self._pictures / f"{name}.png").write_bytes(self.marionette.picture())

    def picture_of(self, event: dict[str, Any], name: str) -> None:
        """Keep the picture of a dialog."""
        shutil.copy(self._folder / event["picture"], self._pictures / f"{name}.png")


@contextmanager
def firefox(profile: Path, environment: dict[str, str], pictures: Path) -> Iterator[Firefox]:
    """Run Firefox on a profile; end it and all its processes afterwards.

    Args:
        profile: An existing profile; its user.js is not touched.
        environment: The whole environment, with a home folder and the way to the PC/SC service.
        pictures: Where pictures are kept.
    """
    folder = profile.parent / f"{profile.name}-run"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    (profile / "MarionetteActivePort").unlink(missing_ok=True)
    with (folder / "firefox.log").open("wb") as log:
        process = subprocess.Popen(
            [*_COMMAND, "--profile", str(profile)],
            env={**environment, "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with Marionette(_port(profile, process, folder / "firefox.log")) as marionette:
            yield Firefox(marionette, folder, pictures)
            marionette.command("Marionette:Quit", flags=["eForceQuit"])
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def write_preferences(profile: Path, **more: bool | int | str) -> None:
    """Write a profile's user.js: what tests need, and more; dots in names are written as two underscores."""
    values = PREFERENCES | {name.replace("__", "."): value for name, value in more.items()}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in values.items()]
    (profile / "user.js").write_text("".join(lines))


def _port(profile: Path, process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return int((profile / "MarionetteActivePort").read_text())
        except (FileNotFoundError, ValueError):
            said = log.read_text(errors="replace")[-2000:]
            assert process.poll() is None, f"Firefox has ended: {said}"
            assert time.monotonic() < deadline, f"Firefox does not start: {said}"
            time.sleep(0.02)
