# SPDX-License-Identifier: Apache-2.0
"""Which processes are the Caddy of a home: told by their command line, which nobody can take away from them.

Files can go (a cleaner of temporary folders, ``rm``), and a process number can be given to another process;
the command line stays as long as the process lives (proc(5)).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pivgate.settings import Home


@dataclass(frozen=True)
class Running:
    """The Caddy of a home.

    Attributes:
        pid: Its process id.
        program: The program it was started as.
    """

    pid: int
    program: Path


def command(program: Path, home: Home) -> list[str]:
    """Return the command line that the Caddy of a home is started with, and known by."""
    return [str(program), "run", "--config", "-", "--pidfile", str(home.caddy_pid)]


def identify(pid: int, home: Home) -> Running | None:
    """Return the process if it is alive and the Caddy of this home, however spelled; else None."""
    try:
        arguments = [
            os.fsdecode(part) for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        ]
    except OSError:
        return None
    # A process that has ended and was not reaped yet has an empty command line.
    expected = command(Path(), home)
    if len(arguments) != len(expected) or arguments[1:-1] != expected[1:-1]:
        return None
    if os.path.realpath(arguments[-1]) != os.path.realpath(expected[-1]):
        return None
    return Running(pid, Path(arguments[0]))


def search(home: Home) -> Iterator[Running]:
    """Look through all processes for the Caddy of a home.

    Only those of this user, of root, and of the owners of the home and of its run folder count: anybody may
    give a process any command line, and could else keep the gate from starting.
    """
    trusted = {0, os.geteuid(), *_owner(home.root), *_owner(home.run)}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        found = identify(int(entry.name), home)
        if found and user_of(found.pid) in trusted:
            yield found


def _owner(path: Path) -> tuple[int, ...]:
    try:
        return (path.stat().st_uid,)
    except OSError:
        return ()


def user_for(home: Home) -> int:
    """Return the user as whom a Caddy of this home is started: for root, whom the run folder belongs to."""
    return next(iter(_owner(home.run)), 0) if os.geteuid() == 0 else os.geteuid()


def user_of(pid: int) -> int | None:
    """Return the real user id, not the owner of /proc/PID: that is root for a program with capabilities."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("Uid:")), None)
