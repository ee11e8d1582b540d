# SPDX-License-Identifier: Apache-2.0
"""Taking measurements in turn, A B A B, so that all sides meet the same machine."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name", bound=str)
Item = TypeVar("Item")

_PATIENCE = 120


def take_in_turn(
    rounds: int, sides: Mapping[Name, Callable[[], float]], *, warm_up: int = 1
) -> dict[Name, list[float]]:
    """Measure every side once a round.

    Args:
        rounds: How often.
        sides: What to measure; each returns its value.
        warm_up: Rounds before, which do not count: caches fill, byte code is written.

    Returns:
        For each side, one value a round.
    """
    values: dict[Name, list[float]] = {name: [] for name in sides}
    for turn in range(warm_up + rounds):
        for name, measure in sides.items():
            value = measure()
            if turn >= warm_up:
                values[name].append(value)
    return values


def milliseconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def milliseconds_each(work: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Return how long something takes for one item, on average."""
    started = time.perf_counter()
    for item in items:
        work(item)
    return (time.perf_counter() - started) * 1000 / len(items)


def run_quietly(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end.

    Raises:
        RuntimeError: It failed; what it said is told.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_PATIENCE, check=False, env=environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
