# SPDX-License-Identifier: Apache-2.0
"""One line of a check: what was looked at, whether it is good, and what to do if it is not."""

from dataclasses import dataclass

from pivgate.errors import PivgateError


@dataclass(frozen=True)
class Line:
    """One thing that was checked.

    Attributes:
        what: What was looked at.
        good: Whether it is as it should be; None when it was not tried.
        says: What was found.
        remedy: What to do, where something is not good.
    """

    what: str
    good: bool | None
    says: str
    remedy: str = ""

    @classmethod
    def bad(cls, what: str, error: PivgateError) -> "Line":
        """Return the line of something that failed."""
        return cls(what, False, error.message, error.hint)
