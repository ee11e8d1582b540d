# SPDX-License-Identifier: Apache-2.0
"""Interrupts work on an access tree at every call into C, so at every system call, and says what it left.

Run as a program of its own, so that it has one thread and may fork. Reads a JSON object from standard input
(``tree``, ``old``, ``wanted``, ``withdrawn``, ``how``: ``kill`` or an errno) and prints a JSON list with one
object for each place of interruption: what was left, what was said, and whether the next command mends it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pivgate.errors import StorageError
from pivgate.gate.access import drift, synchronise, withdraw

# What can fail on a full, broken or read-only disk.
SYSTEM_CALLS = {"open", "mkdir", "unlink", "rmdir", "scandir", "stat", "lstat", "fsync"}


def main() -> None:
    job = json.load(sys.stdin)
    tree = Path(job["tree"])
    old, wanted = ({tuple(entry) for entry in job[name]} for name in ("old", "wanted"))
    found = []
    number = 0
    ended = False
    while not ended:
        number += 1
        synchronise(tree, old)
        said, ended = interrupted(tree, wanted, job["withdrawn"], job["how"], number)
        left = listed(tree)
        synchronise(tree, wanted)
        found.append({"left": left, "said": said, "mended": not drift(tree, wanted)})
    json.dump(found, sys.stdout)


def interrupted(
    tree: Path, wanted: set[Any], withdrawn: list[str], how: str | int, number: int
) -> tuple[str, bool]:
    """Do the work in a child, interrupted at that call; return its words and whether it got through."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = "done"
        sys.setprofile(interruption(how, number))
        try:
            withdraw(tree, withdrawn) if withdrawn else synchronise(tree, wanted)
        except StorageError as error:
            said = f"StorageError: {error.message}"
        except BaseException as error:
            said = repr(error)
        finally:
            sys.setprofile(None)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 10_000).decode()
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"killed by {os.WTERMSIG(status)}", False
    return said, said == "done"


def interruption(how: str | int, number: int) -> Any:
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        if event != "c_call":
            return
        if how != "kill" and not (argument.__module__ == "posix" and argument.__name__ in SYSTEM_CALLS):
            return
        calls += 1
        if calls != number:
            return
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        assert isinstance(how, int)
        raise OSError(how, os.strerror(how))

    return profile


def listed(tree: Path) -> list[str]:
    return [str(path.relative_to(tree)) for path in tree.glob("*/*")]


main()
