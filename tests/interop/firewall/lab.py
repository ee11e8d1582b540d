# SPDX-License-Identifier: Apache-2.0
"""Machines on a wire: network namespaces with folders of their own for /etc and /run.

Each machine has 10.77.0.N and fd77::N. Nothing outside of the namespaces is touched, and all of them are
removed, also after a failure.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CONNECT = Path(__file__).with_name("connect.py")
SERVE = Path(__file__).with_name("serve.py")
PIVGATE = Path(sys.executable).with_name("pivgate")


def run(*words: str | Path, given: str = "", good: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program; it must succeed unless told otherwise."""
    done = subprocess.run(
        [str(word) for word in words], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert not good or done.returncode == 0, f"{words}: {done}"
    return done


@dataclass
class Box:
    """One machine.

    Attributes:
        space: Name of its network namespace.
        number: The last part of its addresses.
        root: Holds its own ``etc`` and ``run``.
    """

    space: str
    number: int
    root: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def four(self) -> str:
        return f"10.77.0.{self.number}"

    @property
    def six(self) -> str:
        return f"fd77::{self.number}"

    def words(self, *words: str | Path, user: int = 0) -> list[str]:
        """Return how a program is run on this machine: in its network, with its folders."""
        # Another user who may read files as root does, wherever the tests and their Python are kept.
        reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        ids = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
        as_user = ["setpriv", *ids, *reads] if user else []
        script = 'mount --bind "$0/etc" /etc && mount --bind "$0/run" /run && exec "$@"'
        inside = ["ip", "netns", "exec", self.space, "unshare", "-m", "sh", "-c", script, str(self.root)]
        return [*inside, *as_user, *map(str, words)]

    def run(self, *words: str | Path, given: str = "", good: bool = True, user: int = 0) -> str:
        """Run a program on this machine and return what it printed."""
        return run(*self.words(*words, user=user), given=given, good=good).stdout

    def pivgate(self, *words: str | Path, user: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run pivgate on this machine."""
        environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1", "LC_ALL": "C.UTF-8", **more}
        if not user:  # Others could not write down what they covered.
            environment |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
        done = subprocess.run(
            self.words(PIVGATE, *words, user=user),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def good(self, *words: str | Path) -> str:
        """Run pivgate, which must succeed; return what it printed."""
        done = self.pivgate(*words)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a program that says a line when it is ready."""
        process = subprocess.Popen(
            self.words(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        return process

    def serve(self, port: int, address: str = "::", kind: str = "tcp") -> None:
        """Serve what answers each line with the name of this machine."""
        self.start(sys.executable, "-I", "-S", SERVE, kind, address, str(port), self.space)

    def reaches(self, address: str, port: int, kind: str = "tcp", *, user: int = 0) -> bool:
        """Say whether this machine gets an answer from an address."""
        words = (sys.executable, "-I", "-S", CONNECT, kind, address, str(port))
        return run(*self.words(*words, user=user), good=False).returncode == 0

    def ruleset(self) -> str:
        """Return every rule of this machine, of anybody; without how often each was met."""
        return self.run("nft", "--stateless", "list", "ruleset")

    def close(self) -> None:
        """End what runs here."""
        for process in self.running:
            process.kill()
            process.communicate()


@dataclass
class Lab:
    """A wire, and what is connected to it."""

    name: str
    root: Path
    boxes: list[Box] = field(default_factory=list)

    def box(self, number: int) -> Box:
        """Connect one more machine."""
        space = f"{self.name}-{number}"
        box = Box(space, number, self.root / str(number))
        shutil.copytree("/etc", box.root / "etc", symlinks=True)
        (box.root / "run").mkdir()
        run("ip", "netns", "add", space)
        self.boxes.append(box)
        _up(space, "lo")
        run(
            "ip",
            "-n",
            self.name,
            "link",
            "add",
            f"to{number}",
            "type",
            "veth",
            "peer",
            "eth0",
            "netns",
            space,
        )
        run("ip", "-n", self.name, "link", "set", f"to{number}", "master", "wire")
        _up(self.name, f"to{number}")
        address(box, "eth0", f"{box.four}/24", f"{box.six}/64")
        return box

    def close(self) -> None:
        """Remove all of it."""
        for box in self.boxes:
            box.close()
            run("ip", "netns", "del", box.space, good=False)
        run("ip", "netns", "del", self.name, good=False)
        shutil.rmtree(self.root)


def address(box: Box, device: str, *addresses: str) -> None:
    """Give an interface of a machine addresses, and switch it on."""
    _up(box.space, device)
    for each in addresses:
        # Without the search for duplicates, an IPv6 address is usable at once.
        nodad = ["nodad"] if ":" in each else []
        run("ip", "-n", box.space, "address", "add", each, "dev", device, *nodad)


def _up(space: str, device: str) -> None:
    run("ip", "-n", space, "link", "set", device, "up")


@contextmanager
def wired() -> Iterator[Lab]:
    """Yield an empty wire with a name of its own."""
    lab = Lab(f"pg{secrets.token_hex(4)}", Path(tempfile.mkdtemp(prefix="pg")))
    try:
        run("ip", "netns", "add", lab.name)
        run("ip", "-n", lab.name, "link", "add", "wire", "type", "bridge")
        _up(lab.name, "wire")
        yield lab
    finally:
        lab.close()
