# SPDX-License-Identifier: Apache-2.0
"""What systemd is asked for, by its own programs."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from pivgate.errors import RefusedError
from pivgate.files import UNFINISHED, make_public_directory, storage_error

# Starting the gate waits until it is proved; with thousands of sites that takes minutes.
_SECONDS: Final = 330


def call(program: str, *words: str, seconds: float = _SECONDS) -> None:
    """Run ``systemctl`` or ``systemd-sysusers``.

    Args:
        program: Its name.
        words: Its arguments.
        seconds: How long it may take.

    Raises:
        RefusedError: It is not there, or fails.
    """
    command = [shutil.which(program) or program, *words]
    try:
        subprocess.run(  # noqa: S603 - fixed words
            command, capture_output=True, text=True, errors="replace", check=True, timeout=seconds
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise RefusedError(
            f"`{' '.join((program, *words))}` failed: {said[0] if said else 'without a word'}",
            "`journalctl -n 20` may say why. Then run the command again.",
        ) from error


def enable(link: Path, unit: Path) -> None:
    """Make the link that ``systemctl enable`` makes; made here, it needs no systemd that runs.

    Args:
        link: In the folder of what wants the unit.
        unit: Its file.

    Raises:
        StorageError: It cannot be made.
    """
    make_public_directory(link.parent)
    if link.is_symlink() and link.readlink() == unit:
        return
    fresh = link.with_name(f".{link.name}.link{UNFINISHED}")
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(unit)
        fresh.replace(link)
    except OSError as error:
        raise storage_error("write", link, error) from error


def is_running(root: Path = Path("/")) -> bool:
    """Return whether systemd runs now (sd_booted(3)).

    Args:
        root: Root of the file system.
    """
    return (root / "run" / "systemd" / "system").is_dir()


def read_units_anew(root: Path = Path("/")) -> None:
    """Have systemd read its units anew, where it runs: else it would go by the old ones.

    Args:
        root: Root of the file system.

    Raises:
        RefusedError: It does not do it.
    """
    if is_running(root):
        call("systemctl", "daemon-reload")
