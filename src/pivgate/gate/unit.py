# SPDX-License-Identifier: Apache-2.0
"""The systemd service that keeps a gate's Caddy, where there is one: who belongs to it, what it is to do.

A Caddy that is started from a shell belongs to that login: it is not looked after, may end with the login,
and has none of the service's restrictions. So a Caddy beside one that the service keeps is started by it.
"""

import os
from pathlib import Path

from pivgate.errors import GateError, RefusedError
from pivgate.settings import SERVICE
from pivgate.systemctl import call

_PATIENCE = 60.0


def keeps(pid: int) -> bool:
    """Return whether a process belongs to the service, by its control group (proc(5), cgroups(7))."""
    try:
        return are_of_service(Path(f"/proc/{pid}/cgroup").read_text(errors="replace"))
    except OSError:
        return False


def are_of_service(groups: str) -> bool:
    """Return whether these control groups are the service's, not those of a namesake that a user runs.

    Args:
        groups: What is in /proc/PID/cgroup.
    """
    return any(group.endswith(f":/system.slice/{SERVICE}") for group in groups.splitlines())


def keeps_us() -> bool:
    """Return whether this process is a part of the service, which then waits for it and does nothing else."""
    return keeps(os.getpid())


def ask(*words: str) -> None:
    """Have systemd do something with the service, as ``systemctl WORDS pivgate.service`` does.

    Raises:
        GateError: It does not do it.
    """
    try:
        call("systemctl", *words, SERVICE, seconds=_PATIENCE)
    except RefusedError as error:
        raise GateError(error.message, f"`journalctl -u {SERVICE} -n 20` says why.") from error
