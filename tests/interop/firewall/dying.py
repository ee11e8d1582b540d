# SPDX-License-Identifier: Apache-2.0
"""``dying.py FUNCTION call|return NUMBER ARGUMENTS…``: run pivgate and die at a place, as by kill -9."""

import os
import signal
import sys
from types import FrameType
from typing import Any

from pivgate.cli.commands import pivgate

function, moment, number, *arguments = sys.argv[1:]
left = int(number)


def profile(frame: FrameType, event: str, _: Any) -> None:
    global left
    if event == moment and frame.f_code.co_name == function and "firewall" in frame.f_back.f_code.co_filename:  # type: ignore[union-attr]
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


sys.setprofile(profile)
pivgate.main(arguments)
