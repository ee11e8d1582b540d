# SPDX-License-Identifier: Apache-2.0
"""Grant and withdraw access in the order that never opens more than the registry says.

Withdrawing: tree first, then registry. Granting: registry first, then tree. A process killed between the
two leaves the tree narrower than the registry. Only what grants something to that very person, and
``pivgate up``, which says so, widens it again: a withdrawal that was cut short never comes back by the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pivgate.gate.access import Changes, drift, synchronise, withdraw
from pivgate.registry.faults import UnknownError
from pivgate.registry.records import Certificate, Key
from pivgate.registry.states import CertificateState, KeyState, RevocationReason
from pivgate.registry.store import Registry
from pivgate.settings import Home

_FINAL = (CertificateState.REVOKED, CertificateState.EXPIRED)


@dataclass(frozen=True)
class Withdrawal:
    """What was taken out of the access tree.

    Attributes:
        fingerprints: Certificates that lost access.
        groups: Groups whose sites must now refuse them.
    """

    fingerprints: tuple[str, ...]
    groups: tuple[str, ...]


def bring_tree_to_registry(home: Home, registry: Registry, now: datetime) -> Changes:
    """Make the access tree say what the registry says, for everybody."""
    return synchronise(home.access, registry.access(now))


def grant(home: Home, registry: Registry, user: str, now: datetime) -> None:
    """Let a person in where the registry lets them in, and nobody else who is out."""
    _settle(home, registry, now, _access_of(registry, user, now))


def _settle(
    home: Home, registry: Registry, now: datetime, admitted: frozenset[tuple[str, str]] = frozenset()
) -> None:
    """Bring the tree to the registry, without letting in anybody who is out, but for the admitted."""
    _narrow(home, registry.access(now), admitted)


def _narrow(
    home: Home, wanted: frozenset[tuple[str, str]], admitted: frozenset[tuple[str, str]] = frozenset()
) -> None:
    synchronise(home.access, wanted - (drift(home.access, wanted).missing - admitted))


def _withdraw(
    home: Home, registry: Registry, certificates: Iterable[Certificate], now: datetime
) -> Withdrawal:
    chosen = tuple(certificates)
    fingerprints = tuple(certificate.fingerprint for certificate in chosen)
    # Before anything is asked of the registry: what that takes must not keep anybody in.
    withdraw(home.access, fingerprints)
    groups = {
        group
        for user in {certificate.user for certificate in chosen}
        for group, fingerprint in _access_of(registry, user, now)
        if fingerprint in fingerprints
    }
    return Withdrawal(fingerprints, tuple(sorted(groups)))


def _access_of(registry: Registry, user: str, now: datetime) -> frozenset[tuple[str, str]]:
    try:
        return registry.access(now, user)
    except UnknownError:  # removed: nothing of theirs is in force any more
        return frozenset()


def revoke_certificates(
    home: Home,
    registry: Registry,
    certificates: Iterable[Certificate],
    reason: RevocationReason,
    *,
    actor: str,
    now: datetime,
) -> Withdrawal:
    """Revoke certificates for good; those that are revoked or expired stay as they are."""
    chosen = [certificate for certificate in certificates if certificate.state_at(now) not in _FINAL]
    withdrawal = _withdraw(home, registry, chosen, now)
    for certificate in chosen:
        registry.revoke_certificate(certificate.fingerprint, reason, actor=actor, now=now)
    _settle(home, registry, now)
    return withdrawal


def revoke_key(
    home: Home, registry: Registry, key: Key, reason: RevocationReason, *, actor: str, now: datetime
) -> Withdrawal:
    """End the life of a key: it is retired and all its certificates are revoked."""
    withdrawal = _withdraw(home, registry, registry.certificates(key=key.serial), now)
    registry.revoke_key(key.serial, reason, actor=actor, now=now)
    _settle(home, registry, now)
    return withdrawal


def set_key_state(
    home: Home, registry: Registry, key: Key, state: KeyState, reason: str, *, actor: str, now: datetime
) -> Withdrawal:
    """Take a key out of use, or back into it; its certificates follow."""
    withdrawal = Withdrawal((), ())
    if state is not KeyState.ACTIVE:
        withdrawal = _withdraw(home, registry, registry.certificates(key=key.serial), now)
    registry.set_key_state(key.serial, state, reason, actor=actor, now=now)
    if state is KeyState.ACTIVE:
        grant(home, registry, key.user, now)
    else:
        _settle(home, registry, now)
    return withdrawal


def remove_user(home: Home, registry: Registry, name: str, *, actor: str, now: datetime) -> Withdrawal:
    """Remove a person and revoke all that is theirs."""
    registry.user(name)
    theirs = [one for one in registry.certificates(user=name) if one.state_at(now) not in _FINAL]
    withdrawal = _withdraw(home, registry, theirs, now)
    registry.remove_user(name, actor=actor, now=now)
    _settle(home, registry, now)
    return withdrawal


def leave_group(home: Home, registry: Registry, group: str, user: str, *, actor: str, now: datetime) -> None:
    """Take a person out of a group."""
    theirs = {certificate.fingerprint for certificate in registry.certificates(user=user)}
    wanted = registry.access(now)
    _narrow(home, frozenset(pair for pair in wanted if not (pair[0] == group and pair[1] in theirs)))
    registry.remove_member(group, user, actor=actor, now=now)
    _settle(home, registry, now)


def remove_group(home: Home, registry: Registry, group: str, *, actor: str, now: datetime) -> None:
    """Remove a group; nobody is admitted by it any more."""
    _narrow(home, frozenset(pair for pair in registry.access(now) if pair[0] != group))
    registry.remove_group(group, actor=actor, now=now)
    _settle(home, registry, now)
