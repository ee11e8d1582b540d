# SPDX-License-Identifier: Apache-2.0
"""The whole of ``doctor``: which examinations are held, and what came of them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pivgate.doctor.codes import found
from pivgate.doctor.examinations import EXAMINATIONS, Examination
from pivgate.doctor.finding import Area, Finding, Severity, Unseen
from pivgate.doctor.gather import GATHERERS, Failed, gather, with_needs
from pivgate.doctor.home_facts import is_there
from pivgate.doctor.place import Place

WITHOUT_HOME = (Area.CARD, Area.BROWSERS)
"""Areas that mean something on a machine without a gate: that of somebody who holds a key."""


@dataclass(frozen=True)
class AreaReport:
    """What came of one area.

    Attributes:
        area: Which.
        findings: Faults, errors first.
        unseen: What could not be looked at.
        good: How many examinations found nothing.
    """

    area: Area
    findings: tuple[Finding, ...]
    unseen: tuple[Unseen, ...]
    good: int


@dataclass(frozen=True)
class Diagnosis:
    """What came of all that was looked at."""

    areas: tuple[AreaReport, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All faults."""
        return tuple(each for report in self.areas for each in report.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Faults that are more than a warning."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)


def diagnose(place: Place, areas: Collection[Area] = ()) -> Diagnosis:
    """Look at a home and its machine. Nothing is changed, no try of a PIN spent, and no request made.

    Args:
        place: Where to look.
        areas: What to look at; everything when empty.
    """
    chosen = [each for each in EXAMINATIONS if not areas or each.area in areas]
    absent = _home_trouble(place) if any(_needs_home(each) for each in chosen) else None
    held = [each for each in chosen if absent is None or not _needs_home(each)]
    facts = gather(place, {kind for each in held for kind in each.facts})
    said = {each: _words(each, [facts[kind] for kind in each.facts]) for each in held}
    told: set[Finding] = set()
    reports = []
    for area in Area:
        here = [each for each in held if each.area is area]
        words = [word for each in here for word in said[each]]
        # A file that several areas need is told of once.
        findings = [word for word in words if isinstance(word, Finding) and word not in told]
        told.update(findings)
        if absent is not None and area is Area.HOME and any(each.area not in WITHOUT_HOME for each in chosen):
            findings.append(absent)
        unseen = tuple(dict.fromkeys(word for word in words if isinstance(word, Unseen)))
        if here or findings:
            good = sum(not said[each] for each in here)
            ordered = sorted(dict.fromkeys(findings), key=lambda each: each.severity is Severity.WARNING)
            reports.append(AreaReport(area, tuple(ordered), unseen, good))
    return Diagnosis(tuple(reports))


def _words(examination: Examination, facts: list[Any]) -> tuple[Finding | Unseen, ...]:
    failed = next((each for each in facts if isinstance(each, Failed)), None)
    if failed is None:
        return tuple(examination.examine(*facts))
    remedy = "Let the home's owner have all of it, `sudo chown -hR OWNER HOME`, or run doctor as root."
    return (found("file-unreadable", failed.path, f"it cannot be looked at: {failed.reason}", remedy),)


def _needs_home(examination: Examination) -> bool:
    return any(GATHERERS[kind].of_home for kind in with_needs(examination.facts))


def _home_trouble(place: Place) -> Finding | None:
    root = place.home.root
    try:
        if is_there(place.home):
            return None
    except PermissionError as error:
        return found(
            "home-unreadable",
            str(root),
            f"user {place.user} may not look into it, at {error.filename}",
            "Run the command as the user who owns the home: `sudo -u USER pivgate doctor`.",
        )
    except FileNotFoundError:
        pass
    return found(
        "home-missing",
        str(root),
        "there is no pivgate home",
        "Name it with --home or PIVGATE_HOME, or create one with `pivgate init`. On a machine that has "
        "only keys "
        "and browsers: `pivgate doctor card browsers`.",
    )
