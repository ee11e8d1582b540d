# SPDX-License-Identifier: Apache-2.0
"""What ``doctor`` says: a fault with one cause and one remedy, or what it could not look at."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pivgate.errors import PivgateError

PAGE: Final = "docs/reference/doctor.md"
"""The page with a section for every code."""


class Area(StrEnum):
    """What may be looked at by itself, in the order in which it is shown."""

    HOME = "home"
    MACHINE = "machine"
    REGISTRY = "registry"
    AUTHORITY = "authority"
    PEOPLE = "people"
    SITES = "sites"
    GATE = "gate"
    UPSTREAMS = "upstreams"
    CARD = "card"
    BROWSERS = "browsers"


class Severity(StrEnum):
    """How bad it is.

    An error keeps somebody out who is to get in, or could let somebody in who is not. A warning will become
    one, or makes one likelier.
    """

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """A fault.

    Attributes:
        code: Its name, which stays the same.
        area: Where it is.
        severity: How bad it is.
        what: The thing that is at fault: a file, a site, a key.
        cause: What is wrong with it, one sentence.
        remedy: What to do, with the exact command where there is one.
    """

    code: str
    area: Area
    severity: Severity
    what: str
    cause: str
    remedy: str

    @property
    def page(self) -> str:
        """Where it is explained, within this project's repository."""
        return f"{PAGE}#{self.code}"


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at, which is neither good nor bad.

    Attributes:
        what: What.
        why: Why not, and how it could be.
    """

    what: str
    why: str


@dataclass(frozen=True)
class Trouble:
    """Why something could not be read; stands in the place of what was to be read.

    Attributes:
        message: What happened.
        hint: What to do about it.
        kind: The name of the error's class, by which one trouble is told from another.
    """

    message: str
    hint: str
    kind: str

    @classmethod
    def of(cls, error: PivgateError) -> "Trouble":
        """Keep an error."""
        return cls(error.message, error.hint, type(error).__name__)
