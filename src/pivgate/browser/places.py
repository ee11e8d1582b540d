# SPDX-License-Identifier: Apache-2.0
"""Where browsers and we keep files on this machine, as one frozen value: tests use folders of their own."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_STATE = "var/lib/pivgate-browser"
"""The folder, below the root, of the record of what ``--system`` changed."""


@dataclass(frozen=True)
class Places:
    """The folders that everything else is found in.

    Attributes:
        home: The holder's home folder.
        config: The holder's configuration, ``$XDG_CONFIG_HOME``.
        data: The holder's data, ``$XDG_DATA_HOME``.
        state: The holder's record of what we changed, below ``$XDG_STATE_HOME``.
        root: The root of the file system.
        path: Where programs are looked for, ``$PATH``.
    """

    home: Path
    config: Path
    data: Path
    state: Path
    root: Path = Path("/")
    path: str = os.defpath

    @property
    def system_state(self) -> Path:
        """The record of what ``--system`` changed."""
        return self.root / SYSTEM_STATE


def places(environment: Mapping[str, str], home: Path) -> Places:
    """Return where things are, from the environment (XDG Base Directory Specification 0.8).

    Args:
        environment: The variables of the process.
        home: The holder's home folder.
    """

    def folder(variable: str, default: str) -> Path:
        named = environment.get(variable, "")
        # The specification says to ignore a path that is not absolute.
        return Path(named) if named.startswith("/") else home / default

    return Places(
        home=home,
        config=folder("XDG_CONFIG_HOME", ".config"),
        data=folder("XDG_DATA_HOME", ".local/share"),
        state=folder("XDG_STATE_HOME", ".local/state") / "pivgate" / "browser",
        path=environment.get("PATH", os.defpath),
    )
