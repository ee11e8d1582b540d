# SPDX-License-Identifier: Apache-2.0
"""A machine that systemd runs: its PID 1 in namespaces of their own, with pivgate on it and emulated keys."""

import ctypes
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.cli.conftest import PROGRAM, Machine, Result

from pivgate.settings import SERVICE, Home

ROOT = Path(__file__).resolve().parents[3]
BOOT = Path(__file__).with_name("boot.sh")
CADDY = Path(sys.executable).with_name("caddy")
HOME = Home(Path("/var/lib/pivgate"))
_NEW_NETWORK = 0x40000000
Found = TypeVar("Found")


class Booted(Machine):
    """The machine. Commands run on it; ``home`` is how its files are reached from outside."""

    def __init__(self, root: Path, pid: int) -> None:
        super().__init__(root)
        self.pid = pid
        self.home = Home(self.there(HOME.root))
        self.caddy = Path("/var/lib/caddy/caddy")
        self.there(self.caddy.parent).mkdir(mode=0o755)
        shutil.copy(CADDY, self.there(self.caddy))

    def there(self, path: Path) -> Path:
        """Return where a file of the machine is found from outside."""
        return Path(f"/proc/{self.pid}/root", *path.parts[1:])

    def words(self, *words: str | Path) -> list[str]:
        """Return how a program is run on it."""
        return ["nsenter", f"--target={self.pid}", "-m", "-n", "-p", "-u", "-C", "--wdns=/", *map(str, words)]

    def call(self, *words: str | Path, good: bool = True) -> str:
        """Run a program on it and return what it printed."""
        done = subprocess.run(self.words(*words), capture_output=True, text=True, timeout=120, check=False)
        assert not good or done.returncode == 0, (words, done)
        return (done.stdout + done.stderr).strip()

    def run(
        self,
        *arguments: str | Path,
        given: str = "",
        environment: dict[str, str] | None = None,
        under: tuple[str, ...] = (),
    ) -> Result:
        """Run pivgate on it as root, with its keys."""
        pivgate = (sys.executable, PROGRAM, self.port, "--home", HOME.root)
        done = subprocess.run(
            self.words(*under, *pivgate, *arguments),
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "PIVGATE_CADDY": str(self.caddy), **(environment or {})},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def init(self, *arguments: str) -> None:
        """Create the home of a gate on the usual ports."""
        self.https_port, self.http_port = 443, 80
        self.good("init", "--passphrase-file", self.secrets["passphrase"], *arguments)

    def within(self, do: Callable[[], Found]) -> Found:
        """Do something in its network; sockets that are made there stay there."""
        result: list[Found] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with Path(f"/proc/{self.pid}/ns/net").open() as network:
                    if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _NEW_NETWORK):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(do())
            except BaseException as error:
                failed.append(error)

        # Namespaces are a thread's own (setns(2)), and this one ends with its work.
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for error in failed:
            raise error
        return result[0]

    def shown(self, *names: str) -> list[str]:
        """Return properties of the service."""
        return [self.call("systemctl", "show", "--value", "--property", name, SERVICE) for name in names]

    def caddys(self) -> list[int]:
        """Return the process ids of all Caddys that run on it, by its own count."""
        return [int(pid) for pid in self.call("pgrep", "-x", "caddy", good=False).split()]

    def await_state(self, state: str) -> None:
        """Return when the service is in that state, soon."""
        deadline = time.monotonic() + 60
        while (found := self.shown("ActiveState")[0]) != state:
            assert time.monotonic() < deadline, (found, self.call("journalctl", "-u", SERVICE, "-n", "30"))
            time.sleep(0.05)


@contextmanager
def booted() -> Iterator[Booted]:
    """Boot a machine, and switch it off afterwards."""
    root = Path(tempfile.mkdtemp(prefix="pg"))
    disk = root / "disk"
    disk.mkdir()
    group = f"pg{secrets.token_hex(4)}"
    strangers = _private_folders()
    with (root / "log").open("wb") as log:
        boot = subprocess.Popen(["unshare", "-m", "sh", BOOT, disk, group], stdout=log, stderr=log)
    machine: Booted | None = None
    try:
        machine = Booted(root, _first_process(boot, root / "log"))
        _show_the_checkout(machine)
        machine.call("systemctl", "is-system-running", "--wait")
        yield machine
    finally:
        if machine:
            machine.call("systemctl", "stop", SERVICE, good=False)
            _await_removal(strangers)
        boot.kill()
        boot.wait()
        _remove_group(group)
        shutil.rmtree(root)


def _first_process(boot: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and boot.poll() is None:
        children = Path(f"/proc/{boot.pid}/task/{boot.pid}/children").read_text().split()
        for child in children:
            is_systemd = Path(f"/proc/{child}/comm").read_text().strip() == "systemd"
            if is_systemd and Path(f"/proc/{child}/root", "run/systemd/private").exists():
                return int(child)
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def _private_folders() -> set[Path]:
    """Return the folders that PrivateTmp= has made; they go when the service is stopped, a little later."""
    return set(Path("/tmp").glob("systemd-private-*-pivgate*"))  # noqa: S108 - systemd puts them there


def _await_removal(strangers: set[Path]) -> None:
    deadline = time.monotonic() + 5
    while _private_folders() - strangers and time.monotonic() < deadline:
        time.sleep(0.02)


def _show_the_checkout(machine: Booted) -> None:
    """Let the daily care, whose /tmp is its own, see the pivgate under test also where that lies in /tmp."""
    if ROOT.parts[1] == "tmp" or ROOT.parts[1:3] == ("var", "tmp"):
        folder = machine.there(Path("/etc/systemd/system/pivgate-care.service.d"))
        folder.mkdir()
        (folder / "checkout.conf").write_text(f"[Service]\nBindReadOnlyPaths={ROOT}\n")


def _remove_group(group: str) -> None:
    script = (
        'mount -t cgroup2 none /sys/fs/cgroup && find "/sys/fs/cgroup/$0" -depth -type d -exec rmdir {} +'
    )
    for _ in range(50):
        done = subprocess.run(
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                f"mount --make-rprivate / && mkdir -p /sys/fs/cgroup && {script}",
                group,
            ],
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return
        time.sleep(0.1)
