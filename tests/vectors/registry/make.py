# SPDX-License-Identifier: Apache-2.0
"""Writes the vectors of the event chain next to itself. It shares no code with pivgate.

Each file holds ``heads`` (what is known from outside), ``events``, and ``refused``: words of the error that
must come, or null. The hash is spelled out here a second time, so that neither side can change alone.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
GENESIS = hashlib.sha256(b"pivgate audit log 1").hexdigest()
STEPS = [
    ("user.add", "alice", {"display_name": "Alice Müller", "email": "alice@example.com"}),
    ("key.register", "12345678", {"user": "alice", "firmware": "5.7.4"}),
    ("certificate.record", "ab" * 32, {"key": 12345678, "user": "alice"}),
    ("certificate.activate", "ab" * 32, {"from": "pending", "reason": None}),
    ("key.lost", "12345678", {"from": "active", "reason": "in a taxi"}),
    ("key.retired", "12345678", {"from": "lost", "reason": ""}),
]

Event = dict[str, Any]


def digest(event: Event) -> str:
    names = ("sequence", "time", "actor", "action", "subject", "detail", "previous")
    data = b"pivgate event 1"
    for name in names:
        value = str(event[name]).encode("utf-8")
        data += struct.pack(">Q", len(value)) + value
    return hashlib.sha256(data).hexdigest()


def chain(steps: list[tuple[str, str, dict[str, Any]]]) -> list[Event]:
    events: list[Event] = []
    previous = GENESIS
    for number, (action, subject, detail) in enumerate(steps, start=1):
        event: Event = {
            "sequence": number,
            "time": f"2026-03-04T05:06:{number:02}.000000+00:00",
            "actor": "root",
            "action": action,
            "subject": subject,
            "detail": json.dumps(detail, sort_keys=True, separators=(",", ":")),
            "previous": previous,
        }
        event["hash"] = previous = digest(event)
        events.append(event)
    return events


def head(event: Event) -> list[Any]:
    return [event["sequence"], event["hash"]]


def changed(events: list[Event], number: int, **values: Any) -> list[Event]:
    return [event | values if event["sequence"] == number else event for event in events]


def main() -> None:
    good = chain(STEPS)
    end = head(good[-1])
    without = [event for event in good if event["sequence"] != 3]
    renumbered = [event | {"sequence": number} for number, event in enumerate(without, start=1)]
    swapped = [good[0], good[2] | {"sequence": 2}, good[1] | {"sequence": 3}, *good[3:]]
    extra = good[1] | {"sequence": 4}
    inserted = [*good[:3], extra, *(event | {"sequence": event["sequence"] + 1} for event in good[3:])]
    rewritten = chain([step for step in STEPS if step[0] != "key.lost"])
    rewritten_long = chain([*STEPS[:4], ("key.active", "12345678", {}), STEPS[5]])
    rehashed = [dict(event) for event in good]
    rehashed[2]["actor"] = "mallory"
    rehashed[2]["hash"] = digest(rehashed[2])
    moved = changed(good, 2, action="key.register1", subject="2345678")
    vectors: dict[str, tuple[list[list[Any]], list[Event], str | None]] = {
        "good": ([end], good, None),
        "good-empty": ([[0, GENESIS]], [], None),
        "good-ahead-of-head": ([head(good[3])], good, None),
        "good-several-heads": ([head(good[1]), end, [0, GENESIS]], good, None),
        "action-changed": ([end], changed(good, 5, action="key.found"), "Event 5 was changed"),
        "actor-changed": ([end], changed(good, 1, actor="mallory"), "Event 1 was changed"),
        "byte-moved-between-fields": ([end], moved, "Event 2 was changed"),
        "detail-changed": ([end], changed(good, 2, detail='{"user":"bob"}'), "Event 2 was changed"),
        "detail-respaced": (
            [end],
            changed(good, 6, detail='{"from":"lost", "reason":""}'),
            "Event 6 was changed",
        ),
        "event-inserted": ([end], inserted, "Event 4 does not follow"),
        "event-changed-and-rehashed": ([end], rehashed, "Event 4 does not follow"),
        "event-removed": ([end], without, "Event 3 is missing: event 4"),
        "event-removed-and-renumbered": ([end], renumbered, "Event 3 does not follow"),
        "event-repeated": ([end], [*good[:2], good[1], *good[2:]], "Event 3 is missing: event 2"),
        "events-reordered": ([end], [good[0], good[2], good[1], *good[3:]], "Event 2 is missing: event 3"),
        "events-reordered-and-renumbered": ([end], swapped, "Event 2 does not follow"),
        "first-removed": ([end], good[1:], "Event 1 is missing: event 2"),
        "hash-changed": ([end], changed(good, 6, hash="0" * 64), "Event 6 was changed"),
        "head-of-an-empty-log-differs": ([[0, "0" * 64]], good, "Event 0 is not the one"),
        "heads-contradict": ([end, [6, "0" * 64]], good, "Two heads name the same event"),
        "last-removed": ([end], good[:-1], "ends with event 5, but event 6 had been written"),
        "all-removed": ([end], [], "ends with event 0, but event 6 had been written"),
        "rewritten-shorter": ([end], rewritten, "ends with event 5, but event 6 had been written"),
        "rewritten-to-the-same-length": ([end], rewritten_long, "Event 6 is not the one that its head holds"),
        "time-changed": (
            [end],
            changed(good, 4, time="2026-03-04T05:06:04.000001+00:00"),
            "Event 4 was changed",
        ),
    }
    for name, (heads, events, refused) in vectors.items():
        text = json.dumps({"refused": refused, "heads": heads, "events": events}, indent=1)
        (FOLDER / f"chain-{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
