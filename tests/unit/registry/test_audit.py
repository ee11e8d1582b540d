# SPDX-License-Identifier: Apache-2.0
"""The chain of events, against vectors made by other code, and under every small change."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import RefusedError
from pivgate.registry.audit import (
    GENESIS,
    START,
    AuditError,
    Head,
    canonical_detail,
    hash_event,
    next_event,
    verify_chain,
)
from pivgate.registry.records import Event

VECTORS = Path(__file__).parents[2] / "vectors" / "registry"
NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)


def read_event(values: dict[str, Any]) -> Event:
    return Event(**values | {"time": datetime.fromisoformat(values["time"])})


@pytest.mark.parametrize("path", sorted(VECTORS.glob("chain-*.json")), ids=lambda path: path.stem)
def test_vectors(path: Path) -> None:
    vector = json.loads(path.read_text())
    events = [read_event(values) for values in vector["events"]]
    heads = [Head(*head) for head in vector["heads"]]
    if vector["refused"] is None:
        end = Head(events[-1].sequence, events[-1].hash) if events else START
        assert verify_chain(events, *heads) == end
        return
    with pytest.raises(AuditError, match=re.escape(vector["refused"])) as caught:
        verify_chain(events, *heads)
    assert isinstance(caught.value, RefusedError)
    assert caught.value.hint


def test_there_are_good_and_bad_vectors() -> None:
    names = [path.stem.removeprefix("chain-") for path in VECTORS.glob("chain-*.json")]
    assert sum(name.startswith("good") for name in names) == 4
    assert len(names) == 25


words = st.text(max_size=8)
plain = st.characters(exclude_categories=["Cs"])
texts = st.text(plain, max_size=8)
details = st.dictionaries(words, st.one_of(words, st.integers(), st.booleans(), st.none()), max_size=4)
times = st.datetimes(timezones=st.just(UTC))
contents = st.fixed_dictionaries(
    {"time": times, "actor": texts, "action": texts, "subject": texts, "detail": details}
)


def make_chain(values: list[dict[str, Any]]) -> list[Event]:
    head, events = START, []
    for each in values:
        event = next_event(head, **each)
        events.append(event)
        head = Head(event.sequence, event.hash)
    return events


def end_of(events: list[Event]) -> Head:
    return Head(events[-1].sequence, events[-1].hash)


@given(st.lists(contents, min_size=1, max_size=6))
def test_what_was_written_is_accepted(values: list[dict[str, Any]]) -> None:
    events = make_chain(values)
    assert verify_chain(events, end_of(events)) == end_of(events)
    assert [event.details for event in events] == [each["detail"] for each in values]


@given(st.lists(contents, min_size=1, max_size=5), st.data())
def test_every_change_of_one_field_is_found(values: list[dict[str, Any]], data: st.DataObject) -> None:
    events = make_chain(values)
    index = data.draw(st.integers(0, len(events) - 1))
    name = data.draw(
        st.sampled_from(["sequence", "time", "actor", "action", "subject", "detail", "previous", "hash"])
    )
    old = getattr(events[index], name)
    strategies: dict[type, st.SearchStrategy[Any]] = {int: st.integers(), str: texts, datetime: times}
    new = data.draw(strategies[type(old)].filter(lambda value: value != old))
    tampered = [*events[:index], replace(events[index], **{name: new}), *events[index + 1 :]]
    with pytest.raises(AuditError, match=f"Event {index + 1} "):
        verify_chain(tampered, end_of(events))


@given(st.lists(contents, min_size=2, max_size=5), st.data())
def test_every_other_selection_or_order_is_found(values: list[dict[str, Any]], data: st.DataObject) -> None:
    events = make_chain(values)
    order = st.lists(st.sampled_from(range(len(events))), max_size=6).filter(
        lambda picked: picked != list(range(len(events)))
    )
    picked = [events[index] for index in data.draw(order)]
    with pytest.raises(AuditError):
        verify_chain(picked, end_of(events))


FIELDS: dict[str, Any] = {
    "sequence": 1,
    "time": NOW,
    "actor": "root",
    "action": "user.add",
    "subject": "alice",
    "detail": "{}",
    "previous": GENESIS,
}


@given(st.tuples(*[st.text(st.sampled_from("a\x00\n,"), max_size=3)] * 4), st.data())
def test_no_two_events_share_their_bytes(fields: tuple[str, ...], data: st.DataObject) -> None:
    names = ("actor", "action", "subject", "detail")
    others = data.draw(st.tuples(*[st.text(st.sampled_from("a\x00\n,"), max_size=3)] * 4))
    first = hash_event(**FIELDS | dict(zip(names, fields, strict=True)))
    second = hash_event(**FIELDS | dict(zip(names, others, strict=True)))
    assert (first == second) == (fields == others)


def test_a_moment_has_one_hash_whatever_its_time_zone() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    assert hash_event(**FIELDS) == hash_event(**FIELDS | {"time": there})


def test_details_have_one_form() -> None:
    assert canonical_detail({"b": None, "a": "ü", "c": 1}) == '{"a":"\\u00fc","b":null,"c":1}'
    assert canonical_detail({}) == "{}"
