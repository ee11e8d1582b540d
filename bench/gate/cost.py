# SPDX-License-Identifier: Apache-2.0
"""What processes have used so far, by what the kernel counts (proc(5))."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all that it started, and they."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Return the time that a process and its children have computed, in user space and in the kernel."""
    return sum(_own_cpu_seconds(one) for one in family(pid))


def memory(pid: int) -> float:
    """Return the memory that a process and its children have in use, MB; what they share counts for each."""
    return sum(_own_kilobytes(one) for one in family(pid)) / 1024


def _own_cpu_seconds(pid: int) -> float:
    # The name before may hold spaces and brackets; utime and stime are the fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _own_kilobytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
