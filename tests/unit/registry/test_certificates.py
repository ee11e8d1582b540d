# SPDX-License-Identifier: Apache-2.0
"""Certificates: recorded, put in force, superseded, revoked, expired, found again."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from cryptography import x509

from pivgate.errors import InputError, RefusedError
from pivgate.registry.faults import UnknownError
from pivgate.registry.records import Certificate
from pivgate.registry.states import (
    CERTIFICATE_TRANSITIONS,
    CertificateState,
    KeyState,
    RevocationReason,
    TransitionError,
)
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
END = (NOW + timedelta(days=365)).replace(microsecond=0)
AFTER = END + timedelta(microseconds=1)
WHO = {"actor": "root", "now": NOW}
FACTS = {"model": "YubiKey 5 NFC", "firmware": "5.7.4", "form_factor": "USB-A"}
WHY = RevocationReason.KEY_COMPROMISE

Enrol = Callable[..., str]
MakeDer = Callable[..., bytes]


@pytest.fixture(autouse=True)
def keys(registry: Registry) -> None:
    registry.add_user("alice", **WHO)
    registry.add_user("bob", **WHO)
    registry.register_key(7, user="alice", **FACTS, **WHO)
    registry.register_key(8, user="bob", **FACTS, **WHO)


def test_recorded_as_pending(registry: Registry, make_der: MakeDer) -> None:
    der = make_der()
    parsed = x509.load_der_x509_certificate(der)
    certificate = registry.record_certificate(der, 7, "client", **WHO)
    assert certificate == Certificate(
        fingerprint=hashlib.sha256(der).hexdigest(),
        serial_number=parsed.serial_number,
        key_serial=7,
        user="alice",
        profile="client",
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        state=CertificateState.PENDING,
        reason=None,
        recorded_at=NOW,
        changed_at=NOW,
        der=der,
    )
    assert registry.certificate(certificate.fingerprint) == certificate
    assert registry.access(NOW) == frozenset()


def test_recording_again_changes_nothing(registry: Registry, make_der: MakeDer) -> None:
    der = make_der()
    first = registry.record_certificate(der, 7, "client", **WHO)
    active = registry.activate_certificate(first.fingerprint, **WHO)
    count = len(registry.events())
    assert registry.record_certificate(der, 7, "client", **WHO) == active
    assert len(registry.events()) == count


def test_a_newer_pending_one_takes_the_place(registry: Registry, make_der: MakeDer) -> None:
    first = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    second = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    other = registry.record_certificate(make_der(), 8, "client", **WHO).fingerprint
    assert registry.certificate(first).state is CertificateState.SUPERSEDED
    assert registry.certificate(second).state is CertificateState.PENDING
    assert registry.certificate(other).state is CertificateState.PENDING
    with pytest.raises(TransitionError):
        registry.activate_certificate(first, **WHO)


@pytest.mark.parametrize("der", [b"", b"x", b"0\x00", b"-----BEGIN CERTIFICATE-----", bytes(1000)])
def test_what_is_no_certificate_is_refused(registry: Registry, der: bytes) -> None:
    with pytest.raises(InputError, match="not a certificate"):
        registry.record_certificate(der, 7, "client", **WHO)


def test_a_certificate_of_another_key_is_refused(registry: Registry, make_der: MakeDer) -> None:
    der = make_der()
    registry.record_certificate(der, 7, "client", **WHO)
    with pytest.raises(RefusedError, match="was recorded for the key 7 of alice"):
        registry.record_certificate(der, 8, "client", **WHO)


def test_a_serial_number_is_given_once(registry: Registry, make_der: MakeDer) -> None:
    registry.record_certificate(make_der(0xABCDEF0123456789), 7, "client", **WHO)
    with pytest.raises(RefusedError, match="another certificate with the serial number abcdef0123456789"):
        registry.record_certificate(
            make_der(0xABCDEF0123456789, end=NOW + timedelta(days=9)), 7, "client", **WHO
        )


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.LOST, KeyState.DAMAGED, KeyState.RETIRED])
def test_nothing_is_recorded_or_activated_for_a_key_out_of_use(
    registry: Registry, enrol: Enrol, make_der: MakeDer, state: KeyState
) -> None:
    enrol(registry, "alice", 7)
    pending = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    registry.set_key_state(7, state, **WHO)
    with pytest.raises(RefusedError, match=f"The key 7 is {state}, so no certificate"):
        registry.record_certificate(make_der(), 7, "client", **WHO)
    with pytest.raises(TransitionError, match=f"its key is {state}"):
        registry.activate_certificate(pending, **WHO)
    assert registry.access(NOW) == frozenset()


def test_a_key_nobody_registered_has_no_certificates(registry: Registry, make_der: MakeDer) -> None:
    with pytest.raises(UnknownError, match="key 9 is not registered"):
        registry.record_certificate(make_der(), 9, "client", **WHO)


def test_activating_supersedes_the_one_before(registry: Registry, enrol: Enrol) -> None:
    first, other, second = enrol(registry, "alice", 7), enrol(registry, "bob", 8), enrol(registry, "alice", 7)
    assert registry.key(7).state is KeyState.ACTIVE
    assert registry.certificate(first).state is CertificateState.SUPERSEDED
    assert registry.certificate(second).state is CertificateState.ACTIVE
    assert registry.certificate(other).state is CertificateState.ACTIVE
    assert registry.access(NOW) == {("everyone", second), ("everyone", other)}


def test_activating_again_changes_nothing(registry: Registry, enrol: Enrol) -> None:
    fingerprint = enrol(registry, "alice", 7)
    before, count = registry.certificate(fingerprint), len(registry.events())
    assert registry.activate_certificate(fingerprint, actor="root", now=NOW + timedelta(1)) == before
    assert len(registry.events()) == count


def test_what_has_ended_is_not_activated(registry: Registry, make_der: MakeDer) -> None:
    fingerprint = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    with pytest.raises(TransitionError, match="it ended on 2027-03-04"):
        registry.activate_certificate(fingerprint, actor="root", now=AFTER)
    assert registry.key(7).state is KeyState.PROVISIONING
    assert registry.activate_certificate(fingerprint, actor="root", now=END).state == "active"


@pytest.mark.parametrize("fingerprint", ["", "ab", "AB" * 32, "g" * 64, "a" * 65, "\ud800" * 64])
def test_what_is_no_fingerprint_is_refused(registry: Registry, fingerprint: str) -> None:
    for ask in (
        lambda: registry.certificate(fingerprint),
        lambda: registry.activate_certificate(fingerprint, **WHO),
        lambda: registry.revoke_certificate(fingerprint, WHY, **WHO),
    ):
        with pytest.raises(InputError, match="is not a fingerprint"):
            ask()


def test_unknown_fingerprints_are_named(registry: Registry) -> None:
    with pytest.raises(UnknownError, match="no certificate aaaa"):
        registry.certificate("a" * 64)


def bring(registry: Registry, make_der: MakeDer, state: CertificateState) -> str:
    fingerprint = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    if state is CertificateState.ACTIVE:
        registry.activate_certificate(fingerprint, **WHO)
    elif state is CertificateState.SUPERSEDED:
        registry.record_certificate(make_der(), 7, "client", **WHO)
    elif state is CertificateState.REVOKED:
        registry.revoke_certificate(fingerprint, WHY, **WHO)
    return fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    list(product([state for state in CertificateState if state != "expired"], ["active", "revoked"])),
)
def test_every_pair_of_states(registry: Registry, make_der: MakeDer, old: CertificateState, new: str) -> None:
    fingerprint = bring(registry, make_der, old)
    before, count = registry.certificate(fingerprint), len(registry.events())
    assert before.state is old

    def move() -> None:
        if new == "active":
            registry.activate_certificate(fingerprint, **WHO)
        else:
            registry.revoke_certificate(fingerprint, RevocationReason.UNSPECIFIED, **WHO)

    if new in CERTIFICATE_TRANSITIONS[old]:
        move()
        assert registry.certificate(fingerprint).state == new
    elif new == old:
        move()
        assert registry.certificate(fingerprint) == before
        assert len(registry.events()) == count
    else:
        with pytest.raises(TransitionError):
            move()
        assert registry.certificate(fingerprint) == before
        assert len(registry.events()) == count


def test_revoked_with_its_reason(registry: Registry, enrol: Enrol) -> None:
    fingerprint = enrol(registry, "alice", 7)
    revoked = registry.revoke_certificate(fingerprint, WHY, actor="eve", now=NOW + timedelta(1))
    assert (revoked.state, revoked.reason) == (CertificateState.REVOKED, WHY)
    assert revoked.changed_at == NOW + timedelta(1)
    assert registry.access(NOW) == frozenset()
    event = registry.events(last=1)[0]
    assert (event.action, event.subject, event.actor) == ("certificate.revoke", fingerprint, "eve")
    assert event.details == {"user": "alice", "key": 7, "reason": "keyCompromise", "from": "active"}


def test_expired_from_the_moment_after_its_end(registry: Registry, enrol: Enrol) -> None:
    fingerprint = enrol(registry, "alice", 7)
    certificate = registry.certificate(fingerprint)
    assert certificate.state_at(END) is CertificateState.ACTIVE
    assert certificate.state_at(AFTER) is CertificateState.EXPIRED
    assert registry.access(AFTER) == frozenset()
    # A clock that was set right again: nothing was ended for good.
    assert registry.access(END) == {("everyone", fingerprint)}


def test_what_was_revoked_stays_revoked_after_its_end(registry: Registry, enrol: Enrol) -> None:
    fingerprint = enrol(registry, "alice", 7)
    revoked = registry.revoke_certificate(fingerprint, WHY, **WHO)
    assert revoked.state_at(AFTER) is CertificateState.REVOKED


def test_listed_by_user_key_and_state(registry: Registry, enrol: Enrol) -> None:
    first, other, second = enrol(registry, "alice", 7), enrol(registry, "bob", 8), enrol(registry, "alice", 7)

    def found(**by: object) -> list[str]:
        return [each.fingerprint for each in registry.certificates(**by)]  # type: ignore[arg-type]

    assert found() == [first, other, second]
    assert found(user="alice") == [first, second]
    assert found(key=8) == [other]
    assert found(state=CertificateState.ACTIVE) == [other, second]
    assert found(user="alice", key=7, state=CertificateState.SUPERSEDED) == [first]
    assert found(user="alice", key=8) == []
    registry.remove_user("alice", **WHO)
    assert found(user="alice") == [first, second]


def test_found_by_whatever_names_it(registry: Registry, enrol: Enrol) -> None:
    first, other, second = enrol(registry, "alice", 7), enrol(registry, "bob", 8), enrol(registry, "alice", 7)

    def found(selector: str) -> list[str]:
        return [each.fingerprint for each in registry.find_certificates(selector)]

    number = f"{registry.certificate(first).serial_number:x}"
    assert found("alice") == [first, second]
    assert found("8") == [other]
    assert found(first) == found(first[:8]) == found(first[:9].upper()) == [first]
    assert found(":".join(first[i : i + 2] for i in range(0, 64, 2))) == [first]
    assert found(number) == found(number.upper()) == found("00:" + number) == [first]


@pytest.mark.parametrize(
    "selector", ["", "carol", "9", "0000000", "%", "_", "*", "alice'", "\ud800", "\x00", "9" * 400, "²", "0"]
)
def test_what_names_nothing_is_refused(registry: Registry, enrol: Enrol, selector: str) -> None:
    enrol(registry, "alice", 7)
    with pytest.raises(UnknownError, match="No certificate fits") as caught:
        registry.find_certificates(selector)
    assert caught.value.message.isascii()


def test_a_short_prefix_is_no_prefix(registry: Registry, make_der: MakeDer) -> None:
    # One that is not all decimal digits, which might be the serial number of a key.
    fingerprint = "0000000"
    while fingerprint[:7].isdigit():
        fingerprint = registry.record_certificate(make_der(), 7, "client", **WHO).fingerprint
    assert len(registry.find_certificates(fingerprint[:8])) == 1
    with pytest.raises(UnknownError):
        registry.find_certificates(fingerprint[:7])


def test_what_fits_in_several_ways_is_returned_for_each(registry: Registry, enrol: Enrol) -> None:
    registry.add_user("7", **WHO)
    registry.register_key(9, user="7", **FACTS, **WHO)
    mine, other = enrol(registry, "7", 9), enrol(registry, "alice", 7)
    assert {each.fingerprint for each in registry.find_certificates("7")} == {mine, other}
