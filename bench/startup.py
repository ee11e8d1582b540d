# SPDX-License-Identifier: Apache-2.0
"""Start-up: how long the command line keeps people waiting, beside ykman's and openssl's."""

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.comparison import Aim, Comparison
from bench.options import Options
from bench.place import ACTOR, Place, now, place
from bench.rounds import milliseconds, run_quietly, take_in_turn
from bench.sites import open_gate, static_upstream
from pivgate.enrolment.access import bring_tree_to_registry

FIGURE = "start-up"

_HELP = Aim(1 / 3, at_most=True)
_WORK = Aim(2, at_most=True)


def measure(options: Options) -> Iterator[Comparison]:
    """Run each command in turn, with a gate that runs and real certificates to revoke."""
    with place() as there, static_upstream() as port:
        holders = [there.admit() for _ in range(options.rounds + 1)]
        bring_tree_to_registry(there.home, there.registry, actor=ACTOR, now=now())
        open_gate(there, port)
        victims = iter(holders)
        scripts = Path(sys.executable).parent

        def revoke() -> float:
            fingerprint = next(victims).fingerprint
            return _timed(_pivgate(scripts, there, "key", "revoke", fingerprint, "--yes"))

        sides = {
            "pivgate --help": lambda: _timed([str(scripts / "pivgate"), "--help"]),
            "pivgate status": lambda: _timed(_pivgate(scripts, there, "status")),
            "pivgate key revoke": revoke,
            "ykman --help": lambda: _timed([str(scripts / "ykman"), "--help"]),
            "openssl version": lambda: _timed(["openssl", "version"]),
        }
        values = take_in_turn(options.rounds, sides)
    aims = {"pivgate --help": _HELP, "pivgate status": _WORK, "pivgate key revoke": _WORK}
    for ours, aim in aims.items():
        yield Comparison(FIGURE, ours, "ykman --help", "ms", values[ours], values["ykman --help"], aim)
    for ours in aims:
        yield Comparison(FIGURE, ours, "openssl version", "ms", values[ours], values["openssl version"])


def _pivgate(scripts: Path, there: Place, *arguments: str) -> list[str]:
    return [str(scripts / "pivgate"), "--home", str(there.home.root), *arguments]


def _timed(command: list[str]) -> float:
    return milliseconds(lambda: run_quietly(command))
