# SPDX-License-Identifier: Apache-2.0
"""A figure beside its peer's: how the ratio is taken, and whether the aim is met. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any


class Of(StrEnum):
    """What an aim is set for."""

    RATIO = "ratio"
    OURS = "ours"


@dataclass(frozen=True)
class Aim:
    """A limit that a figure should keep.

    Attributes:
        limit: The limit itself; keeping it exactly is good enough.
        at_most: Whether it must not be passed upwards; otherwise it must be reached.
        of: The ratio to the peer, or the figure itself.
    """

    limit: float
    at_most: bool
    of: Of = Of.RATIO

    def is_met(self, value: float) -> bool:
        """Say whether a value keeps the limit."""
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True)
class Comparison:
    """What was measured, ours and the peer's taken in turn.

    Attributes:
        figure: The figure that it belongs to.
        ours_is: What was measured of pivgate.
        peer_is: What it is held against.
        unit: Of both: ``ms``, ``/s``.
        ours: One value a round.
        peer: One value a round, taken right beside ours; infinite for a duration that has no end.
        aim: What it should come to; None where none was set.
        inverse: Show the peer's value over ours: "how many times faster", where values are durations.
    """

    figure: str
    ours_is: str
    peer_is: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float]
    aim: Aim | None = None
    inverse: bool = False

    @property
    def ratio(self) -> float:
        """Median of the rounds' own ratios: load that comes and goes meets both sides of a round."""
        pairs = zip(self.ours, self.peer, strict=True)
        return median(peer / ours if self.inverse else ours / peer for ours, peer in pairs)

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None where none was set."""
        if self.aim is None:
            return None
        return self.aim.is_met(self.ratio if self.aim.of is Of.RATIO else median(self.ours))

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for programs."""
        return {
            "figure": self.figure,
            "ours": self.ours_is,
            "peer": self.peer_is,
            "unit": self.unit,
            "ours_median": _finite(median(self.ours)),
            "peer_median": _finite(median(self.peer)),
            "rounds": len(self.ours),
            "ratio": _finite(self.ratio),
            "ratio_is": "peer/ours" if self.inverse else "ours/peer",
            "aim": None if self.aim is None else vars(self.aim),
            "met": self.is_met,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
