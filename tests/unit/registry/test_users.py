# SPDX-License-Identifier: Apache-2.0
"""Users are added, found and removed with all that was theirs."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pivgate.errors import HomeError, InputError
from pivgate.registry.faults import KnownError, UnknownError
from pivgate.registry.records import User
from pivgate.registry.states import CertificateState, KeyState, RevocationReason, UserState
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
WHO = {"actor": "root", "now": NOW}


def test_added_and_found(registry: Registry) -> None:
    added = registry.add_user("alice", "Alice Müller", "alice@example.com", **WHO)
    assert added == User("alice", "Alice Müller", "alice@example.com", NOW, None)
    assert added.state is UserState.ACTIVE
    assert registry.user("alice") == added
    assert registry.users() == (added,)


def test_the_display_name_is_the_name_when_none_is_given(registry: Registry) -> None:
    assert registry.add_user("bob", **WHO) == User("bob", "bob", None, NOW, None)


def test_listed_by_name(registry: Registry) -> None:
    for name in ("carol", "Bob", "alice"):
        registry.add_user(name, **WHO)
    assert [user.name for user in registry.users()] == ["alice", "Bob", "carol"]


@pytest.mark.parametrize(
    ("name", "display_name", "email"),
    [("a/b", "", None), ("alice", "two\nlines", None), ("alice", "", "no address"), ("alice", "", "")],
)
def test_bad_input_is_refused(registry: Registry, name: str, display_name: str, email: str | None) -> None:
    with pytest.raises(InputError):
        registry.add_user(name, display_name, email, **WHO)
    assert registry.users() == ()
    assert registry.events() == ()


def test_a_name_is_given_once(registry: Registry) -> None:
    registry.add_user("alice", **WHO)
    with pytest.raises(KnownError, match="There is a user alice already$") as caught:
        registry.add_user("alice", **WHO)
    assert isinstance(caught.value, HomeError)
    with pytest.raises(KnownError, match="Alice differs from it only in case"):
        registry.add_user("Alice", **WHO)
    assert len(registry.users()) == 1
    assert len(registry.events()) == 1


def test_unknown_users_are_named(registry: Registry) -> None:
    with pytest.raises(UnknownError, match="no user bob"):
        registry.user("bob")
    with pytest.raises(UnknownError, match="no user bob"):
        registry.remove_user("bob", **WHO)
    with pytest.raises(InputError):
        registry.user("b\x00b")
    registry.add_user("bob", **WHO)
    with pytest.raises(UnknownError) as caught:
        registry.user("Bob")
    assert caught.value.hint == "Did you mean bob?"


def test_removing_takes_keys_certificates_and_memberships(
    registry: Registry, enrol: Callable[..., str], make_der: Callable[..., bytes]
) -> None:
    for name in ("alice", "bob"):
        registry.add_user(name, **WHO)
    registry.add_group("admins", **WHO)
    registry.add_member("admins", "alice", **WHO)
    registry.add_member("admins", "bob", **WHO)
    superseded, active = enrol(registry, "alice", 1), enrol(registry, "alice", 1)
    pending = registry.record_certificate(make_der(), 1, "client", **WHO).fingerprint
    lost = enrol(registry, "alice", 2)
    registry.set_key_state(2, KeyState.LOST, "in a taxi", **WHO)
    other = enrol(registry, "bob", 3)

    removed = registry.remove_user("alice", **WHO)

    assert removed.state is UserState.REMOVED
    assert removed.removed_at == NOW
    assert [user.name for user in registry.users()] == ["bob"]
    assert [user.name for user in registry.users(removed=True)] == ["alice", "bob"]
    assert registry.key(1).state is KeyState.RETIRED
    assert registry.key(2).state is KeyState.RETIRED
    assert registry.key(3).state is KeyState.ACTIVE
    for fingerprint in (superseded, active, pending, lost):
        certificate = registry.certificate(fingerprint)
        assert certificate.state is CertificateState.REVOKED
        assert certificate.reason is RevocationReason.AFFILIATION_CHANGED
    assert [member.user for member in registry.members("admins")] == ["bob"]
    assert registry.access(NOW) == {("everyone", other), ("admins", other)}
    assert registry.events(last=1)[0].action == "user.remove"


def test_a_removed_users_name_is_free_and_starts_with_nothing(
    registry: Registry, enrol: Callable[..., str]
) -> None:
    registry.add_user("alice", "the first", **WHO)
    registry.add_group("admins", **WHO)
    registry.add_member("admins", "alice", **WHO)
    enrol(registry, "alice", 1)
    registry.remove_user("alice", **WHO)
    registry.add_user("ALICE", "the second", **WHO)
    assert registry.user("ALICE").display_name == "the second"
    assert [each.group for each in registry.groups_of("ALICE")] == ["everyone"]
    assert registry.keys("ALICE") == ()
    assert registry.access(NOW) == frozenset()
    fingerprint = enrol(registry, "ALICE", 1)
    assert registry.access(NOW) == {("everyone", fingerprint)}


def test_removing_leaves_a_key_that_was_retired_before_as_it_is(
    registry: Registry, enrol: Callable[..., str]
) -> None:
    registry.add_user("alice", **WHO)
    enrol(registry, "alice", 1)
    enrol(registry, "alice", 2)
    retired = registry.set_key_state(1, KeyState.RETIRED, "worn out", **WHO)
    registry.remove_user("alice", **WHO)
    assert registry.key(1) == retired
    assert registry.key(2).state is KeyState.RETIRED
