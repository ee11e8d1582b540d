# SPDX-License-Identifier: Apache-2.0
"""The chain of events: each holds the hash of the one before, so that none can be changed unseen.

Pure. The chain proves that the events are those that were written, in that order. That none was cut off
the end, and that the whole was not put back to an older copy, only its head can prove: number and hash of
the last event, kept outside the registry (``head``).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pivgate.errors import RefusedError
from pivgate.registry.records import DetailValue, Event

_DOMAIN: Final = b"pivgate event 1"
# What the first event names as the hash before it.
GENESIS: Final = hashlib.sha256(b"pivgate audit log 1").hexdigest()

_HINT: Final = (
    "Compare the registry and its head file with a backup, and find out who could write to them. "
    "Until that is clear, trust neither."
)


class AuditError(RefusedError):
    """The log of events is not the one that was written."""


@dataclass(frozen=True)
class Head:
    """The end of a chain: number and hash of its last event."""

    sequence: int
    hash: str


START: Final = Head(0, GENESIS)


def canonical_detail(detail: Mapping[str, DetailValue]) -> str:
    """Write a detail in the one form in which it is stored: names sorted, no spaces, ASCII."""
    return json.dumps(dict(detail), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def hash_event(
    *, sequence: int, time: datetime, actor: str, action: str, subject: str, detail: str, previous: str
) -> str:
    """Hash an event and, through ``previous``, all before it.

    Each field is preceded by its length (8 bytes, big endian), so that no two different events have the
    same bytes. Numbers are decimal; the time is ISO 8601 in UTC with microseconds.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    fields = (str(sequence), _instant(time), actor, action, subject, detail, previous)
    digest = hashlib.sha256(_DOMAIN)
    for value in fields:
        data = value.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def next_event(
    head: Head, *, time: datetime, actor: str, action: str, subject: str, detail: Mapping[str, DetailValue]
) -> Event:
    """Make the event that follows a head; what UTF-8 cannot hold is written as an escape."""
    event = Event(
        sequence=head.sequence + 1,
        time=time.astimezone(UTC),
        actor=_encodable(actor),
        action=_encodable(action),
        subject=_encodable(subject),
        detail=canonical_detail(detail),
        previous=head.hash,
        hash="",
    )
    return replace(event, hash=_hash(event))


def verify_chain(events: Iterable[Event], *heads: Head) -> Head:
    """Prove that events are those that were written, up to the last head at least.

    Args:
        events: All events, in the order in which they are stored.
        heads: What is known from outside of the registry. The chain may go on after them, since a command
            can be killed between writing an event and writing the head.

    Returns:
        The chain's own end.

    Raises:
        AuditError: An event was changed, removed, moved or put in; the first such event is named.
    """
    end = START
    awaited = {head.sequence: head for head in heads}
    if len(awaited) != len(set(heads)):
        raise AuditError("Two heads name the same event and differ: one is of another log", _HINT)
    _check_head(end, awaited)
    for event in events:
        _check_link(end, event)
        end = Head(event.sequence, event.hash)
        _check_head(end, awaited)
    if awaited:
        raise AuditError(
            f"The log ends with event {end.sequence}, but event {max(awaited)} had been written: "
            "events were cut off, or the registry was replaced by an older copy",
            _HINT,
        )
    return end


def _check_head(end: Head, awaited: dict[int, Head]) -> None:
    head = awaited.pop(end.sequence, end)
    if head != end:
        raise AuditError(
            f"Event {head.sequence} is not the one that its head holds: "
            "the log was rewritten, or the registry was replaced",
            _HINT,
        )


def _check_link(end: Head, event: Event) -> None:
    expected = end.sequence + 1
    if event.sequence != expected:
        raise AuditError(f"Event {expected} is missing: event {event.sequence} stands in its place", _HINT)
    if event.previous != end.hash:
        raise AuditError(
            f"Event {expected} does not follow the event before it: one was removed, moved or put in", _HINT
        )
    if _hash(event) != event.hash:
        raise AuditError(f"Event {expected} was changed: its hash does not match its content", _HINT)


def _hash(event: Event) -> str:
    return hash_event(
        sequence=event.sequence,
        time=event.time,
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        detail=event.detail,
        previous=event.previous,
    )


def _encodable(text: str) -> str:
    # A login name or an argument can hold bytes that are not UTF-8, as surrogate escapes (PEP 383).
    return text.encode("utf-8", "backslashreplace").decode()


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
