# SPDX-License-Identifier: Apache-2.0
"""An /etc and a /var/lib of one test's own: what is written there, nobody else on the machine sees."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.browser_setup.holder import Holder

_SCRIPT = """
mount --make-rprivate / && mount --bind "$1/etc" /etc && mount -t tmpfs none /var/lib || exit 1
echo ready; read -r _
"""


@dataclass(frozen=True)
class Machine:
    """A machine with system folders of its own.

    Attributes:
        keeper: The process that keeps them.
        environment: The holder's variables, with programs in front that run there.
    """

    keeper: int
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a program there, which must succeed; return what it printed."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.keeper), "--mount", *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout

    def pivgate(self, *arguments: str) -> str:
        """Run ``pivgate browser`` there, which must succeed."""
        return self.run(sys.executable, "-m", "pivgate", "browser", *arguments)


@contextmanager
def own_etc(holder: Holder, folder: Path) -> Iterator[Machine]:
    """Make system folders of a test's own; they end with the process that keeps them."""
    subprocess.run(["cp", "--archive", "/etc", folder / "etc"], check=True)
    keeper = subprocess.Popen(
        ["unshare", "--mount", "bash", "-c", _SCRIPT, "bash", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"ready\n"
        # Programs that a test starts by their name run there as well.
        programs = folder / "bin"
        programs.mkdir()
        for name in ("firefox-esr", "chromium"):
            wrapper = programs / name
            wrapper.write_text(
                f'#!/bin/sh\nexec nsenter --target {keeper.pid} --mount /usr/bin/{name} "$@"\n'
            )
            wrapper.chmod(0o755)
        path = f"{programs}:{os.environ['PATH']}"
        yield Machine(keeper.pid, {**holder.environment, "PATH": path})
    finally:
        keeper.communicate(b"\n", timeout=10)
