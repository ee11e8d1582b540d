# SPDX-License-Identifier: Apache-2.0
"""What is in force at a moment, to the microsecond; and the revocation list that says the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from pivgate.registry.faults import UnknownError
from pivgate.registry.records import Revoked
from pivgate.registry.schema import users
from pivgate.registry.states import KeyState, RevocationReason
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
START = (NOW - timedelta(days=1)).replace(microsecond=0)
END = (NOW + timedelta(days=365)).replace(microsecond=0)
TICK = timedelta(microseconds=1)
WHO = {"actor": "root", "now": NOW}

Enrol = Callable[..., str]


@pytest.fixture
def alice(registry: Registry, enrol: Enrol) -> str:
    registry.add_user("alice", **WHO)
    return enrol(registry, "alice", 7)


def test_nothing_in_an_empty_registry(registry: Registry) -> None:
    registry.add_group("staff", **WHO)
    assert registry.access(NOW) == frozenset()
    assert registry.revoked(NOW) == ()


@pytest.mark.parametrize(
    ("moment", "open_"), [(START - TICK, False), (START, True), (END, True), (END + TICK, False)]
)
def test_within_the_dates_of_the_certificate(
    registry: Registry, alice: str, moment: datetime, open_: bool
) -> None:
    assert registry.access(moment) == ({("everyone", alice)} if open_ else frozenset())


def test_until_the_end_of_the_membership(registry: Registry, alice: str) -> None:
    until = NOW + timedelta(hours=1)
    registry.add_group("staff", **WHO)
    registry.add_member("staff", "alice", until, **WHO)
    both = {("everyone", alice), ("staff", alice)}
    assert registry.access(until - TICK) == both
    assert registry.access(until) == {("everyone", alice)}
    registry.remove_member("staff", "alice", **WHO)
    assert registry.access(NOW) == {("everyone", alice)}


def test_a_moment_needs_a_time_zone(registry: Registry, alice: str) -> None:
    with pytest.raises(Exception, match="a time without a time zone"):
        registry.access(NOW.replace(tzinfo=None))


def test_every_pair_of_groups_and_certificates(registry: Registry, enrol: Enrol) -> None:
    for name in ("alice", "bob", "carol"):
        registry.add_user(name, **WHO)
    a1, a2, b1 = enrol(registry, "alice", 1), enrol(registry, "alice", 2), enrol(registry, "bob", 3)
    for group, names in (("admins", ("alice",)), ("staff", ("alice", "bob", "carol")), ("nobody", ())):
        registry.add_group(group, **WHO)
        for user in names:
            registry.add_member(group, user, **WHO)
    assert registry.access(NOW) == {
        *(("everyone", each) for each in (a1, a2, b1)),
        *(("staff", each) for each in (a1, a2, b1)),
        *(("admins", each) for each in (a1, a2)),
    }


def test_a_removed_user_has_nothing_even_if_their_key_were_active(registry: Registry, alice: str) -> None:
    assert registry.access(NOW)
    with registry.writing("root", NOW) as change:
        change.connection.execute(update(users).values(removed_at=NOW))
    assert registry.key(7).state is KeyState.ACTIVE
    assert registry.access(NOW) == frozenset()


def test_the_pairs_of_one_user(registry: Registry, enrol: Enrol) -> None:
    for name in ("alice", "bob"):
        registry.add_user(name, **WHO)
    alice = enrol(registry, "alice", 1)
    enrol(registry, "bob", 2)
    registry.add_group("staff", **WHO)
    registry.add_member("staff", "alice", **WHO)
    registry.add_member("staff", "bob", **WHO)
    assert registry.access(NOW, user="alice") == {("everyone", alice), ("staff", alice)}
    with pytest.raises(UnknownError, match="no user carol"):
        registry.access(NOW, user="carol")


def number(registry: Registry, fingerprint: str) -> int:
    return registry.certificate(fingerprint).serial_number


def test_the_list_says_when_and_why(registry: Registry, alice: str) -> None:
    assert registry.revoked(NOW) == ()
    later = NOW + timedelta(hours=1)
    registry.revoke_certificate(alice, RevocationReason.KEY_COMPROMISE, actor="root", now=later)
    expected = Revoked(number(registry, alice), later, RevocationReason.KEY_COMPROMISE)
    assert registry.revoked(later) == (expected,)


def test_a_superseded_certificate_is_listed(registry: Registry, enrol: Enrol, alice: str) -> None:
    enrol(registry, "alice", 7)
    assert registry.revoked(NOW) == (Revoked(number(registry, alice), NOW, RevocationReason.SUPERSEDED),)


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.LOST, KeyState.DAMAGED])
def test_a_key_out_of_use_is_on_hold(registry: Registry, alice: str, state: KeyState) -> None:
    later = NOW + timedelta(hours=1)
    registry.set_key_state(7, state, actor="root", now=later)
    hold = Revoked(number(registry, alice), later, RevocationReason.CERTIFICATE_HOLD)
    assert registry.revoked(later) == (hold,)
    if state is not KeyState.DAMAGED:
        registry.set_key_state(7, KeyState.ACTIVE, actor="root", now=later)
        assert registry.revoked(later) == ()


def test_each_certificate_of_a_key_out_of_use_is_listed_once(
    registry: Registry, enrol: Enrol, make_der: Callable[..., bytes], alice: str
) -> None:
    revoked, active = enrol(registry, "alice", 7), enrol(registry, "alice", 7)
    registry.revoke_certificate(revoked, RevocationReason.KEY_COMPROMISE, **WHO)
    registry.record_certificate(make_der(), 7, "client", **WHO)
    registry.set_key_state(7, KeyState.LOST, **WHO)
    listed = sorted((line.serial_number, str(line.reason)) for line in registry.revoked(NOW))
    assert listed == sorted(
        [
            (number(registry, alice), "superseded"),
            (number(registry, revoked), "keyCompromise"),
            (number(registry, active), "certificateHold"),
        ]
    )


def test_a_line_stays_for_a_list_after_the_end(registry: Registry, alice: str) -> None:
    registry.revoke_certificate(alice, RevocationReason.UNSPECIFIED, **WHO)
    assert len(registry.revoked(END + timedelta(days=366) - TICK)) == 1
    assert registry.revoked(END + timedelta(days=366)) == ()


def test_lines_are_in_the_order_of_their_numbers(registry: Registry, enrol: Enrol) -> None:
    registry.add_user("alice", **WHO)
    for serial in range(1, 6):
        enrol(registry, "alice", serial)
    registry.remove_user("alice", **WHO)
    numbers = [line.serial_number for line in registry.revoked(NOW)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 5


def test_numbers_of_lists_only_rise(registry: Registry) -> None:
    assert [registry.next_crl_number(**WHO) for _ in range(3)] == [1, 2, 3]
    assert [each.action for each in registry.events()] == ["crl.number"] * 3
