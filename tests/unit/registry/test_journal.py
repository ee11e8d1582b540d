# SPDX-License-Identifier: Apache-2.0
"""Events in the file: written with every change, and every change of them found."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pivgate.errors import StorageError
from pivgate.registry.audit import AuditError, Head
from pivgate.registry.head import read_head
from pivgate.registry.states import RevocationReason
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
REPEAT_EVENT_2_AS_3 = """
    INSERT INTO events SELECT 3, time, actor, action, subject, detail, previous, hash
    FROM events WHERE sequence = 2
"""
WHO = {"actor": "root", "now": NOW}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with Registry.create(tmp_path / "registry.sqlite", tmp_path / "audit.head") as registry:
        for name in ("alice", "bob", "carol", "dave", "erin"):
            registry.add_user(name, **WHO)
    return tmp_path


def reopen(home: Path) -> Registry:
    return Registry.open(home / "registry.sqlite", home / "audit.head")


def tamper(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "registry.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def refusal(home: Path) -> str:
    with reopen(home) as registry, pytest.raises(AuditError) as caught:
        registry.verify_audit()
    return caught.value.message


def test_an_untouched_log_is_whole(home: Path) -> None:
    with reopen(home) as registry:
        end = registry.verify_audit()
        assert end.sequence == 5
        assert end == read_head(home / "audit.head")
        assert registry.events(last=1)[0].hash == end.hash


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["UPDATE events SET actor = 'mallory' WHERE sequence = 2"], "Event 2 was changed"),
        (["UPDATE events SET time = time + 1 WHERE sequence = 1"], "Event 1 was changed"),
        (["UPDATE events SET action = 'x' WHERE sequence = 5"], "Event 5 was changed"),
        (["UPDATE events SET detail = '{}' WHERE sequence = 3"], "Event 3 was changed"),
        (["UPDATE events SET detail = detail || ' ' WHERE sequence = 3"], "Event 3 was changed"),
        (["UPDATE events SET subject = subject || char(0) WHERE sequence = 3"], "Event 3 was changed"),
        (["UPDATE events SET time = 9e18 WHERE sequence = 4"], "Event 4 was changed"),
        (["UPDATE events SET hash = previous WHERE sequence = 4"], "Event 4 was changed"),
        (["DELETE FROM events WHERE sequence = 3"], "Event 3 is missing"),
        (["DELETE FROM events WHERE sequence = 1"], "Event 1 is missing"),
        (["DELETE FROM events WHERE sequence = 5"], "ends with event 4, but event 5 had been written"),
        (["DELETE FROM events"], "ends with event 0, but event 5 had been written"),
        (
            [
                "UPDATE events SET sequence = 99 WHERE sequence = 2",
                "UPDATE events SET sequence = 2 WHERE sequence = 3",
                "UPDATE events SET sequence = 3 WHERE sequence = 99",
            ],
            "Event 2 does not follow",
        ),
        (
            [
                "UPDATE events SET sequence = sequence + 100 WHERE sequence > 2",
                REPEAT_EVENT_2_AS_3,
                "UPDATE events SET sequence = sequence - 99 WHERE sequence > 100",
            ],
            "Event 3 does not follow",
        ),
        (
            [
                "DELETE FROM events WHERE sequence = 3",
                "UPDATE events SET sequence = sequence - 1 WHERE sequence > 3",
            ],
            "Event 3 does not follow",
        ),
    ],
)
def test_every_kind_of_tampering_is_found(home: Path, statements: list[str], words: str) -> None:
    tamper(home, *statements)
    assert words in refusal(home)


def test_a_text_that_is_not_utf8_is_found(home: Path) -> None:
    tamper(home, "UPDATE events SET actor = CAST(x'ff' AS TEXT) WHERE sequence = 2")
    with reopen(home) as registry, pytest.raises(StorageError, match="is damaged: Could not decode"):
        registry.verify_audit()


def test_tampering_is_still_found_after_more_changes(home: Path) -> None:
    tamper(home, "UPDATE events SET actor = 'mallory' WHERE sequence = 2")
    with reopen(home) as registry:
        registry.add_user("frank", **WHO)
    assert "Event 2 was changed" in refusal(home)


def test_truncation_is_still_found_after_more_changes(home: Path) -> None:
    tamper(home, "DELETE FROM events WHERE sequence > 3")
    known = read_head(home / "audit.head")
    with reopen(home) as registry:
        registry.add_user("frank", **WHO)
    assert read_head(home / "audit.head") == known
    assert "ends with event 4, but event 5 had been written" in refusal(home)
    with reopen(home) as registry:
        for name in ("grace", "heidi", "ivan"):
            registry.add_user(name, **WHO)
    assert read_head(home / "audit.head") == known
    assert "Event 5 is not the one that its head holds" in refusal(home)


def test_an_older_copy_of_the_registry_is_found(home: Path) -> None:
    shutil.copy(home / "registry.sqlite", home / "copy")
    with reopen(home) as registry:
        registry.remove_user("alice", **WHO)
    known = read_head(home / "audit.head")
    (home / "copy").replace(home / "registry.sqlite")
    assert "or the registry was replaced by an older copy" in refusal(home)
    with reopen(home) as registry:
        for name in ("frank", "grace", "heidi"):
            registry.add_user(name, **WHO)
    assert read_head(home / "audit.head") == known
    assert "Event 6 is not the one that its head holds" in refusal(home)


def test_the_registry_of_another_home_is_found(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with Registry.create(other / "registry.sqlite", other / "audit.head") as registry:
        for number in range(9):
            registry.add_user(f"user{number}", **WHO)
    (other / "registry.sqlite").replace(home / "registry.sqlite")
    assert "Event 5 is not the one that its head holds" in refusal(home)


def test_a_witness_finds_that_registry_and_head_were_both_put_back(home: Path) -> None:
    for name in ("registry.sqlite", "audit.head"):
        shutil.copy(home / name, home / f"{name}.copy")
    with reopen(home) as registry:
        registry.remove_user("alice", **WHO)
        witness = registry.verify_audit()
        assert registry.verify_audit(witness) == witness
    for name in ("registry.sqlite", "audit.head"):
        (home / f"{name}.copy").replace(home / name)
    with reopen(home) as registry:
        registry.verify_audit()
        with pytest.raises(AuditError, match="event 6 had been written"):
            registry.verify_audit(witness)


def test_a_registry_ahead_of_its_head_is_whole(home: Path) -> None:
    head = (home / "audit.head").read_bytes()
    with reopen(home) as registry:
        registry.add_user("frank", **WHO)
        (home / "audit.head").write_bytes(head)  # as if killed between the commit and the head
        assert registry.verify_audit().sequence == 6
        registry.add_user("grace", **WHO)
        assert read_head(home / "audit.head") == registry.verify_audit()


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
def test_a_head_that_is_gone_is_not_made_up(home: Path, content: bytes | None) -> None:
    (home / "audit.head").unlink()
    if content is not None:
        (home / "audit.head").write_bytes(content)
    with reopen(home) as registry:
        registry.add_user("frank", **WHO)
        assert registry.user("frank").name == "frank"
    assert "head file" in refusal(home)
    assert (home / "audit.head").exists() == (content is not None)


def test_a_change_holds_even_if_its_head_cannot_be_written(home: Path) -> None:
    with reopen(home) as registry:
        known = read_head(home / "audit.head")
        (home / "audit.head").replace(home / "kept")
        (home / "audit.head").mkdir()
        registry.add_user("frank", **WHO)
        (home / "audit.head").rmdir()
        (home / "kept").replace(home / "audit.head")
        assert registry.user("frank").name == "frank"
        assert registry.verify_audit().sequence == known.sequence + 1


def test_accepting_a_log_goes_on_record(home: Path) -> None:
    shutil.copy(home / "registry.sqlite", home / "copy")
    with reopen(home) as registry:
        registry.add_user("frank", **WHO)
    known = read_head(home / "audit.head")
    (home / "copy").replace(home / "registry.sqlite")
    with reopen(home) as registry:
        end = registry.accept_log("disk died", **WHO)
        assert end == registry.verify_audit() == read_head(home / "audit.head")
        event = registry.events(last=1)[0]
        assert (event.action, event.subject) == ("audit.accept", f"{known.sequence} {known.hash}")
        assert event.details == {"reason": "disk died"}


def test_accepting_a_log_without_a_head(home: Path) -> None:
    (home / "audit.head").unlink()
    with reopen(home) as registry:
        registry.accept_log("lost it", **WHO)
        assert registry.verify_audit().sequence == 6
        assert registry.events(last=1)[0].subject == "no head"


def test_a_broken_chain_cannot_be_accepted(home: Path) -> None:
    tamper(home, "UPDATE events SET actor = 'mallory' WHERE sequence = 2")
    known = read_head(home / "audit.head")
    with reopen(home) as registry:
        with pytest.raises(AuditError, match="Event 2 was changed"):
            registry.accept_log("hush", **WHO)
        assert len(registry.events()) == 5
    assert read_head(home / "audit.head") == known


def test_other_parts_record_what_they_do(registry: Registry) -> None:
    event = registry.append_event(
        "site.add", "mysite.com", {"group": "admins", "action": 1, "actor": None, "x": True}, **WHO
    )
    assert (event.sequence, event.time, event.actor) == (1, NOW, "root")
    assert event.details == {"group": "admins", "action": 1, "actor": None, "x": True}
    assert registry.append_event("gate.apply", "", **WHO).details == {}
    assert registry.events()[0] == event
    registry.verify_audit()


def test_any_text_can_be_recorded(registry: Registry) -> None:
    odd = "\x00\n'\"\\ \u202e ü \U0001d518 \udc80"
    registry.append_event(odd, odd, {odd: odd}, actor=odd, now=NOW)
    event = registry.events()[0]
    assert event.details == {odd: odd}
    assert event.actor == odd.replace("\udc80", "\\udc80")
    registry.verify_audit()


def test_events_by_number_action_and_subject(registry: Registry, enrol: Callable[..., str]) -> None:
    registry.add_user("alice", **WHO)
    fingerprint = enrol(registry, "alice", 7)
    registry.revoke_certificate(fingerprint, RevocationReason.UNSPECIFIED, **WHO)
    actions = [event.action for event in registry.events()]
    assert actions == [
        "user.add",
        "key.register",
        "certificate.record",
        "certificate.activate",
        "key.active",
        "certificate.revoke",
    ]
    assert [event.sequence for event in registry.events(last=2)] == [5, 6]
    assert [event.sequence for event in registry.events(after=4)] == [5, 6]
    assert [event.sequence for event in registry.events(after=3, last=1)] == [6]
    assert [event.sequence for event in registry.events(action="key")] == [2, 5]
    assert [event.sequence for event in registry.events(action="key.register")] == [2]
    assert [event.sequence for event in registry.events(action="ke")] == []
    assert [event.sequence for event in registry.events(subject=fingerprint)] == [3, 4, 6]


def test_a_change_that_fails_leaves_no_event(registry: Registry) -> None:
    def fail() -> None:
        with registry.writing("root", NOW) as change:
            change.record("x.y", "z")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert registry.events() == ()
    assert registry.verify_audit() == Head(0, read_head(registry.audit_head_path).hash)
    assert registry.append_event("x.y", "z", actor="root", now=NOW - timedelta(1)).sequence == 1
