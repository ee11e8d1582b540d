# SPDX-License-Identifier: Apache-2.0
"""The entry of the command ``pivgate``: it imports next to nothing, so that Ctrl-C ends it quietly."""

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit, whenever it is interrupted with the documented exit code."""
    try:
        _occupy_standard_streams()
        from pivgate.cli.commands import run

        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _occupy_standard_streams() -> None:
    # Else the next file opened, the lock or the registry, would get the number of a closed stream, and
    # a program that we start would write its messages into it.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
