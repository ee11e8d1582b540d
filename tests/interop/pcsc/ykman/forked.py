# SPDX-License-Identifier: Apache-2.0
"""ykman run again and again, each time in a process of its own that begins where its imports have ended."""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn


class ForkedYkman:
    """Runs ykman's command line without its start, which takes five times as long as most commands.

    Args:
        home: For what ykman remembers of keys.
    """

    def __init__(self, home: Path) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **home_variables(home)},
            text=True,
        )

    def run(self, words: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
        """Run one command to its end; return its exit status and all that it says."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([words, str(folder), dict(environment)]) + "\n")
        self._parent.stdin.flush()
        status, said = json.loads(self._parent.stdout.readline())
        return status, said

    def close(self) -> None:
        """End the process from which the others are made."""
        self._parent.communicate()


def home_variables(home: Path) -> dict[str, str]:
    """Return the variables that keep ykman's memory of keys, and its colours, out of the way."""
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("DATA", "CONFIG", "CACHE")}
    return {"HOME": str(home), "NO_COLOR": "1", **folders}


def _serve() -> None:
    from ykman._cli import __main__ as ykman

    for order in sys.stdin:
        words, folder, environment = json.loads(order)
        with tempfile.TemporaryFile() as said:
            child = os.fork()
            if child == 0:
                _become(ykman.main, ["ykman", *words], folder, environment, said.fileno())
            _, status = os.waitpid(child, 0)
            said.seek(0)
            reply = [os.waitstatus_to_exitcode(status), said.read().decode()]
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


def _become(main, words: list[str], folder: str, environment: dict[str, str], said: int) -> NoReturn:  # type: ignore[no-untyped-def]
    # Without a terminal nothing can be asked: a question fails instead of waiting for somebody.
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(said, 1)
    os.dup2(said, 2)
    status: object = 1
    with open(os.devnull) as nothing:  # noqa: PTH123 - it takes the place of another open file
        os.dup2(nothing.fileno(), 0)
        sys.stdin = nothing
        sys.argv = words
        try:
            main()
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    _serve()
