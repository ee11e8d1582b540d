# SPDX-License-Identifier: Apache-2.0
"""What is found on a machine: browsers, and the databases that they read."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Family(Enum):
    """The two kinds of browser, by what they read."""

    FIREFOX = "firefox"
    CHROMIUM = "chromium"


class Packaging(Enum):
    """How a browser came to the machine; a sandbox decides which modules it can load."""

    SYSTEM = "system"
    SNAP = "snap"
    FLATPAK = "flatpak"


@dataclass(frozen=True)
class Browser:
    """An installed browser.

    Attributes:
        name: What people call it.
        family: What it reads.
        packaging: How it came here.
        program: What starts it.
        identity: Its name as a snap or a flatpak; empty otherwise.
    """

    name: str
    family: Family
    packaging: Packaging
    program: Path
    identity: str = ""


@dataclass(frozen=True)
class Store:
    """A folder with an NSS database that browsers read.

    Attributes:
        family: Whose.
        packaging: Of which sandbox.
        folder: The folder.
        name: What people call it.
        exists: There is a database in it already.
        users: Folders of Chromium's user data which use this database, to see whether one runs.
        identity: The snap's or flatpak's name; empty otherwise.
    """

    family: Family
    packaging: Packaging
    folder: Path
    name: str
    exists: bool
    users: tuple[Path, ...] = ()
    identity: str = ""
