# SPDX-License-Identifier: Apache-2.0
"""Kills what starts, changes and severs the running gate before each of its steps, one after another.

Run as a program of its own, so that it has one thread and may fork: ``killed_gate.py JOB``, JSON with

    home, port   the home, and where its gate listens
    upstream     what stands behind its sites
    people       name -> (certificate, key), PEM files
    entry        alice's entry in the access tree, which the registry does not want
    scenario     the name of a function below

A step is a call that acts on the outside and before which something there is not as at the call before: a
file of the home, which Caddys run, what was said to them. How the registry is written is tried elsewhere. It
prints a JSON list with one object for each step: in which function it was killed, and what was to be seen
right after (``killed``) and after the next command (``next``). In the last one nothing was killed.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from tests.interop.gate.killed_places import ON_PROCESSES, command_line, in_child, where
from tests.interop.gate.pki import anonymous
from tests.interop.gate.standing_gate import StandingGate

from pivgate.cli import gate, site, site_log, site_upstream  # noqa: F401 - so that children have them
from pivgate.cli.proof import severing
from pivgate.cli.workplace import _withdrawing
from pivgate.errors import GateError
from pivgate.gate import apply, process, sever
from pivgate.gate.access import withdraw
from pivgate.gate.admin import AdminApi
from pivgate.gate.caddyfile import sites
from pivgate.gate.own_process import search
from pivgate.gate.proven import PROVEN
from pivgate.gate.status import read_status
from pivgate.gate.unix_http import listener
from pivgate.registry.store import Registry
from pivgate.settings import Home

Seen = dict[str, Any]
# What Caddy changes by itself, and what is locked; of the registry, its head tells enough.
UNWATCHED = (
    "caddy/",
    "run/caddy.log",
    "run/warm.",
    "registry.sqlite",
    ".audit.head.",
    "lock",
    "audit.head.lock",
)
SITE = "c.test"
REMOVING = ("site", "remove", SITE, "--yes")
OF_A_RUN = {"admin.sock", "verdict.sock", "caddy.pid", "caddy.log", PROVEN}


class Stage:
    """The home, its gate, and those who ask there."""

    def __init__(self, job: Seen) -> None:
        self.home = Home(Path(job["home"]))
        self.port, self.upstream, self.entry = job["port"], job["upstream"], Path(job["entry"])
        self.known = {path.name for path in self.home.root.iterdir()} | {"run", "caddy", "lock"}
        self.doors = StandingGate(self.home.root, self.home.authority_certificate, port=self.port)
        self.people = {"nobody": anonymous()}
        for name, files in job["people"].items():
            self.people[name] = anonymous()
            self.people[name].load_cert_chain(*files)
        self.adding = ("site", "add", SITE, self.upstream, "--allow", "admins")
        self.told = 0

    def do(self, *words: str) -> int:
        """Do a command of pivgate, or of one only what withdraws and severs; return its exit status."""
        if words != ("sever",):
            return command_line(self.home, list(words))
        started = time.perf_counter()
        with _withdrawing(self.home) as registry, severing(self.home, registry, started, wanted=True):
            withdraw(self.home.access, [self.entry.name])
        return 0

    def done(self, *words: str) -> int:
        """Do that in a child."""
        return os.waitstatus_to_exitcode(in_child(lambda: self.do(*words)))

    def other(self, killed: Seen) -> tuple[str, ...]:
        """Return the command that takes back what is in the Caddyfile."""
        return REMOVING if SITE in killed["caddyfile"] else self.adding

    def killed(self, number: int, action: Callable[[], int]) -> str:
        """Run something in a child that is killed before that step; return where, if there is one."""
        reading, writing = os.pipe()
        step, look_again = 0, False
        last = (0, self.caddys(), self._files())

        def die(frame: FrameType, call: str, said: int) -> None:
            nonlocal step, last, look_again
            now = (said, self.caddys() if look_again else last[1], self._files())
            look_again = call in ON_PROCESSES
            if now == last:
                return
            step += 1
            if step == number:
                os.write(writing, where(frame).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            for pid in now[1] - last[1]:
                self.settle(pid)
            last = now

        ended = in_child(action, die)
        os.close(writing)
        with os.fdopen(reading) as place:
            name = place.read()
        assert bool(name) == os.WIFSIGNALED(ended), (name, ended)
        return name

    def caddys(self) -> set[int]:
        """Return the process ids of those that run."""
        return {found.pid for found in search(self.home)}

    def _files(self) -> Seen:
        found: Seen = {}
        for folder, folders, names in os.walk(self.home.root):
            for name in (*folders, *names):
                path = Path(folder, name)
                shown = str(path.relative_to(self.home.root))
                if not shown.startswith(UNWATCHED):
                    # A file can go meanwhile: Caddy's.
                    with suppress(FileNotFoundError):
                        kind = path.lstat()
                        # Nobody reads a file that is still to get its name, and the reserve is worth nothing.
                        read = stat.S_ISREG(kind.st_mode) and not name.startswith((".", "reserve"))
                        found[shown] = path.read_bytes() if read else stat.S_IFMT(kind.st_mode)
        return found

    def settle(self, pid: int) -> None:
        """Wait until a Caddy that has just started has its files, so that they are always one step."""
        deadline = time.monotonic() + 20
        while listener(self.home.admin_socket) != pid or str(pid) not in _text(self.home.caddy_pid):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def look(self, *, said: bool = False) -> Seen:
        """Ask at every door, until bob is served or nobody listens; say what else there is to see.

        Args:
            said: A Caddy may still be at work on what it was told.
        """
        deadline = time.monotonic() + 10
        ever, opened = set(), set()
        if said:
            ever |= set(self._open() if self._is_listening() else ())
            time.sleep(0.1)
            AdminApi(self.home.admin_socket).config()
        while listening := self._is_listening():
            opened = set(self._open())
            ever |= opened
            if "a.test/bob" in opened or time.monotonic() > deadline:
                break
        with Registry.open(self.home.registry, self.home.audit_head) as registry:
            status = read_status(self.home, registry.access(datetime.now(UTC)))
            events = [f"{one.action} {one.subject}" for one in registry.events(after=self.told)]
        return {
            "open": sorted(opened),
            "withdrawn": not self.entry.exists(),
            "who": sorted({way.partition("/")[2] for way in ever}),
            "listening": listening,
            "caddyfile": sorted(one.address for one in sites(self.home.caddyfile.read_text())),
            "told": [event for event in events if event.startswith("site.")],
            "severings": len([event for event in events if event.startswith("gate.sever ")]),
            "caddys": len(self.caddys()),
            "status": {**status.as_dict(), "sound": status.is_sound},
            "sites": sorted(one["host"] for one in status.as_dict()["sites"]),
            "leftovers": sorted(self._leftovers()),
        }

    def _is_listening(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def _open(self) -> Iterator[str]:
        for name in ("a.test", SITE):
            for person, context in self.people.items():
                if self.doors.ask(context, name, path="/short").status == 200:
                    yield f"{name}/{person}"

    def _leftovers(self) -> Iterator[str]:
        yield from {path.name for path in self.home.root.iterdir()} - self.known
        yield from {path.name for path in self.home.run.glob("*")} - OF_A_RUN
        for folder, _, names in os.walk(self.home.root):
            yield from (str(Path(folder, name)) for name in names if name.startswith("."))


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""


def tried(
    stage: Stage, number: int, action: Callable[[], int], following: Callable[[Seen], tuple[str, ...]]
) -> Seen:
    """Kill something before that step, and do what follows upon what is to be seen then."""
    with Registry.open(stage.home.registry, stage.home.audit_head) as registry:
        stage.told = max((event.sequence for event in registry.events(last=1)), default=0)
    place = stage.killed(number, action)
    killed = stage.look(said=place.startswith("unix_http."))
    words = following(killed)
    return {
        "place": place,
        "killed": killed,
        "command": " ".join(words),
        "exit": stage.done(*words),
        "next": stage.look(),
    }


def start(stage: Stage) -> Iterator[Seen]:
    """``up`` in a home whose gate was never up."""
    for number in count(1):
        process.stop(stage.home, grace=0.1)
        shutil.rmtree(stage.home.run, ignore_errors=True)
        stage.home.snippet.unlink(missing_ok=True)
        seen = tried(stage, number, lambda: stage.do("up"), lambda _: ("up",))
        yield seen
        if not seen["place"]:
            return


def change(stage: Stage) -> Iterator[Seen]:
    """``site add`` whose proof fails, so that it goes back, and ``site remove``, which succeeds."""
    real = apply.prove

    def unproved(*_: object) -> Any:
        apply.prove = real
        raise GateError("Nothing could be proved", "This once.")

    def fail() -> int:
        apply.prove = unproved
        return stage.do(*stage.adding)

    def other(killed: Seen) -> tuple[str, ...]:
        return stage.other(killed) if number % 2 else ("up",)

    left = {"add": fail, "remove": lambda: stage.do(*REMOVING)}
    assert stage.done("up") == 0
    for number in count(1):
        for name, action in list(left.items()):
            if (name == "add") is (SITE in stage.home.caddyfile.read_text()):
                assert stage.done(*(REMOVING if name == "add" else stage.adding)) == 0
            seen = tried(stage, number, action, other)
            yield {"begun": name, **seen}
            if not seen["place"]:
                del left[name]
        if not left:
            return


def end(stage: Stage) -> Iterator[Seen]:
    """Severing, while alice, whose access is withdrawn, has something open."""

    def other(killed: Seen) -> tuple[str, ...]:
        return [stage.other(killed), ("up",), ("sever",), ("sever",)][number % 4]

    assert stage.done("up") == 0
    for number in count(1):
        stage.entry.touch()
        with stage.doors.connect(stage.people["alice"], "a.test") as stream:
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert stream.recv(1)
            seen = tried(stage, number, lambda: stage.do("sever"), other)
            yield {**seen, "ended": has_ended(stream)}
        if not seen["place"]:
            return


def has_ended(stream: ssl.SSLSocket, patience: float = 2.0) -> bool:
    """Read what has come; return whether it ends there."""
    deadline = time.monotonic() + patience
    with suppress(OSError):
        while stream.recv(1 << 16):
            if time.monotonic() > deadline:
                return False
    return True


def main() -> None:
    job = json.loads(sys.argv[1])
    # The order is on trial here, not the time.
    for name in ("_FOR_HANDSHAKES", "_FOR_ANSWERS", "_LEAST_FOR_HANDSHAKES", "_LEAST_FOR_ANSWERS"):
        setattr(sever, name, 0.02)
    scenario = {"start": start, "change": change, "end": end}[job["scenario"]]
    json.dump(list(scenario(Stage(job))), sys.stdout)


main()
