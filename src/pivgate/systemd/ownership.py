# SPDX-License-Identifier: Apache-2.0
"""Whose the parts of a home are: root's, but for what Caddy writes, which is its own user's."""

import os
import pwd
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from pivgate.errors import InputError, RefusedError
from pivgate.files import storage_error
from pivgate.settings import Home
from pivgate.systemd.units import USER

# systemd.exec(5): what ProtectHome= and PrivateTmp= hide from the service.
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - to refuse them


def check_home(home: Home) -> None:
    """Refuse a home that Caddy's user could not reach.

    Raises:
        InputError: It is in a place that is hidden from services, or a folder above is closed.
    """
    root = home.root.resolve()
    closed = [place for place in _HIDDEN if root.is_relative_to(place)] or [
        above for above in root.parents if not above.stat().st_mode & stat.S_IXOTH
    ]
    if closed:
        raise InputError(
            f"A service cannot keep the home {root}: {closed[0]} is closed to it",
            "Stop the gate, move the home to /var/lib/pivgate, and run the command again.",
        )


def check_caddy(caddy: Path) -> None:
    """Refuse a Caddy that its user could not run.

    Raises:
        InputError: It is in a place that is hidden from services, or closed to other users.
    """
    user = pwd.getpwnam(USER)
    try:
        runs = not subprocess.run(  # noqa: S603 - found by find_caddy
            [caddy, "version"],
            capture_output=True,
            timeout=60,
            check=False,
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
        ).returncode
    except PermissionError:
        runs = False
    except (OSError, subprocess.SubprocessError) as error:
        raise RefusedError(f"Cannot run {caddy}: {error}", "Check that program.") from error
    if not runs or any(caddy.resolve().is_relative_to(place) for place in _HIDDEN):
        raise InputError(
            f"The user {USER} cannot run {caddy}",
            "Install pivgate in /opt, or put Caddy where all may run it: "
            f"`install -m 755 {caddy} /usr/local/bin/caddy`, and set PIVGATE_CADDY=/usr/local/bin/caddy.",
        )


def give(home: Home) -> None:
    """Let Caddy's user own what Caddy writes, and its group enter the home. No Caddy may run.

    Raises:
        StorageError: An owner cannot be changed.
    """
    user = pwd.getpwnam(USER)
    with suppress(FileNotFoundError):
        # From now on the log is in the journal; an old one's last words would be taken for today's.
        home.caddy_log.replace(home.caddy_log.with_suffix(".log.1"))
    for folder in (home.run, home.caddy_storage):
        folder.mkdir(mode=0o700, exist_ok=True)
        _own(folder, user.pw_uid, user.pw_gid)
    try:
        os.chown(home.root, -1, user.pw_gid)
        home.root.chmod(stat.S_IMODE(home.root.stat().st_mode) | stat.S_IXGRP)
    except OSError as error:
        raise storage_error("change", home.root, error) from error


def take_back(home: Home) -> None:
    """Let root own all of it again. No Caddy may run.

    Raises:
        StorageError: An owner cannot be changed.
    """
    for folder in (home.run, home.caddy_storage):
        _own(folder, os.geteuid(), os.getegid())


def _own(folder: Path, user: int, group: int) -> None:
    try:
        for above, folders, names in os.walk(folder, topdown=False):
            for name in (*folders, *names):
                os.chown(Path(above, name), user, group, follow_symlinks=False)
        os.chown(folder, user, group, follow_symlinks=False)
    except OSError as error:
        raise storage_error("change the owner of files in", folder, error) from error
