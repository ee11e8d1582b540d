# SPDX-License-Identifier: Apache-2.0
"""Does a browser run on a profile? Read from the locks that Firefox and Chromium keep there."""

import fcntl
import os
import socket
from pathlib import Path


def firefox_runs(profile: Path) -> bool:
    """Say whether a Firefox has this profile open.

    It holds a POSIX lock on ``.parentlock``, which ends with it. Where it gets none, as on some network
    shares, there is only a link ``lock`` to ``address:pid``; with a lock as well that is ``address:+pid``,
    left over after a crash and no sign of life (Mozilla, ``toolkit/profile/nsProfileLock.cpp``).
    """
    return _is_locked(profile / ".parentlock") or _names_a_process(profile / "lock", ":")


def chromium_runs(user_data: Path) -> bool:
    """Say whether a browser of Chromium's family has this folder open.

    The link ``SingletonLock`` leads to ``host-pid`` (Chromium, ``process_singleton_posix.cc``).
    """
    return _names_a_process(user_data / "SingletonLock", "-", host=True)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _names_a_process(link: Path, separator: str, *, host: bool = False) -> bool:
    try:
        where, _, number = os.readlink(link).rpartition(separator)  # noqa: PTH115 - not a path
    except OSError:
        return False
    if not number.isdigit():
        return False
    # Another machine's, on a shared home: nothing says whether it still runs, so it does.
    if host and where != socket.gethostname():
        return True
    return _is_alive(int(number))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
