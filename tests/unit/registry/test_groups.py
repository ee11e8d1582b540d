# SPDX-License-Identifier: Apache-2.0
"""Groups and who is in them; ``everyone`` is always there and cannot be touched."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pivgate.errors import InputError
from pivgate.registry.faults import KnownError, UnknownError
from pivgate.registry.records import EVERYONE, Group, Member
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
WHO = {"actor": "root", "now": NOW}


@pytest.fixture(autouse=True)
def users(registry: Registry) -> None:
    registry.add_user("alice", **WHO)
    registry.add_user("bob", **WHO)


def test_everyone_is_there_from_the_start(registry: Registry) -> None:
    assert registry.groups() == (Group(EVERYONE, None),)
    assert [each.user for each in registry.members(EVERYONE)] == ["alice", "bob"]
    registry.remove_user("bob", **WHO)
    assert [each.user for each in registry.members(EVERYONE)] == ["alice"]


def test_everyone_cannot_be_touched(registry: Registry) -> None:
    count = len(registry.events())
    for touch in (
        lambda: registry.add_group(EVERYONE, **WHO),
        lambda: registry.remove_group(EVERYONE, **WHO),
        lambda: registry.add_member(EVERYONE, "alice", **WHO),
        lambda: registry.remove_member(EVERYONE, "alice", **WHO),
    ):
        with pytest.raises(InputError, match="cannot be edited"):
            touch()
    assert len(registry.events()) == count


def test_added_listed_removed(registry: Registry) -> None:
    assert registry.add_group("staff", **WHO) == Group("staff", NOW)
    registry.add_group("admins", **WHO)
    assert [each.name for each in registry.groups()] == [EVERYONE, "admins", "staff"]
    registry.remove_group("staff", **WHO)
    assert [each.name for each in registry.groups()] == [EVERYONE, "admins"]


def test_added_once(registry: Registry) -> None:
    registry.add_group("staff", **WHO)
    with pytest.raises(KnownError, match="There is a group staff already"):
        registry.add_group("staff", **WHO)


@pytest.mark.parametrize("name", ["Staff", "a/b", "..", "*", "a[b]", "", "a" * 64])
def test_bad_names_are_refused(registry: Registry, name: str) -> None:
    for touch in (
        lambda: registry.add_group(name, **WHO),
        lambda: registry.remove_group(name, **WHO),
        lambda: registry.members(name),
        lambda: registry.add_member(name, "alice", **WHO),
    ):
        with pytest.raises(InputError):
            touch()


def test_unknown_names_are_named(registry: Registry) -> None:
    registry.add_group("staff", **WHO)
    for touch, what in (
        (lambda: registry.remove_group("admins", **WHO), "no group admins"),
        (lambda: registry.members("admins"), "no group admins"),
        (lambda: registry.add_member("admins", "alice", **WHO), "no group admins"),
        (lambda: registry.add_member("staff", "carol", **WHO), "no user carol"),
        (lambda: registry.remove_member("staff", "carol", **WHO), "no user carol"),
        (lambda: registry.remove_member("staff", "alice", **WHO), "alice is not in the group staff"),
        (lambda: registry.groups_of("carol"), "no user carol"),
    ):
        with pytest.raises(UnknownError, match=what):
            touch()


def test_joining_and_leaving(registry: Registry) -> None:
    registry.add_group("staff", **WHO)
    alice = registry.add_member("staff", "alice", **WHO)
    bob = registry.add_member("staff", "bob", LATER, **WHO)
    assert alice == Member("staff", "alice", None, NOW)
    assert bob == Member("staff", "bob", LATER, NOW)
    assert registry.members("staff") == (alice, bob)
    assert registry.groups_of("bob") == (Member(EVERYONE, "bob", None, NOW), bob)
    registry.remove_member("staff", "alice", **WHO)
    assert registry.members("staff") == (bob,)
    assert [each.group for each in registry.groups_of("alice")] == [EVERYONE]


def test_joining_again_changes_the_end_only(registry: Registry) -> None:
    registry.add_group("staff", **WHO)
    first = registry.add_member("staff", "alice", LATER, **WHO)
    registry.add_member("staff", "bob", LATER, **WHO)
    count = len(registry.events())
    assert registry.add_member("staff", "alice", LATER, actor="root", now=LATER - timedelta(1)) == first
    assert len(registry.events()) == count
    changed = registry.add_member("staff", "alice", None, **WHO)
    assert changed == Member("staff", "alice", None, NOW)
    assert registry.members("staff") == (changed, Member("staff", "bob", LATER, NOW))
    assert registry.events(last=1)[0].details == {"user": "alice", "until": None}


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), timedelta(days=400)])
def test_an_end_that_has_passed_is_refused(registry: Registry, late: timedelta) -> None:
    registry.add_group("staff", **WHO)
    with pytest.raises(InputError, match="has passed"):
        registry.add_member("staff", "alice", NOW - late, **WHO)
    assert registry.members("staff") == ()


def test_an_end_in_another_time_zone_is_the_same_moment(registry: Registry) -> None:
    registry.add_group("staff", **WHO)
    there = (NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    assert str(registry.add_member("staff", "alice", there, **WHO).until) == str(LATER)


def test_a_removed_groups_members_are_gone_for_good(registry: Registry, enrol: Callable[..., str]) -> None:
    fingerprint = enrol(registry, "alice", 7)
    registry.add_group("staff", **WHO)
    registry.add_member("staff", "alice", **WHO)
    assert ("staff", fingerprint) in registry.access(NOW)
    registry.remove_group("staff", **WHO)
    assert registry.events(last=1)[0].details == {"members": 1}
    registry.add_group("staff", **WHO)
    assert registry.members("staff") == ()
    assert registry.access(NOW) == {(EVERYONE, fingerprint)}
