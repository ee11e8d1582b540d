# SPDX-License-Identifier: Apache-2.0
"""A real Firefox for the demo, with a profile of its own, and an emulated key behind PC/SC for it.

Without a display it runs without a window; its PIN prompt is answered, and pictures show what would be seen.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pivgate.errors import DeviceError, GateError, InputError

if TYPE_CHECKING:
    from pivgate.browser.marionette import Marionette
    from pivgate.emulator.yubikey import EmulatedYubiKey

_PATIENCE = 30.0
# Until the tab has left off saying that it loads.
_SETTLING = 0.3
_ANSWERS = Path(__file__).with_name("demo_firefox.js")

_REMOTE_CONTROL = ("--headless", "--marionette", "-remote-allow-system-access")
_SHOWN = "return [document.documentURI, document.readyState, document.querySelector('h1')?.innerText ?? '']"

# A first start that shows the page that was asked for, and nothing else.
_PREFERENCES = """\
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("termsofuse.bypassNotification", true);
user_pref("marionette.port", 0);
"""


def find_firefox() -> str:
    """Return the path of Firefox.

    Raises:
        InputError: There is none.
    """
    found = shutil.which("firefox") or shutil.which("firefox-esr")
    if found is None:
        raise InputError(
            "Firefox is not installed, and --browser shows it",
            "On Debian: `apt install firefox-esr`. Without --browser the demo needs none.",
        )
    return found


def has_display() -> bool:
    """Say whether a window can be opened here."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def plugged_in(yubikey: "EmulatedYubiKey", place: Path) -> Iterator[dict[str, str]]:
    """Put a key behind a PC/SC service of its own; yield what programs need in their environment to see it.

    Raises:
        DeviceError: pcscd, or what it takes, is missing.
    """
    from pivgate.emulator.pcsc.driver import PcscSetupError
    from pivgate.emulator.pcsc.reader import VirtualReader
    from pivgate.emulator.pcsc.service import PcscService

    folder = place / "pcsc"
    folder.mkdir(mode=0o700)
    reader = VirtualReader(folder / "key.sock", yubikey)
    service = PcscService(folder, [reader])
    try:
        service.start()
    except PcscSetupError as error:
        raise DeviceError(str(error), error.remedy) from error
    try:
        reader.insert()
        reader.await_power(_PATIENCE)
        yield service.environment
    finally:
        reader.remove()
        service.stop()


def set_up_profile(profile: Path, state: Path, authority: Path, environment: dict[str, str]) -> str:
    """Make a Firefox profile and let ``pivgate browser setup`` bring the key into it.

    Args:
        profile: Where the profile is made.
        state: Where the set-up may note how to undo it; of no use once the profile is gone.
        authority: What signed the site's own certificate, PEM.
        environment: What programs need to see the key.

    Raises:
        InputError: The set-up failed; what it said is told.
    """
    profile.mkdir()
    (profile / "user.js").write_text(_PREFERENCES)
    command = [sys.executable, "-m", "pivgate", "browser", "setup", "--browser", "firefox"]
    done = subprocess.run(  # noqa: S603 - this program
        [*command, "--profile", str(profile), "--authority", str(authority)],
        env={**os.environ, **environment, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(
            f"The Firefox profile cannot be set up: {done.stderr.strip()}",
            "Do that, then run the demo again.",
        )
    return "ready: OpenSC's module, the site's authority"


def show_window(profile: Path, url: str, environment: dict[str, str]) -> str:
    """Open a window and wait until it is closed."""
    subprocess.run(  # noqa: S603 - Firefox from PATH
        [find_firefox(), "--no-remote", "--profile", str(profile), url],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return "closed by you"


class HeadlessFirefox:
    """Firefox without a window, whose PIN prompt is answered and whose pictures are kept.

    Args:
        marionette: A session with it.
        pictures: Folder for pictures; absolute.
        pin: Given once, at the first prompt.
    """

    def __init__(self, marionette: "Marionette", pictures: Path, pin: str) -> None:
        self._marionette = marionette
        self._pictures = pictures
        marionette.chrome(_ANSWERS.read_text(), pin, str(pictures / "pin-prompt.png"))

    def visit(self, url: str, picture: str) -> str:
        """Open a page, keep a picture of it, and return its heading.

        Raises:
            GateError: No page came, only Firefox's own error.
        """
        self._marionette.chrome(
            "gBrowser.selectedBrowser.fixupAndLoadURIString(arguments[0], {"
            "triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal()})",
            url,
        )
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            # While a page is replaced by the next there may be neither, and none while a dialog is open.
            with suppress(RuntimeError):
                if shown := self._marionette.page(_SHOWN):
                    address, state, heading = shown
                    if state == "complete" and address == url and heading:
                        time.sleep(_SETTLING)
                        (self._pictures / picture).write_bytes(self._marionette.picture())
                        return str(heading)
            time.sleep(0.05)
        raise GateError(f"Firefox shows no page at {url}", "Look at the gate with `pivgate status`.")


@contextmanager
def headless(
    profile: Path, environment: dict[str, str], pictures: Path, pin: str
) -> Iterator[HeadlessFirefox]:
    """Run Firefox without a window; end it and its processes afterwards.

    Raises:
        InputError: It does not start.
    """
    from pivgate.browser.marionette import Marionette

    process = subprocess.Popen(  # noqa: S603 - Firefox from PATH
        [find_firefox(), *_REMOTE_CONTROL, "--no-remote", "--profile", str(profile)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with Marionette(_port(profile, process)) as marionette:
            yield HeadlessFirefox(marionette, pictures, pin)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port(profile: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(FileNotFoundError, ValueError):
            return int((profile / "MarionetteActivePort").read_text())
        time.sleep(0.02)
    raise InputError("Firefox does not start", f"Look whether `{find_firefox()} --headless` does.")
