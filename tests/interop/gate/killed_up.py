# SPDX-License-Identifier: Apache-2.0
"""Run ``up`` on a home and die at a place: ``killed_up.py HOME FUNCTION call|return kill|interrupt``."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pivgate.gate.apply import up
from pivgate.settings import Home

root, function, moment, how = sys.argv[1:]


def profile(frame: FrameType, event: str, _: Any) -> None:
    if event == moment and frame.f_code.co_name == function:
        sys.setprofile(None)
        if how == "interrupt":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGKILL)


sys.setprofile(profile)
try:
    up(Home(Path(root)))
except KeyboardInterrupt:
    sys.exit(130)
