# SPDX-License-Identifier: Apache-2.0
"""What the registry hands out: frozen, complete, with times in UTC."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from pivgate.registry.states import CertificateState, KeyState, RevocationReason, UserState

DetailValue = str | int | bool | None

# The group of all users: always there, never stored, never edited.
EVERYONE = "everyone"


@dataclass(frozen=True)
class User:
    """A person who holds keys.

    Attributes:
        name: Unique among the active users, whatever the case; the common name of certificates.
        removed_at: When the user was removed; ``None`` for an active one.
    """

    name: str
    display_name: str
    email: str | None
    added_at: datetime
    removed_at: datetime | None

    @property
    def state(self) -> UserState:
        """Active until removed."""
        return UserState.ACTIVE if self.removed_at is None else UserState.REMOVED


@dataclass(frozen=True)
class Key:
    """One registration of a YubiKey: from its provisioning to its retirement, with one user.

    Attributes:
        serial: The YubiKey's serial number, as printed on it.
        firmware: As ``5.7.4``.
        reason: Why the key is in its state, as the operator said it; may be empty.
        barred: A certificate was revoked while the key was suspended or lost, so it cannot come back.
        changed_at: When it came into its state.
    """

    serial: int
    model: str
    firmware: str
    form_factor: str
    user: str
    state: KeyState
    reason: str
    barred: bool
    registered_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class Certificate:
    """A client certificate that the authority issued.

    Attributes:
        fingerprint: SHA-256 of the DER, 64 lower-case hexadecimal digits.
        serial_number: The X.509 serial number.
        reason: Why it was revoked; ``None`` unless it was.
        changed_at: When it came into its state.
    """

    fingerprint: str
    serial_number: int
    key_serial: int
    user: str
    profile: str
    not_before: datetime
    not_after: datetime
    state: CertificateState
    reason: RevocationReason | None
    recorded_at: datetime
    changed_at: datetime
    der: bytes = field(repr=False)

    def state_at(self, now: datetime) -> CertificateState:
        """Return the state, where a certificate past its end counts as expired unless it was revoked."""
        if now > self.not_after and self.state is not CertificateState.REVOKED:
            return CertificateState.EXPIRED
        return self.state


@dataclass(frozen=True)
class Group:
    """A set of users; the gate admits groups.

    Attributes:
        added_at: ``None`` for ``everyone``, which always was.
    """

    name: str
    added_at: datetime | None


@dataclass(frozen=True)
class Member:
    """A user's place in a group.

    Attributes:
        until: The moment from which it no longer counts; ``None`` for no end.
        added_at: When it began, or was last given another end.
    """

    group: str
    user: str
    until: datetime | None
    added_at: datetime


@dataclass(frozen=True)
class Revoked:
    """A line of the revocation list (RFC 5280, section 5.3)."""

    serial_number: int
    revoked_at: datetime
    reason: RevocationReason


@dataclass(frozen=True)
class Event:
    """One thing that happened, chained to the one before it.

    Attributes:
        sequence: 1, 2, 3, … without gaps.
        action: A noun and a verb, as ``key.retire``.
        subject: What it was done to: a name, a serial number, a fingerprint.
        detail: A JSON object in the canonical form of ``audit.canonical_detail``.
        previous: Hash of the event before, hexadecimal; for the first ``audit.GENESIS``.
        hash: SHA-256 over all of the above, hexadecimal.
    """

    sequence: int
    time: datetime
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str

    @property
    def details(self) -> dict[str, DetailValue]:
        """The detail, read."""
        value: dict[str, DetailValue] = json.loads(self.detail)
        return value
