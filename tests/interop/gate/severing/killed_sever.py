# SPDX-License-Identifier: Apache-2.0
"""Sever what is open on a home and die at a place: ``killed_sever.py HOME FUNCTION call|return``."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pivgate.gate.sever import sever
from pivgate.settings import Home

root, function, moment = sys.argv[1:]


def profile(frame: FrameType, event: str, _: Any) -> None:
    if event == moment and frame.f_code.co_name == function:
        os.kill(os.getpid(), signal.SIGKILL)


sys.setprofile(profile)
sever(Home(Path(root)))
