# SPDX-License-Identifier: Apache-2.0
"""The program ``nft``: ask whether it takes a text, load it, show our table. No shell is involved."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.errors import RefusedError
from pivgate.firewall.rules import FAMILY, TABLE

# Where it is for those who have no sbin in their PATH.
_FOLDERS: Final = "/usr/sbin:/sbin:/usr/local/sbin"
_SECONDS: Final = 60


@dataclass(frozen=True)
class Nft:
    """The program.

    Attributes:
        path: Where it is.
    """

    path: Path

    def check(self, text: str) -> None:
        """Ask whether the kernel would take a text; nothing is loaded.

        Raises:
            RefusedError: It would not.
        """
        self._run("--check", "-f", "-", given=text)

    def load(self, text: str) -> None:
        """Load a text: all of it in one step, or nothing.

        Raises:
            RefusedError: nft or the kernel does not take it.
        """
        self._run("-f", "-", given=text)

    def has_table(self) -> bool:
        """Say whether our table is there.

        Raises:
            RefusedError: nft cannot be asked.
        """
        return f"table {FAMILY} {TABLE}" in self._run("list", "tables").splitlines()

    def listing(self) -> str | None:
        """Return our table as it is loaded, without counters; None when it is not there.

        Raises:
            RefusedError: nft cannot be asked.
        """
        return self._run("--stateless", "list", "table", FAMILY, TABLE) if self.has_table() else None

    def _run(self, *arguments: str, given: str = "") -> str:
        try:
            done = subprocess.run(  # noqa: S603 - found by find_nft, with words of our own
                [self.path, *arguments],
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
                env={"PATH": _FOLDERS, "LC_ALL": "C"},
            )
        except OSError as error:
            raise RefusedError(
                f"Cannot run {self.path}: {error.strerror}", "Install the package nftables anew."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise RefusedError(
                f"{self.path} does not answer", "Look with `nft list ruleset`, then run the command again."
            ) from error
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            reason = lines[0] if lines else f"status {done.returncode}"
            raise RefusedError(
                f"nft refuses: {reason}",
                "Nothing was loaded. In a container, nft needs the capability CAP_NET_ADMIN; one older than "
                "nftables 1.0 may not know all of it.",
            )
        return done.stdout


def find_nft() -> Nft:
    """Find the program.

    Raises:
        RefusedError: It is not installed.
    """
    path = shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:{_FOLDERS}")
    if path is None:
        raise RefusedError("There is no nft on this machine", "Install it: `apt install nftables`.")
    return Nft(Path(path))


def check_root() -> None:
    """Refuse to go on for whoever cannot change the firewall.

    Raises:
        RefusedError: Another user than root runs the command.
    """
    if os.geteuid() != 0:
        raise RefusedError(
            "Only root can change the firewall",
            "Run the same command with sudo; name a home of your own with --home. "
            "`pivgate firewall show` needs no root.",
        )
