# SPDX-License-Identifier: Apache-2.0
"""The chain of events: each holds the hash of the one before, so that none can be changed unseen.

Pure. The chain proves that the events are those that were written, in that order. That none was cut off
the end, and that the whole was not put back to an older copy, only its head can prove: number and hash of
the last event, kept outside the registry (``head``).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """Make the event that follows a head."""
    text = canonical_detail(detail)
    sequence = head.sequence + 1
    digest = hash_event(
        sequence=sequence,
        time=time,
        actor=actor,
        action=action,
        subject=subject,
        detail=text,
        previous=head.hash,
    )
    return Event(sequence, time, actor, action, subject, text, head.hash, digest)


def verify_chain(events: Iterable[Event], head: Head) -> Head:
    """Prove that events are those that were written, up to the head at least.

    Args:
        events: All events, in the order in which they are stored.
        head: The last event known from outside. The chain may go on after it, since a command can be
            killed between writing an event and writing the head.

    Returns:
        The chain's own end.

    Raises:
        AuditError: An event was changed, removed, moved or put in; the first such event is named.
    """
    end = START
    seen = head.sequence == 0 and head.hash == GENESIS
    for event in events:
        _check_link(end, event)
        end = Head(event.sequence, event.hash)
        if end.sequence == head.sequence:
            if end.hash != head.hash:
                raise AuditError(
                    f"Event {head.sequence} is not the one that the head file holds: "
                    "the log was rewritten, or the registry was replaced",
                    _HINT,
                )
            seen = True
    if not seen:
        raise AuditError(
            f"The log ends with event {end.sequence}, but event {head.sequence} had been written: "
            "events were cut off, or the registry was replaced by an older copy",
            _HINT,
        )
    return end


def _check_link(end: Head, event: Event) -> None:
    expected = end.sequence + 1
    if event.sequence != expected:
        raise AuditError(f"Event {expected} is missing: event {event.sequence} stands in its place", _HINT)
    if event.previous != end.hash:
        raise AuditError(
            f"Event {expected} does not follow the event before it: one was removed, moved or put in", _HINT
        )
    digest = hash_event(
        sequence=event.sequence,
        time=event.time,
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        detail=event.detail,
        previous=event.previous,
    )
    if digest != event.hash:
        raise AuditError(f"Event {expected} was changed: its hash does not match its content", _HINT)


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
