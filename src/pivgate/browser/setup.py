# SPDX-License-Identifier: Apache-2.0
"""Sets up targets one after the other, and undoes them: what fails at one keeps no other from its turn."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pivgate.browser import change
from pivgate.browser.change import Plan, Target, Undone
from pivgate.browser.record import Entry, Record
from pivgate.errors import PivgateError


class Outcome(Enum):
    """How it went with one target."""

    DONE = "set up"
    NEXT_START = "set up from the next start on"
    ALREADY = "nothing to do"
    WOULD = "would be set up"
    UNDONE = "undone"
    WOULD_UNDO = "would be undone"
    CLEANED = "ours taken out"
    RUNNING = "runs now"
    UNREACHABLE = "cannot load the module"
    REFUSED = "not done"


@dataclass(frozen=True)
class Job:
    """A target, what is wanted in it, and how it is spoken of.

    Attributes:
        target: Where.
        wanted: What is to be there.
        browser: Which browser reads it, for people.
        name: Which profile or database, for people.
        runs: The browser runs now.
        deferred: What is wanted but cannot be written while the browser runs; empty if all can.
        lacks: Why the browser cannot use the key even so, and what to do; both empty if it can.
        check: Refuses where the target must not be written.
    """

    target: Target
    wanted: Mapping[str, Any]
    browser: str
    name: str
    runs: bool = False
    deferred: str = ""
    lacks: tuple[str, str] = ("", "")
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Step:
    """How it went with one target.

    Attributes:
        browser: Which browser, for people.
        name: Which profile or database, for people.
        place: Its path.
        outcome: How it went.
        says: More about it.
        remedy: What to do, where something is left to do.
        plan: What was or would be written.
        error: Why it was not done.
    """

    browser: str
    name: str
    place: Path
    outcome: Outcome
    says: str = ""
    remedy: str = ""
    plan: Plan | None = None
    error: PivgateError | None = None


def set_up(jobs: Iterable[Job], record: Record, *, dry_run: bool) -> list[Step]:
    """Bring every target to what is wanted.

    Args:
        jobs: The targets.
        record: Where each change is written down first; the caller holds its lock.
        dry_run: Only find out what would be done.
    """
    return [_attempt(job, lambda job=job: _set_up(job, record, dry_run=dry_run)) for job in jobs]  # type: ignore[misc]


def take_back(
    entries: Iterable[Entry], job_of: Callable[[Entry], Job], record: Record, *, dry_run: bool = False
) -> list[Step]:
    """Undo what is recorded, the latest first.

    Args:
        entries: What to undo.
        job_of: Finds the target of an entry.
        record: The record; the caller holds its lock.
        dry_run: Only find out what would be done.
    """
    jobs = [(entry, job_of(entry)) for entry in reversed(list(entries))]
    return [
        _attempt(job, lambda entry=entry, job=job: _take_back(entry, job, record, dry_run=dry_run))  # type: ignore[misc]
        for entry, job in jobs
    ]


def _set_up(job: Job, record: Record, *, dry_run: bool) -> Step:
    if not job.wanted:
        return _step(job, Outcome.UNREACHABLE, *job.lacks)
    job.check()
    plan = change.plan(job.target, job.wanted, record)
    outcome = Outcome.ALREADY
    if plan.adds and dry_run:
        outcome = Outcome.WOULD
    elif plan.adds:
        change.apply(plan, record)
        outcome = Outcome.NEXT_START if job.runs else Outcome.DONE
    if job.deferred:
        return _step(
            job,
            Outcome.RUNNING,
            f"{job.deferred} cannot be added while the browser runs",
            f"Close {job.browser} and run the same command again.",
            plan,
        )
    return _step(job, outcome, *job.lacks, plan)


def _take_back(entry: Entry, job: Job, record: Record, *, dry_run: bool) -> Step:
    if job.runs:
        return _step(
            job,
            Outcome.RUNNING,
            "its database cannot be put back while the browser runs",
            f"Close {job.browser} and run `pivgate browser undo` again.",
        )
    job.check()
    if dry_run:
        return _step(job, Outcome.WOULD_UNDO)
    done = change.undo(job.target, entry, record)
    return _step(job, Outcome.UNDONE if done is Undone.RESTORED else Outcome.CLEANED, done.value)


def _step(job: Job, outcome: Outcome, says: str = "", remedy: str = "", plan: Plan | None = None) -> Step:
    return Step(job.browser, job.name, job.target.place, outcome, says, remedy, plan)


def _attempt(job: Job, work: Callable[[], Step]) -> Step:
    try:
        return work()
    except PivgateError as error:
        return Step(
            job.browser, job.name, job.target.place, Outcome.REFUSED, error.message, error.hint, error=error
        )
