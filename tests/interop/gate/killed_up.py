# SPDX-License-Identifier: Apache-2.0
"""Run ``up`` on a home, interrupted at a place or with a process killed there.

``killed_up.py HOME FUNCTION call|return interrupt|PID``; the exit status is that of the command.
"""

import os
import select
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pivgate.errors import PivgateError
from pivgate.gate.apply import up
from pivgate.settings import Home

root, function, moment, how = sys.argv[1:]


def profile(frame: FrameType, event: str, _: Any) -> None:
    if event == moment and frame.f_code.co_name == function:
        sys.setprofile(None)
        if how == "interrupt":
            raise KeyboardInterrupt
        kill_and_wait(int(how))


def kill_and_wait(pid: int) -> None:
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)


sys.setprofile(profile)
try:
    up(Home(Path(root)))
except KeyboardInterrupt:
    sys.exit(130)
except PivgateError as error:
    sys.exit(error.exit_code)
