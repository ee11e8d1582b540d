# SPDX-License-Identifier: Apache-2.0
"""``pivgate`` in a machine whose PC/SC service has emulated YubiKeys.

Run as a program: the first argument is a folder with the state files of the keys that are plugged in, the
others are pivgate's own. Only the list of PC/SC devices is replaced.
"""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from pivgate.cli import workplace
from pivgate.cli.main import main
from pivgate.emulator.connection import EmulatedDevice, Moment
from pivgate.emulator.state_file import keep, load
from pivgate.enrolment import access
from pivgate.errors import StorageError
from pivgate.registry.store import Registry
from pivgate.yubikey import find

KILL_AT_APDU = "KILL_AT_APDU"
PULL_AT_APDU = "PULL_AT_APDU"
DAYS_FROM_NOW = "DAYS_FROM_NOW"
STUBBORN_TREE = "STUBBORN_TREE"
KILL_AT_FUNCTION = "KILL_AT_FUNCTION"
FULL_REGISTRY = "FULL_REGISTRY"


def plugged_in(folder: Path) -> list[EmulatedDevice]:
    """Load the keys; what changes on them is written back with every command."""
    devices = []
    for path in sorted(folder.glob("*.json")):
        yubikey = load(path)
        keep(yubikey, path)
        devices.append(EmulatedDevice(yubikey))
    return devices


def count_down(device: EmulatedDevice) -> None:
    """Kill this process, or pull the key out, around the command that the environment names."""
    kill, pull = (int(os.environ.get(name, "0")) for name in (KILL_AT_APDU, PULL_AT_APDU))
    seen = 0

    def hook(moment: Moment, _command: bytes) -> None:
        nonlocal seen
        seen += moment is Moment.BEFORE
        if kill and seen == kill and moment is Moment.AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if pull and seen == pull and moment is Moment.BEFORE:
            device.yubikey.remove()

    device.hook = hook


def turn_the_clock() -> None:
    """Let the commands see another date; the modules that take the clock from here are loaded later."""
    days = timedelta(days=float(os.environ.get(DAYS_FROM_NOW, "0")))
    workplace.now = lambda: datetime.now(UTC) + days


def keep_the_tree() -> None:
    """Let withdrawals be without effect, as on a disk that lies, when the environment says so."""
    if os.environ.get(STUBBORN_TREE):
        access.withdraw = lambda _tree, fingerprints: len(list(fingerprints))
        access.synchronise = lambda _tree, _wanted: None


def die_in_a_function() -> None:
    """Kill this process when it enters the function that the environment names."""
    wanted = os.environ.get(KILL_AT_FUNCTION)

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    if wanted:
        sys.setprofile(profile)


def fill_the_registry() -> None:
    """Let no state of a key be recorded, as on a full disk, when the environment says so."""

    def full(*_: object, **__: object) -> None:
        raise StorageError("Cannot write the registry: No space left on device", "Free some space.")

    if os.environ.get(FULL_REGISTRY):
        Registry.set_key_state = full  # type: ignore[assignment]


def plug_in(port: Path) -> None:
    """Let this process see the keys whose state is in a folder, and what the environment asks for."""
    turn_the_clock()
    die_in_a_function()
    fill_the_registry()
    keep_the_tree()
    there = plugged_in(port)
    for each in there:
        count_down(each)
    find.pcsc_devices = lambda: list(there)  # type: ignore[assignment]


if __name__ == "__main__":
    plug_in(Path(sys.argv[1]))
    sys.argv = ["pivgate", *sys.argv[2:]]
    main()
