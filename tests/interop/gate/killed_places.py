# SPDX-License-Identifier: Apache-2.0
"""Runs pivgate's commands in children that stop before each call that acts on the world outside of them.

For programs of one thread, which may fork.
"""

import os
import sqlite3
import sys
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path
from types import FrameType
from typing import Any

from pivgate.cli.commands import run
from pivgate.gate.admin import AdminApi
from pivgate.gate.sever_listeners import _choose
from pivgate.settings import Home

ON_FILES = {
    "open",
    "mkdir",
    "unlink",
    "rmdir",
    "rename",
    "replace",
    "link",
    "fsync",
    "pwrite",
    "posix_fallocate",
}
ON_PROCESSES = {"fork_exec", "kill", "pidfd_send_signal"}
ON_CADDY = {
    "sendall": AdminApi.load.__code__,
    "recv_into": AdminApi.load.__code__,
    "setsockopt": _choose.__code__,
}
"""What is said to a Caddy, or about its sockets to the kernel; it leaves no trace on the disk."""


def command_line(home: Home, words: list[str]) -> int:
    """Run pivgate; return its exit status."""
    sys.argv = ["pivgate", "--home", str(home.root), *words]
    return run()


def in_child(
    action: Callable[[], int], before_call: Callable[[FrameType, str, int], None] | None = None
) -> int:
    """Run something in a child, and something else there before each of these calls.

    Args:
        action: What to run; it returns the child's exit status.
        before_call: Is told where it is, what is about to be called, and how much was said to a Caddy.

    Returns:
        How the child ended, as ``os.waitpid`` has it.
    """
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        said = 0

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal said
            if event == "c_call" and (could_write(argument) or is_for_caddy(frame, argument)):
                sys.setprofile(None)
                before_call(frame, argument.__name__, said)
                said += is_for_caddy(frame, argument)
                sys.setprofile(profile)

        status = 1
        if before_call:
            sys.setprofile(profile)
        try:
            status = action()
        finally:
            sys.setprofile(None)
            sys.stdout.flush()
            os._exit(status)
    return os.waitpid(child, 0)[1]


def could_write(function: Any) -> bool:
    """Say whether a built-in function changes files or processes."""
    of = getattr(function, "__self__", None)
    if isinstance(of, sqlite3.Connection | sqlite3.Cursor):
        return function.__name__ in ("execute", "commit", "close")
    if isinstance(of, BufferedWriter):
        return function.__name__ == "flush"
    module = getattr(function, "__module__", None)
    return function.__name__ in (ON_FILES if module == "posix" else ON_PROCESSES)


def is_for_caddy(frame: FrameType, function: Any) -> bool:
    """Say whether a built-in function is called to have a Caddy change what it does."""
    wanted = ON_CADDY.get(function.__name__)
    at: FrameType | None = frame if wanted else None
    while at is not None and at.f_code is not wanted:
        at = at.f_back
    return at is not None


def where(frame: FrameType) -> str:
    """Name the function of pivgate that is at work."""
    at: FrameType | None = frame
    while at is not None and "pivgate" not in Path(at.f_code.co_filename).parts:
        at = at.f_back
    return f"{Path(at.f_code.co_filename).stem}.{at.f_code.co_name}" if at else "?"
