# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium with a home and system policies of its own, driven over its DevTools pipe."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

PATIENCE = 20.0
_SOURCE = Path(__file__).with_name("auto_login.c")
_POLICIES = "/etc/chromium"

# $1 and $2 are our ends of the pipe, $3 the number of words of the set-up command, which comes before
# Chromium's own. Policies are read from the system's folder only, so it is this process's own here, and so is
# the folder where the set-up notes what it has written there.
_SCRIPT = f"""
in=$1 out=$2 words=$3; shift 3
mount --make-rprivate / && mount -t tmpfs none {_POLICIES} && mount -t tmpfs none /var/lib || exit 1
if [ "$words" -gt 0 ]; then "${{@:1:words}}" || exit 1; fi
exec "${{@:words+1}}" 3<&$in 4>&$out
"""

_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--remote-debugging-pipe",
)


class ChromiumEndedError(Exception):
    """Chromium has ended by itself, in the middle of a page.

    Seen of Chromium 156 about once in a hundred starts on a busy machine: its main thread traps after a
    system call has failed with EINVAL. That is no finding about pivgate; the story is told again.
    """


class Chromium:
    """A running Chromium."""

    def __init__(self, writing: BinaryIO, reading: int, pictures: Path) -> None:
        self._writing = writing
        self._reading = reading
        self._pictures = pictures
        self._numbers = itertools.count(1)
        self._pending = b""
        self.events: list[dict[str, Any]] = []
        self._await_start()
        self.new_tab()

    def new_tab(self) -> None:
        """Open a tab; what is asked from now on is asked of it."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")

    def _await_start(self) -> None:
        # It takes commands before its start is done, and ends when it is asked for a tab as early as that.
        deadline = time.monotonic() + PATIENCE
        while not any(each["type"] == "page" for each in self._ask("Target.getTargets")["targetInfos"]):
            assert time.monotonic() < deadline, "Chromium opens no window"
            time.sleep(0.02)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol to the tab and return its result."""
        return self._ask(method, session=self._session, **parameters)

    def open(self, url: str) -> str:
        """Type an address; return the text of the page, or the error's name when there is none."""
        self.events.clear()
        failed = self.ask("Page.navigate", url=url).get("errorText", "")
        text = self._loaded()
        return str(failed) or text

    def click(self, selector: str) -> str:
        """Click a link that leads to another page; return its text."""
        self.events.clear()
        self.evaluate(f"document.querySelector({selector!r}).click()")
        return self._loaded()

    def evaluate(self, script: str) -> Any:
        """Return what a script comes to, a promise's result included."""
        done = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def text(self) -> str:
        """Return what can be read on the page."""
        return str(self.evaluate("document.body.innerText"))

    def protocols(self) -> set[str]:
        """Return the protocols of the answers since the last page was asked for."""
        answers = [event for event in self.events if event["method"] == "Network.responseReceived"]
        return {event["params"]["response"]["protocol"] for event in answers}

    def picture(self, name: str) -> Path:
        """Keep a picture of the page."""
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        path = self._pictures / f"chromium-{name}.png"
        path.write_bytes(base64.b64decode(data))
        return path

    def close(self) -> None:
        """End it as a person does."""
        with suppress(OSError, AssertionError, ChromiumEndedError):
            self._ask("Browser.close")

    def _loaded(self) -> str:
        self._await("Page.loadEventFired")
        return self.text()

    def _await(self, method: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not any(event["method"] == method for event in self.events):
            self._hear(deadline)

    def _ask(self, method: str, *, session: str | None = None, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._writing.write(json.dumps(message).encode() + b"\0")
        self._writing.flush()
        deadline = time.monotonic() + PATIENCE
        while (answer := self._hear(deadline)).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _hear(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium says nothing: {self.events[-3:]}"
            piece = os.read(self._reading, 1 << 20)
            if not piece:
                raise ChromiumEndedError
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\0")
        heard: dict[str, Any] = json.loads(line)
        if "method" in heard:
            self.events.append(heard)
        return heard


def auto_login_module(folder: Path) -> Path:
    """Compile the PKCS#11 module that gives the PIN by itself."""
    module = folder / "auto_login.so"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "p11-kit-1"], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["gcc", "-shared", "-fPIC", *flags, "-o", module, _SOURCE, "-ldl"], check=True)
    return module


@contextmanager
def chromium(
    home: Path, environment: dict[str, str], pictures: Path, setup: Sequence[str | Path] = ()
) -> Iterator[Chromium]:
    """Run Chromium; end it afterwards, whatever happened.

    Args:
        home: Its HOME.
        environment: The whole environment, with the keys' PC/SC service.
        pictures: Folder for pictures.
        setup: Command that is run first, where Chromium's policies are this process's own.
    """
    to_read, ours_to_write = os.pipe()
    ours_to_read, to_write = os.pipe()
    command = [
        *("unshare", "--mount", "bash", "-c", _SCRIPT, "bash"),
        *(str(to_read), str(to_write), str(len(setup)), *map(str, setup)),
        *("chromium", *_SWITCHES, f"--user-data-dir={home / 'data'}"),
    ]
    # Where XDG folders are named, the NSS database would be looked for there instead of below HOME.
    surroundings = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
    with (home / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**surroundings, "HOME": str(home)},
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.close(to_read)
    os.close(to_write)
    with os.fdopen(ours_to_write, "wb") as writing:
        try:
            browser = Chromium(writing, ours_to_read, pictures)
            yield browser
            browser.close()
            process.wait(PATIENCE)
        except AssertionError as error:
            said = (home / "chromium.log").read_text(errors="replace").splitlines()
            # There is no message bus here, of which it complains all the time.
            error.add_note("\n".join(line for line in said if "dbus" not in line)[-3000:])
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            os.close(ours_to_read)
            shutil.rmtree(home / "data", ignore_errors=True)
