# SPDX-License-Identifier: Apache-2.0
"""Where ``doctor`` looks: a home, and the machine and the person it is looked at from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pivgate.browser.places import Places, places
from pivgate.settings import Home


@dataclass(frozen=True)
class Place:
    """All that looking depends on.

    Attributes:
        home: The home.
        now: The time, UTC.
        user: Number of the user who looks.
        environment: Their variables, such as ``PATH``.
        browsers: Where their browsers keep files; its root is that of the file system.
    """

    home: Home
    now: datetime
    user: int
    environment: Mapping[str, str]
    browsers: Places

    @property
    def root(self) -> Path:
        """The root of the file system."""
        return self.browsers.root


def this_place(home: Home) -> Place:
    """Return where this process is."""
    return Place(home, datetime.now(UTC), os.geteuid(), dict(os.environ), places(os.environ, Path.home()))
