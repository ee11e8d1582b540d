# SPDX-License-Identifier: Apache-2.0
"""Grant and withdraw access in the order that never opens more than the registry says.

Withdrawing: tree first, then registry. Granting: registry first, then tree. A process killed between the
two leaves the tree narrower than the registry. Only what grants something to that very person, and
``pivgate up``, which says so, widens it again: a withdrawal that was cut short never comes back by the way.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pivgate.errors import BusyError, StorageError
from pivgate.gate.access import Changes, drift, synchronise, withdraw
from pivgate.registry.faults import UnknownError
from pivgate.registry.groups import refuse_everyone
from pivgate.registry.records import Certificate, Key
from pivgate.registry.states import CertificateState, KeyState, RevocationReason
from pivgate.registry.store import Registry
from pivgate.settings import Home


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
    _narrow(home, registry.access(now), _access_of(registry, user, now))


def narrow_tree(home: Home, registry: Registry, now: datetime) -> None:
    """Take out of the access tree whatever the registry does not say, and let nobody in.

    Every change of access ends with it. After a withdrawal it comes last: the whole tree is compared with the
    whole registry, and what was taken away must not be open for so long.
    """
    _narrow(home, registry.access(now))


def _narrow(
    home: Home, wanted: frozenset[tuple[str, str]], admitted: frozenset[tuple[str, str]] = frozenset()
) -> None:
    """Bring the tree to what is wanted, without letting in anybody who is out, but for the admitted."""
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


def _revocable(certificates: Iterable[Certificate]) -> list[Certificate]:
    # Not by the clock: it may be wrong, and what looks expired today must be revoked when it is set right.
    return [one for one in certificates if one.state is not CertificateState.REVOKED]


@contextmanager
def _recording() -> Iterator[None]:
    """Record inside what the tree was changed for; when that fails, say what holds now."""
    try:
        yield
    except (StorageError, BusyError) as error:
        error.message += ". The gate refuses them already, but that is not recorded"
        error.hint = f"Until it is, `pivgate up` would let them in again. {error.hint}"
        raise


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
    """Revoke certificates for good; those that are revoked already stay as they are."""
    chosen = _revocable(certificates)
    withdrawal = _withdraw(home, registry, chosen, now)
    with _recording():
        for certificate in chosen:
            registry.revoke_certificate(certificate.fingerprint, reason, actor=actor, now=now)
    return withdrawal


def revoke_key(
    home: Home, registry: Registry, key: Key, reason: RevocationReason, *, actor: str, now: datetime
) -> Withdrawal:
    """End the life of a key: it is retired and all its certificates are revoked."""
    withdrawal = _withdraw(home, registry, registry.certificates(key=key.serial), now)
    with _recording():
        registry.revoke_key(key.serial, reason, actor=actor, now=now)
    return withdrawal


def set_key_state(
    home: Home, registry: Registry, key: Key, state: KeyState, reason: str, *, actor: str, now: datetime
) -> Withdrawal:
    """Take a key out of use, or back into it; its certificates follow."""
    if state is KeyState.ACTIVE:
        registry.set_key_state(key.serial, state, reason, actor=actor, now=now)
        grant(home, registry, key.user, now)
        return Withdrawal((), ())
    withdrawal = _withdraw(home, registry, registry.certificates(key=key.serial), now)
    with _recording():
        registry.set_key_state(key.serial, state, reason, actor=actor, now=now)
    return withdrawal


def remove_user(home: Home, registry: Registry, name: str, *, actor: str, now: datetime) -> Withdrawal:
    """Remove a person and revoke all that is theirs."""
    registry.user(name)
    withdrawal = _withdraw(home, registry, _revocable(registry.certificates(user=name)), now)
    with _recording():
        registry.remove_user(name, actor=actor, now=now)
    return withdrawal


def leave_group(home: Home, registry: Registry, group: str, user: str, *, actor: str, now: datetime) -> None:
    """Take a person out of a group."""
    refuse_everyone(group)
    theirs = [certificate.fingerprint for certificate in registry.certificates(user=user)]
    withdraw(home.access, theirs, only=group)
    with _recording():
        registry.remove_member(group, user, actor=actor, now=now)


def remove_group(home: Home, registry: Registry, group: str, *, actor: str, now: datetime) -> None:
    """Remove a group; nobody is admitted by it any more."""
    refuse_everyone(group)
    _narrow(home, frozenset(pair for pair in registry.access(now) if pair[0] != group))
    with _recording():
        registry.remove_group(group, actor=actor, now=now)
    narrow_tree(home, registry, now)
