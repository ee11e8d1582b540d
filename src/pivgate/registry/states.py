# SPDX-License-Identifier: Apache-2.0
"""The life of a key and of a certificate, as tables: from each state, the states it may pass into.

The diagrams are in ``docs/concepts/states.md``.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from pivgate.errors import RefusedError


class UserState(StrEnum):
    """Whether a user is one of ours now."""

    ACTIVE = "active"
    REMOVED = "removed"


class KeyState(StrEnum):
    """Where one registration of a YubiKey stands. Only an active key opens anything."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    LOST = "lost"
    DAMAGED = "damaged"
    RETIRED = "retired"


class CertificateState(StrEnum):
    """Where a certificate stands. Only an active one, within its dates, opens anything."""

    PENDING = "pending"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"
    EXPIRED = "expired"


class RevocationReason(StrEnum):
    """CRLReason of RFC 5280, section 5.3.1; the values are those of ``cryptography.x509.ReasonFlags``."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


class TransitionError(RefusedError):
    """A key or certificate cannot pass from the state it is in to the one asked for."""


_AGAIN: Final = "Provision a key for this user with `pivgate key provision`."

# A damaged key never comes back: nobody can say what it will still sign. A retired one is history; the
# same YubiKey, reset, may be registered anew.
KEY_TRANSITIONS: Final[Mapping[KeyState, frozenset[KeyState]]] = MappingProxyType(
    {
        KeyState.PROVISIONING: frozenset(
            {KeyState.ACTIVE, KeyState.LOST, KeyState.DAMAGED, KeyState.RETIRED}
        ),
        KeyState.ACTIVE: frozenset({KeyState.SUSPENDED, KeyState.LOST, KeyState.DAMAGED, KeyState.RETIRED}),
        KeyState.SUSPENDED: frozenset({KeyState.ACTIVE, KeyState.LOST, KeyState.DAMAGED, KeyState.RETIRED}),
        KeyState.LOST: frozenset({KeyState.ACTIVE, KeyState.DAMAGED, KeyState.RETIRED}),
        KeyState.DAMAGED: frozenset({KeyState.RETIRED}),
        KeyState.RETIRED: frozenset(),
    }
)

# Revoked is final. A superseded certificate can still be revoked: other programs that trust the authority
# only look at dates and the revocation list. Nothing passes into expired: that is told by the clock each
# time, never written down, since a clock that is wrong for a while must not end anything for good.
CERTIFICATE_TRANSITIONS: Final[Mapping[CertificateState, frozenset[CertificateState]]] = MappingProxyType(
    {
        CertificateState.PENDING: frozenset(
            {CertificateState.ACTIVE, CertificateState.SUPERSEDED, CertificateState.REVOKED}
        ),
        CertificateState.ACTIVE: frozenset({CertificateState.SUPERSEDED, CertificateState.REVOKED}),
        CertificateState.SUPERSEDED: frozenset({CertificateState.REVOKED}),
        CertificateState.REVOKED: frozenset(),
        CertificateState.EXPIRED: frozenset(),
    }
)

_State = TypeVar("_State", KeyState, CertificateState)


def check_key_transition(serial: int, old: KeyState, new: KeyState) -> None:
    """Accept a key's way from one state to another.

    Raises:
        TransitionError: The table has no such way.
    """
    _check(f"key {serial}", KEY_TRANSITIONS, old, new)


def check_certificate_transition(fingerprint: str, old: CertificateState, new: CertificateState) -> None:
    """Accept a certificate's way from one state to another.

    Raises:
        TransitionError: The table has no such way.
    """
    _check(f"certificate {fingerprint[:16]}", CERTIFICATE_TRANSITIONS, old, new)


def _check(what: str, table: Mapping[_State, frozenset[_State]], old: _State, new: _State) -> None:
    if new in table[old]:
        return
    ways = ", ".join(sorted(table[old]))
    raise TransitionError(
        f"The {what} is {old} and cannot become {new}",
        f"From {old} it can become: {ways}." if ways else f"That is final. {_AGAIN}",
    )
