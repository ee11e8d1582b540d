# SPDX-License-Identifier: Apache-2.0
"""Run ``pivgate browser ARGUMENTS`` for each number on standard input, and die before that change to a file.

Answers each with ``killed``, or with how many changes there were if it lived to the end.
"""

import os
import signal
import sys
from typing import Any

from pivgate.browser import holder, nss, sandbox, setup, system  # noqa: F401 - once, not in each child
from pivgate.cli import browser_authority, browser_setup  # noqa: F401
from pivgate.cli.commands import run

# What changes a folder or a file, by the names of Python's audit events.
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod"}


def main() -> None:
    sys.argv = ["pivgate", "browser", *sys.argv[1:]]
    for line in sys.stdin:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            run_until(int(line), writing)
        os.close(writing)
        with os.fdopen(reading) as answer:
            said = answer.read()
        _, status = os.waitpid(child, 0)
        assert said or os.WIFSIGNALED(status), status
        os.write(1, f"{said or 'killed'}\n".encode())


def run_until(last: int, writing: int) -> None:
    """Run, die before a change, and tell how many there were otherwise."""
    seen = 0

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR)
        if event not in CHANGES and not writes:
            return
        if str(values[0]).startswith(("/dev/", "/tmp/pivgate-nss-")):  # noqa: S108
            return
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.dup2(2, 1)
    sys.addaudithook(hook)
    if run() == 0:
        os.write(writing, str(seen).encode())
    os._exit(0)


main()
