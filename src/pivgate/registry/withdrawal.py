# SPDX-License-Identifier: Apache-2.0
"""Taking certificates and keys out of force, within a change that somebody else began."""

from typing import Any

from sqlalchemy import Row, update

from pivgate.registry.database import Transaction
from pivgate.registry.lookup import KEY_IN_USE, select_certificates, select_keys
from pivgate.registry.schema import certificates, keys
from pivgate.registry.states import (
    CertificateState,
    KeyState,
    RevocationReason,
    check_certificate_transition,
    check_key_transition,
)

# A key out of use for a while comes back only if nothing of it was revoked in that time.
AWAY = frozenset({KeyState.SUSPENDED, KeyState.LOST})
_REVOCABLE = (CertificateState.PENDING, CertificateState.ACTIVE, CertificateState.SUPERSEDED)


def move_certificate(
    change: Transaction, row: Row[Any], new: CertificateState, reason: RevocationReason | None = None
) -> None:
    """Bring a certificate into another state.

    Raises:
        TransitionError: There is no such way.
    """
    check_certificate_transition(row.fingerprint, row.state, new)
    change.connection.execute(
        update(certificates)
        .where(certificates.c.id == row.id)
        .values(state=new, reason=reason, changed_at=change.now)
    )
    if new is CertificateState.REVOKED and row.key_state in AWAY:
        change.connection.execute(update(keys).where(keys.c.id == row.key_id).values(barred=1))
    change.record(
        f"certificate.{_VERBS[new]}",
        row.fingerprint,
        user=row.user,
        key=row.key_serial,
        reason=reason,
        **{"from": str(row.state)},
    )


def move_key(change: Transaction, row: Row[Any], new: KeyState, reason: str) -> None:
    """Bring a key into another state.

    Raises:
        TransitionError: There is no such way.
    """
    check_key_transition(row.serial, row.state, new)
    change.connection.execute(
        update(keys).where(keys.c.id == row.id).values(state=new, reason=reason, changed_at=change.now)
    )
    change.record(f"key.{new}", str(row.serial), user=row.user, reason=reason, **{"from": str(row.state)})


def retire_key(change: Transaction, row: Row[Any], revocation: RevocationReason, reason: str) -> None:
    """Retire a key and revoke what it holds: pending, active and superseded certificates."""
    held = change.connection.execute(
        select_certificates()
        .where(certificates.c.key_id == row.id, certificates.c.state.in_(_REVOCABLE))
        .order_by(certificates.c.id)
    ).all()
    for certificate in held:
        move_certificate(change, certificate, CertificateState.REVOKED, revocation)
    move_key(change, row, KeyState.RETIRED, reason)


def retire_keys_of(change: Transaction, user_id: int, revocation: RevocationReason, reason: str) -> None:
    """Retire all keys of a user that are not retired yet."""
    held = change.connection.execute(
        select_keys().where(keys.c.user_id == user_id, KEY_IN_USE).order_by(keys.c.id)
    ).all()
    for row in held:
        retire_key(change, row, revocation, reason)


_VERBS = {
    CertificateState.ACTIVE: "activate",
    CertificateState.SUPERSEDED: "supersede",
    CertificateState.REVOKED: "revoke",
}
