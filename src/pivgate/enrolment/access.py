# SPDX-License-Identifier: Apache-2.0
"""Grant and withdraw access in the order that never opens more than the registry says.

Withdrawing: tree first, then registry. Granting: registry first, then tree. A process killed between the
two leaves the tree narrower than the registry. Only what grants something to that very person, and
``pivgate up``, which says so, widens it again: a withdrawal that was cut short never comes back by the way.

Whatever else differs was done to the tree by somebody else, or by time. It is an event, written before it is
mended, so that a process killed in between loses no trace of it; and it is mended where it cannot be written.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from pivgate.errors import BusyError, StorageError
from pivgate.gate.access import Drift, Entry, drift, synchronise, withdraw, withdraw_group
from pivgate.registry.faults import UnknownError
from pivgate.registry.groups import refuse_everyone
from pivgate.registry.records import Certificate, Key
from pivgate.registry.states import CertificateState, KeyState, RevocationReason
from pivgate.registry.store import Registry
from pivgate.settings import Home

# How many paths of each kind one event names.
_SHOWN = 20


@dataclass(frozen=True)
class Withdrawal:
    """What was taken out of the access tree.

    Attributes:
        fingerprints: Certificates that lost access.
        groups: Groups whose sites must now refuse them.
    """

    fingerprints: tuple[str, ...]
    groups: tuple[str, ...]


def bring_tree_to_registry(home: Home, registry: Registry, *, actor: str, now: datetime) -> Drift:
    """Make the access tree say what the registry says, for everybody.

    Returns:
        How it differed.
    """
    wanted = registry.access(now)
    try:
        found = drift(home.access, wanted)
        _record(home, registry, found, actor=actor, now=now)
    finally:
        # Also where one folder cannot be read: that must not keep what is too much in the others.
        synchronise(home.access, wanted)
    return found


def grant(home: Home, registry: Registry, user: str, *, actor: str, now: datetime) -> None:
    """Let a person in where the registry lets them in, and nobody else who is out."""
    admitted = _access_of(registry, user, now)
    _narrow(home, registry, registry.access(now), admitted, actor=actor, now=now)


def narrow_tree(home: Home, registry: Registry, *, actor: str, now: datetime) -> None:
    """Take out of the access tree whatever the registry does not say, and let nobody in.

    Every change of access ends with it. After a withdrawal it comes last: the whole tree is compared with the
    whole registry, and what was taken away must not be open for so long.
    """
    _narrow(home, registry, registry.access(now), frozenset(), actor=actor, now=now)


def _narrow(
    home: Home,
    registry: Registry,
    wanted: frozenset[Entry],
    admitted: frozenset[Entry],
    *,
    actor: str,
    now: datetime,
) -> None:
    """Bring the tree to what is wanted, without letting in anybody who is out, but for the admitted."""
    found = drift(home.access, wanted)
    try:
        _record(home, registry, replace(found, missing=frozenset()), actor=actor, now=now)
    finally:
        synchronise(home.access, wanted - (found.missing - admitted))


def _record(home: Home, registry: Registry, found: Drift, *, actor: str, now: datetime) -> None:
    """Record how the tree differs, if it does; callers mend it whatever comes of that."""
    if not found:
        return
    missing = ["/".join(entry) for entry in sorted(found.missing)[:_SHOWN]]
    extra = [_described(registry, entry, now) for entry in sorted(found.extra)[:_SHOWN]]
    foreign = sorted(found.foreign)[:_SHOWN]
    detail = {
        "added": _listed(missing, len(found.missing)),
        "removed": _listed([*extra, *foreign], len(found.extra) + len(found.foreign)),
    }
    registry.append_event("gate.mended", str(home.access), detail, actor=actor, now=now)


def _described(registry: Registry, entry: Entry, now: datetime) -> str:
    """Return an entry, and whether it is there only because its certificate has reached its end since."""
    group, fingerprint = entry
    try:
        expired = registry.certificate(fingerprint).state_at(now) is CertificateState.EXPIRED
    except UnknownError:
        expired = False
    return f"{group}/{fingerprint}{' (expired)' * expired}"


def _listed(shown: Sequence[str], of: int) -> str:
    more = of - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


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


def _access_of(registry: Registry, user: str, now: datetime) -> frozenset[Entry]:
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
        grant(home, registry, key.user, actor=actor, now=now)
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
    withdraw_group(home.access, group)
    with _recording():
        registry.remove_group(group, actor=actor, now=now)
    narrow_tree(home, registry, actor=actor, now=now)
