# SPDX-License-Identifier: Apache-2.0
"""Who may open a unix socket: the gate must, and the other users of the machine must not.

On Linux connecting takes permission to write to the socket, and to pass every folder above it (unix(7)).
"""

import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.errors import InputError

PUT_AWAY: Final = "put the socket into a folder that only its program and Caddy may enter"
"""What to do about a socket that every user of the machine may connect to."""

_ROOT: Final = 0


@dataclass(frozen=True)
class Account:
    """Whoever opens a socket.

    Attributes:
        uid: Number of the user.
        gids: Numbers of all groups the user is in.
    """

    uid: int
    gids: frozenset[int]


@dataclass(frozen=True)
class Step:
    """One folder on the way to a socket, or the socket itself.

    Attributes:
        path: Its path.
        uid: Its owner.
        gid: Its group.
        mode: Type and permissions, as ``st_mode``.
    """

    path: Path
    uid: int
    gid: int
    mode: int

    @property
    def _needed(self) -> int:
        return stat.S_IXOTH if stat.S_ISDIR(self.mode) else stat.S_IWOTH

    @property
    def lets_everybody(self) -> bool:
        """Whether a user who is neither its owner nor in its group gets past it."""
        return bool(self.mode & self._needed)

    def lets(self, account: Account) -> bool:
        """Say whether a user gets past it; owner and group count before the rest (path_resolution(7))."""
        if account.uid == _ROOT:
            return True
        if account.uid == self.uid:
            return bool(self.mode & self._needed << 6)
        if self.gid in account.gids:
            return bool(self.mode & self._needed << 3)
        return self.lets_everybody


def way_to(path: Path) -> tuple[Step, ...]:
    """Return the folders on the way to a socket, from the root, and the socket last.

    Raises:
        InputError: Something else than a socket is there.
        OSError: Nothing is there, or it cannot be looked at.
    """
    real = path.resolve(strict=True)
    steps = []
    for each in (*reversed(real.parents), real):
        found = each.stat()
        steps.append(Step(each, found.st_uid, found.st_gid, found.st_mode))
    if not stat.S_ISSOCK(steps[-1].mode):
        raise InputError(f"{path} is not a unix socket", "Name the socket that the upstream listens on.")
    return tuple(steps)


def is_open_to_all(steps: Sequence[Step]) -> bool:
    """Say whether every user of the machine may connect."""
    return all(step.lets_everybody for step in steps)


def remarks(path: Path, gate: Account, root: Path = Path("/")) -> tuple[str, ...]:
    """Say what is wrong with a socket as an upstream; a program that is not started yet has made none.

    Args:
        path: The socket.
        gate: The user who runs Caddy.
        root: The machine's files as Caddy sees them, ``/proc/PID/root``: a service may see less of them.

    Raises:
        InputError: Something else than a socket is there.
    """
    try:
        steps = way_to(path)
    except FileNotFoundError:
        return (f"There is no socket at {path} yet: the site answers 502 until its program has made it.",)
    except OSError as error:
        return (f"{path} could not be looked at: {error.strerror}.",)
    found = []
    if not _is_seen(root / path.relative_to("/")):
        found.append(
            f"The service that runs Caddy does not see {path}, though it is there: the site answers 502. "
            "What is in /tmp and /home is hidden from services; put the socket into a folder in /run."
        )
    barred = next((step for step in steps if not step.lets(gate)), None)
    if barred is not None:
        found.append(
            f"{name_of(gate.uid)}, who runs Caddy, gets no further than {barred.path}: the site answers 502. "
            "Let a group in that this user belongs to, with chgrp and chmod."
        )
    if is_open_to_all(steps):
        found.append(
            f"Every user of this machine may connect to {path}, around the gate. "
            f"If others have accounts here: {PUT_AWAY}."
        )
    return tuple(found)


def _is_seen(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        # Not everybody may look at the files as another process sees them.
        return True
    return True


def account_of_process(pid: int) -> Account:
    """Return as whom a process opens files, with the groups that it really has (proc_pid_status(5)).

    Raises:
        OSError: There is no such process.
    """
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    )
    user, group = (int(lines[name].split()[3]) for name in ("Uid", "Gid"))
    return Account(user, frozenset({group, *map(int, lines["Groups"].split())}))


def account_of(uid: int) -> Account:
    """Return a user of this machine with all of their groups; without groups if the system knows none."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(uid, frozenset())
    return Account(uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def name_of(uid: int) -> str:
    """Return a user's name, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"
