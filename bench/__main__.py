# SPDX-License-Identifier: Apache-2.0
"""The runner: measures the figures that are named, or all, and prints a table."""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
from datetime import UTC, datetime
from importlib import import_module

from bench.comparison import Comparison
from bench.options import FULL, QUICK
from bench.table import show

FIGURES = ("startup", "issuing", "growth", "gate", "gate.parts", "signatures", "smart_card")

# Program → the Debian package that has it: peers, and what stands between them and us.
PEERS = {
    "openssl": "openssl",
    "ab": "apache2-utils",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "pcscd": "pcscd",
    "opensc-tool": "opensc",
    "softhsm2-util": "softhsm2",
}


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="small numbers, for a first look")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args()
    unknown = set(chosen.figures) - set(FIGURES)
    if unknown:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    missing = [package for program, package in PEERS.items() if shutil.which(program) is None]
    if missing:
        parser.error(f"missing peers: apt install {' '.join(missing)}")
    # Ended politely, it still removes its homes and stops its gates.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = QUICK if chosen.quick else FULL
    found: list[Comparison] = []
    for name in chosen.figures or FIGURES:
        print(f"{name} …", file=sys.stderr, flush=True)
        found.extend(import_module(f"bench.{name}").measure(options))
    if chosen.json:
        print(json.dumps({"machine": machine(), "figures": [item.as_json() for item in found]}, indent=2))
    else:
        show(found)


def machine() -> dict[str, object]:
    """Say what kind of machine it was, and how busy; nothing that names it."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
