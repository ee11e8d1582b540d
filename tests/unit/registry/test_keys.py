# SPDX-License-Identifier: Apache-2.0
"""Keys: registered, lost, found, retired, and given on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from pivgate.errors import InputError, RefusedError
from pivgate.registry.faults import UnknownError
from pivgate.registry.records import Key
from pivgate.registry.states import (
    KEY_TRANSITIONS,
    CertificateState,
    KeyState,
    RevocationReason,
    TransitionError,
)
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
WHO = {"actor": "root", "now": NOW}
FACTS = {"model": "YubiKey 5 NFC", "firmware": "5.7.4", "form_factor": "USB-A"}

Enrol = Callable[..., str]
MakeDer = Callable[..., bytes]


@pytest.fixture(autouse=True)
def users(registry: Registry) -> None:
    registry.add_user("alice", **WHO)
    registry.add_user("bob", **WHO)


def test_registered_in_provisioning(registry: Registry) -> None:
    key = registry.register_key(7, user="alice", **FACTS, **WHO)
    assert key == Key(
        7, "YubiKey 5 NFC", "5.7.4", "USB-A", "alice", KeyState.PROVISIONING, "", False, NOW, NOW
    )
    assert registry.key(7) == key
    assert registry.keys() == (key,) == registry.keys("alice")
    assert registry.keys("bob") == ()


def test_registering_again_goes_on_where_it_was(registry: Registry, enrol: Enrol) -> None:
    first = registry.register_key(7, user="alice", **FACTS, **WHO)
    count = len(registry.events())
    assert registry.register_key(7, user="alice", **FACTS, actor="root", now=LATER) == first
    assert len(registry.events()) == count
    enrol(registry, "alice", 7)
    assert registry.register_key(7, user="alice", **FACTS, **WHO).state is KeyState.ACTIVE
    assert len(registry.keys()) == 1


def test_the_key_of_another_user_is_refused(registry: Registry) -> None:
    registry.register_key(7, user="alice", **FACTS, **WHO)
    with pytest.raises(RefusedError, match="The key 7 belongs to alice"):
        registry.register_key(7, user="bob", **FACTS, **WHO)


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.LOST, KeyState.DAMAGED])
def test_a_key_out_of_use_is_refused(registry: Registry, enrol: Enrol, state: KeyState) -> None:
    enrol(registry, "alice", 7)
    registry.set_key_state(7, state, **WHO)
    with pytest.raises(RefusedError, match=f"The key 7 is {state}"):
        registry.register_key(7, user="alice", **FACTS, **WHO)


def test_a_retired_key_can_be_registered_anew_to_anybody(registry: Registry, enrol: Enrol) -> None:
    old = enrol(registry, "alice", 7)
    registry.set_key_state(7, KeyState.RETIRED, "given on", **WHO)
    assert registry.key(7).state is KeyState.RETIRED
    key = registry.register_key(7, user="bob", **FACTS, **WHO)
    assert (key.user, key.state, key.reason) == ("bob", KeyState.PROVISIONING, "")
    assert registry.key(7) == key
    everything = registry.keys()
    assert [(each.user, each.state) for each in everything] == [
        ("alice", KeyState.RETIRED),
        ("bob", KeyState.PROVISIONING),
    ]
    assert registry.keys(retired=False) == (key,)
    new = enrol(registry, "bob", 7)
    assert registry.access(NOW) == {("everyone", new)}
    with pytest.raises(TransitionError, match="its key is retired"):
        registry.activate_certificate(old, **WHO)


@pytest.mark.parametrize("serial", [0, -1, 2**32, 2**70])
def test_impossible_serial_numbers_are_refused(registry: Registry, serial: int) -> None:
    with pytest.raises(InputError, match="cannot be a YubiKey's serial number"):
        registry.register_key(serial, user="alice", **FACTS, **WHO)
    with pytest.raises(InputError):
        registry.key(serial)


def test_the_largest_serial_number_is_taken(registry: Registry) -> None:
    assert registry.register_key(2**32 - 1, user="alice", **FACTS, **WHO).serial == 2**32 - 1


def test_unknown_keys_and_users_are_named(registry: Registry) -> None:
    with pytest.raises(UnknownError, match="no user carol"):
        registry.register_key(7, user="carol", **FACTS, **WHO)
    with pytest.raises(UnknownError, match="key 7 is not registered"):
        registry.key(7)
    with pytest.raises(UnknownError, match="key 7 is not registered"):
        registry.set_key_state(7, KeyState.LOST, **WHO)
    with pytest.raises(UnknownError, match="key 7 is not registered"):
        registry.revoke_key(7, RevocationReason.KEY_COMPROMISE, **WHO)
    with pytest.raises(UnknownError, match="no user carol"):
        registry.keys("carol")


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[0m", "x" * 201, "rtl\u202e"])
def test_what_is_not_one_line_is_refused(registry: Registry, text: str) -> None:
    registry.register_key(7, user="alice", **FACTS, **WHO)
    with pytest.raises(InputError, match="not one line"):
        registry.set_key_state(7, KeyState.LOST, text, **WHO)
    with pytest.raises(InputError, match="not one line"):
        registry.revoke_key(7, RevocationReason.UNSPECIFIED, text, **WHO)
    with pytest.raises(InputError, match="not one line"):
        registry.register_key(8, user="alice", model=text, firmware="5", form_factor="a", **WHO)
    assert registry.key(7).state is KeyState.PROVISIONING


def bring(registry: Registry, enrol: Enrol, state: KeyState) -> None:
    if state is KeyState.PROVISIONING:
        registry.register_key(7, user="alice", **FACTS, **WHO)
        return
    enrol(registry, "alice", 7)
    if state is not KeyState.ACTIVE:
        registry.set_key_state(7, state, "so it is", **WHO)


@pytest.mark.parametrize(("old", "new"), list(product(KeyState, KeyState)))
def test_every_pair_of_states(registry: Registry, enrol: Enrol, old: KeyState, new: KeyState) -> None:
    bring(registry, enrol, old)
    before, count = registry.key(7), len(registry.events())
    assert before.state is old
    if old is new:
        assert registry.set_key_state(7, new, "again", actor="root", now=LATER) == before
        assert len(registry.events()) == count
    elif new in KEY_TRANSITIONS[old] and (old, new) != (KeyState.PROVISIONING, KeyState.ACTIVE):
        after = registry.set_key_state(7, new, "why", actor="root", now=LATER)
        assert (after.state, after.reason, after.changed_at) == (new, "why", LATER)
        assert registry.key(7) == after
        event = registry.events(last=1)[0]
        assert (event.action, event.subject) == (f"key.{new}", "7")
        assert event.details == {"user": "alice", "reason": "why", "from": old}
    else:
        with pytest.raises(TransitionError):
            registry.set_key_state(7, new, "why", actor="root", now=LATER)
        assert registry.key(7) == before
        assert len(registry.events()) == count


@pytest.mark.parametrize("state", KeyState)
def test_only_an_active_key_opens(registry: Registry, enrol: Enrol, state: KeyState) -> None:
    bring(registry, enrol, state)
    assert len(registry.access(NOW)) == (1 if state is KeyState.ACTIVE else 0)


@pytest.mark.parametrize("away", [KeyState.SUSPENDED, KeyState.LOST])
def test_found_opens_again(registry: Registry, enrol: Enrol, away: KeyState) -> None:
    fingerprint = enrol(registry, "alice", 7)
    registry.set_key_state(7, away, **WHO)
    assert registry.certificate(fingerprint).state is CertificateState.ACTIVE
    assert registry.access(NOW) == frozenset()
    registry.set_key_state(7, KeyState.ACTIVE, **WHO)
    assert registry.access(NOW) == {("everyone", fingerprint)}


@pytest.mark.parametrize("away", [KeyState.SUSPENDED, KeyState.LOST])
def test_not_found_once_something_was_revoked_meanwhile(
    registry: Registry, enrol: Enrol, away: KeyState
) -> None:
    old, new = enrol(registry, "alice", 7), enrol(registry, "alice", 7)
    registry.set_key_state(7, away, **WHO)
    assert not registry.key(7).barred
    registry.revoke_certificate(old, RevocationReason.KEY_COMPROMISE, **WHO)
    assert registry.certificate(new).state is CertificateState.ACTIVE
    assert registry.key(7).barred
    with pytest.raises(TransitionError, match="a certificate of it was revoked while it was"):
        registry.set_key_state(7, KeyState.ACTIVE, **WHO)
    if away is KeyState.SUSPENDED:
        registry.set_key_state(7, KeyState.LOST, **WHO)
        with pytest.raises(TransitionError, match="revoked"):
            registry.set_key_state(7, KeyState.ACTIVE, **WHO)
    assert registry.access(NOW) == frozenset()
    assert registry.set_key_state(7, KeyState.RETIRED, **WHO).state is KeyState.RETIRED


def test_found_when_the_revocation_came_before_the_loss(registry: Registry, enrol: Enrol) -> None:
    old, new = enrol(registry, "alice", 7), enrol(registry, "alice", 7)
    registry.revoke_certificate(old, RevocationReason.SUPERSEDED, **WHO)
    registry.set_key_state(7, KeyState.LOST, **WHO)
    registry.set_key_state(7, KeyState.ACTIVE, **WHO)
    assert registry.access(NOW) == {("everyone", new)}


def test_revoking_the_certificate_of_another_key_does_not_bar(registry: Registry, enrol: Enrol) -> None:
    enrol(registry, "alice", 7)
    other = enrol(registry, "alice", 8)
    registry.set_key_state(7, KeyState.LOST, **WHO)
    registry.revoke_certificate(other, RevocationReason.UNSPECIFIED, **WHO)
    assert registry.set_key_state(7, KeyState.ACTIVE, **WHO).state is KeyState.ACTIVE


def test_revoking_a_key_is_final_and_one_change(registry: Registry, enrol: Enrol, make_der: MakeDer) -> None:
    superseded, active = enrol(registry, "alice", 7), enrol(registry, "alice", 7)
    pending = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    key = registry.revoke_key(7, RevocationReason.KEY_COMPROMISE, "PIN was on it", **WHO)
    assert (key.state, key.reason) == (KeyState.RETIRED, "PIN was on it")
    for fingerprint in (superseded, active, pending):
        certificate = registry.certificate(fingerprint)
        assert certificate.state is CertificateState.REVOKED
        assert certificate.reason is RevocationReason.KEY_COMPROMISE
    count = len(registry.events())
    assert registry.revoke_key(7, RevocationReason.UNSPECIFIED, **WHO) == key
    assert len(registry.events()) == count


def test_retiring_revokes_and_says_why(registry: Registry, enrol: Enrol) -> None:
    fingerprint = enrol(registry, "alice", 7)
    registry.set_key_state(7, KeyState.RETIRED, **WHO)
    assert registry.certificate(fingerprint).reason is RevocationReason.CESSATION_OF_OPERATION


def test_retiring_revokes_what_looks_expired_too(registry: Registry, enrol: Enrol) -> None:
    """The clock may be wrong; set back, it must not bring anything into force again."""
    fingerprint = enrol(registry, "alice", 7)
    registry.set_key_state(7, KeyState.RETIRED, actor="root", now=NOW + timedelta(days=366))
    assert registry.certificate(fingerprint).state is CertificateState.REVOKED
    assert registry.access(NOW) == frozenset()


def test_a_certificate_that_ended_meanwhile_does_not_bar(registry: Registry, enrol: Enrol) -> None:
    enrol(registry, "alice", 7)
    registry.set_key_state(7, KeyState.LOST, **WHO)
    later = {"actor": "root", "now": NOW + timedelta(days=366)}
    assert registry.set_key_state(7, KeyState.ACTIVE, **later).state is KeyState.ACTIVE


def test_a_retired_key_whose_certificate_was_revoked_while_lost_is_simply_retired(
    registry: Registry, enrol: Enrol
) -> None:
    enrol(registry, "alice", 7)
    registry.set_key_state(7, KeyState.LOST, **WHO)
    registry.set_key_state(7, KeyState.RETIRED, **WHO)
    with pytest.raises(TransitionError, match="is retired and cannot become active"):
        registry.set_key_state(7, KeyState.ACTIVE, **WHO)
