# SPDX-License-Identifier: Apache-2.0
"""Random lives of users, keys and certificates, against a model of plain dictionaries.

After every step the registry must admit exactly whom the model admits, refuse exactly the steps that the
model says are impossible, and hold an unbroken log. The model shares no rule with the product.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pivgate.errors import PivgateError
from pivgate.registry.states import KeyState, RevocationReason
from pivgate.registry.store import Registry

BEGIN = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
USERS = st.sampled_from(["alice", "bob", "carol"])
GROUPS = st.sampled_from(["admins", "staff"])
KEYS = st.sampled_from([1, 2, 3])
DAYS = st.integers(-1, 6)
REASONS = st.sampled_from(list(RevocationReason))


@dataclass
class ModelKey:
    """One registration."""

    serial: int
    user: str
    state: str = "provisioning"
    barred: bool = False


@dataclass
class ModelCertificate:
    key: ModelKey
    start: datetime
    end: datetime
    state: str = "pending"


@dataclass
class Model:
    users: set[str] = field(default_factory=set)
    groups: dict[str, dict[str, datetime | None]] = field(default_factory=dict)
    keys: dict[int, ModelKey] = field(default_factory=dict)
    certificates: dict[str, ModelCertificate] = field(default_factory=dict)

    def access(self, now: datetime) -> set[tuple[str, str]]:
        pairs = set()
        for fingerprint, certificate in self.certificates.items():
            key = certificate.key
            if certificate.state != "active" or key.state != "active" or key.user not in self.users:
                continue
            if not certificate.start <= now <= certificate.end:
                continue
            pairs.add(("everyone", fingerprint))
            for group, members in self.groups.items():
                if key.user in members and (members[key.user] is None or members[key.user] > now):
                    pairs.add((group, fingerprint))
        return pairs

    def retire(self, key: ModelKey) -> None:
        key.state = "retired"
        for certificate in self.certificates.values():
            if certificate.key is key and certificate.state in ("pending", "active", "superseded"):
                certificate.state = "revoked"


class Lives(RuleBasedStateMachine):
    make_der: Callable[..., bytes]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="pg")
        home = Path(self.folder.name)
        self.registry = Registry.create(home / "registry.sqlite", home / "audit.head")
        self.model = Model()
        self.now = BEGIN

    @initialize()
    def begin(self) -> None:
        # Most lives begin like this; without it, few random ones would get as far as a certificate.
        for user in ("alice", "bob"):
            self.add_user(user)
        self.add_group("staff")
        self.join("staff", "alice", None)
        for serial, user in ((1, "alice"), (2, "bob")):
            self.register(serial, user)
            self.record(serial, -1, 4)
        for fingerprint, certificate in self.model.certificates.items():
            self.registry.activate_certificate(fingerprint, **self.who)
            certificate.state = certificate.key.state = "active"

    def teardown(self) -> None:
        self.registry.close()
        self.folder.cleanup()

    @property
    def who(self) -> dict[str, Any]:
        return {"actor": "root", "now": self.now}

    def attempt(self, possible: bool, act: Callable[[], object]) -> bool:
        """Do a step; it must fail exactly when the model says so."""
        count = len(self.registry.events())
        if possible:
            act()
            return True
        with pytest.raises(PivgateError):
            act()
        assert len(self.registry.events()) == count
        return False

    @rule(days=st.integers(0, 2), seconds=st.integers(0, 5))
    def time_passes(self, days: int, seconds: int) -> None:
        self.now += timedelta(days=days, seconds=seconds)

    @rule(user=USERS)
    def add_user(self, user: str) -> None:
        if self.attempt(user not in self.model.users, lambda: self.registry.add_user(user, **self.who)):
            self.model.users.add(user)

    @rule(user=USERS)
    def remove_user(self, user: str) -> None:
        if self.attempt(user in self.model.users, lambda: self.registry.remove_user(user, **self.who)):
            self.model.users.remove(user)
            for members in self.model.groups.values():
                members.pop(user, None)
            for key in self.model.keys.values():
                if key.user == user and key.state != "retired":
                    self.model.retire(key)

    @rule(group=GROUPS)
    def add_group(self, group: str) -> None:
        if self.attempt(group not in self.model.groups, lambda: self.registry.add_group(group, **self.who)):
            self.model.groups[group] = {}

    @rule(group=GROUPS)
    def remove_group(self, group: str) -> None:
        possible = group in self.model.groups
        if self.attempt(possible, lambda: self.registry.remove_group(group, **self.who)):
            del self.model.groups[group]

    @rule(group=GROUPS, user=USERS, days=st.none() | DAYS)
    def join(self, group: str, user: str, days: int | None) -> None:
        until = None if days is None else self.now + timedelta(days=days)
        possible = (
            group in self.model.groups and user in self.model.users and (until is None or until > self.now)
        )
        if self.attempt(possible, lambda: self.registry.add_member(group, user, until, **self.who)):
            self.model.groups[group][user] = until

    @rule(group=GROUPS, user=USERS)
    def leave(self, group: str, user: str) -> None:
        possible = user in self.model.users and user in self.model.groups.get(group, {})
        if self.attempt(possible, lambda: self.registry.remove_member(group, user, **self.who)):
            del self.model.groups[group][user]

    @rule(serial=KEYS, user=USERS)
    def register(self, serial: int, user: str) -> None:
        known = self.model.keys.get(serial)
        free = known is None or known.state == "retired"
        goes_on = known is not None and known.user == user and known.state in ("provisioning", "active")
        possible = user in self.model.users and (free or goes_on)
        if self.attempt(possible, lambda: self.register_key(serial, user)) and free:
            self.model.keys[serial] = ModelKey(serial, user)

    def register_key(self, serial: int, user: str) -> None:
        self.registry.register_key(
            serial, model="m", firmware="5.7.4", form_factor="f", user=user, **self.who
        )

    @rule(serial=KEYS, state=st.sampled_from(list(KeyState)))
    def set_key_state(self, serial: int, state: KeyState) -> None:
        key = self.model.keys.get(serial)
        possible = key is not None and (
            key.state == state
            or (state in ("lost", "damaged") and key.state in ("provisioning", "active", "suspended"))
            or (state == "damaged" and key.state == "lost")
            or (state == "suspended" and key.state == "active")
            or (state == "active" and key.state in ("suspended", "lost") and not key.barred)
            or (state == "retired" and key.state != "retired")
        )
        if self.attempt(possible, lambda: self.registry.set_key_state(serial, state, **self.who)):
            assert key is not None
            if state == "retired" and key.state != "retired":
                self.model.retire(key)
            key.state = str(state)

    @rule(serial=KEYS, reason=REASONS)
    def revoke_key(self, serial: int, reason: RevocationReason) -> None:
        key = self.model.keys.get(serial)
        if self.attempt(key is not None, lambda: self.registry.revoke_key(serial, reason, **self.who)) and (
            key is not None and key.state != "retired"
        ):
            self.model.retire(key)

    @rule(serial=KEYS, start=DAYS, days=st.integers(0, 6))
    def record(self, serial: int, start: int, days: int) -> None:
        begin = (self.now + timedelta(days=start)).replace(microsecond=0)
        end = begin + timedelta(days=days)
        der = self.make_der(start=begin, end=end)
        key = self.model.keys.get(serial)
        possible = key is not None and key.state in ("provisioning", "active")
        if self.attempt(
            possible, lambda: self.registry.record_certificate(der, serial, "client", **self.who)
        ):
            assert key is not None
            for other in self.model.certificates.values():
                if other.key is key and other.state == "pending":
                    other.state = "superseded"
            fingerprint = hashlib.sha256(der).hexdigest()
            self.model.certificates[fingerprint] = ModelCertificate(key, begin, end)

    def pick(self, data: st.DataObject) -> tuple[str, ModelCertificate]:
        fingerprint = data.draw(st.sampled_from(sorted(self.model.certificates)))
        return fingerprint, self.model.certificates[fingerprint]

    @precondition(lambda self: self.model.certificates)
    @rule(data=st.data())
    def activate(self, data: st.DataObject) -> None:
        fingerprint, certificate = self.pick(data)
        key = certificate.key
        possible = (
            certificate.state in ("pending", "active")
            and key.state in ("provisioning", "active")
            and certificate.end >= self.now
        )
        if self.attempt(possible, lambda: self.registry.activate_certificate(fingerprint, **self.who)):
            for other in self.model.certificates.values():
                if other.key is key and other is not certificate and other.state == "active":
                    other.state = "superseded"
            certificate.state = key.state = "active"

    @precondition(lambda self: self.model.certificates)
    @rule(data=st.data(), reason=REASONS)
    def revoke(self, data: st.DataObject, reason: RevocationReason) -> None:
        fingerprint, certificate = self.pick(data)
        if self.attempt(True, lambda: self.registry.revoke_certificate(fingerprint, reason, **self.who)) and (
            certificate.state != "revoked"
        ):
            certificate.state = "revoked"
            if certificate.key.state in ("suspended", "lost"):
                certificate.key.barred = True

    @rule()
    def close_and_open(self) -> None:
        self.registry.close()
        self.registry = Registry.open(self.registry.path, self.registry.audit_head_path)

    @invariant()
    def admits_whom_the_model_admits(self) -> None:
        assert self.registry.access(self.now) == self.model.access(self.now)

    @invariant()
    def the_revocation_list_says_the_same(self) -> None:
        listed = {line.serial_number for line in self.registry.revoked(self.now)}
        for certificate in self.registry.certificates():
            known = self.model.certificates[certificate.fingerprint]
            assert certificate.state == known.state
            away = known.state == "active" and known.key.state in ("suspended", "lost", "damaged")
            expected = known.state in ("revoked", "superseded") or away
            assert (certificate.serial_number in listed) == expected

    @invariant()
    def the_log_is_whole(self) -> None:
        assert self.registry.verify_audit().sequence == len(self.registry.events())


def test_the_registry_admits_whom_the_model_admits(make_der: Callable[..., bytes]) -> None:
    class Run(Lives):
        pass

    Run.make_der = staticmethod(make_der)
    run_state_machine_as_test(
        Run,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
