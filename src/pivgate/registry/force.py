# SPDX-License-Identifier: Apache-2.0
"""What is in force now: the pairs of the access tree, and the lines of the revocation list."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import insert, or_, select, update

from pivgate.registry.database import Database
from pivgate.registry.lookup import active_user
from pivgate.registry.records import EVERYONE, Revoked
from pivgate.registry.schema import certificates, counters, groups, keys, memberships, users
from pivgate.registry.states import CertificateState, KeyState, RevocationReason

# RFC 5280, section 3.3: an entry stays until one list has been issued after the certificate's end. Lists
# are due at least once a year (settings.crl_days).
_KEPT_AFTER_END: Final = timedelta(days=366)
_CRL: Final = "crl"


class Force(Database):
    """Questions about what is in force."""

    def access(self, now: datetime, user: str | None = None) -> frozenset[tuple[str, str]]:
        """Return every pair (group, fingerprint) that must be in the access tree at a moment, and no other.

        A pair is there when the certificate is active and within its dates, its key is active, its user
        is active, and the user is in the group: in ``everyone`` always, in others until the membership's end.

        Args:
            now: The moment, with a time zone.
            user: Only the pairs of this active user; quick, however many others there are.

        Raises:
            UnknownError: There is no such user.
        """
        in_force = (
            select(certificates.c.fingerprint, keys.c.user_id)
            .join_from(certificates, keys)
            .join(users, keys.c.user_id == users.c.id)
            .where(
                certificates.c.state == CertificateState.ACTIVE,
                certificates.c.not_before <= now,
                certificates.c.not_after >= now,
                keys.c.state == KeyState.ACTIVE,
                users.c.removed_at.is_(None),
            )
        )
        joined = (
            select(memberships.c.user_id, groups.c.name)
            .join_from(memberships, groups)
            .where(or_(memberships.c.until.is_(None), memberships.c.until > now))
        )
        with self.reading() as connection:
            if user is not None:
                one = active_user(connection, user).id
                theirs = select(keys.c.id).where(keys.c.user_id == one)
                in_force = in_force.where(certificates.c.key_id.in_(theirs))
                joined = joined.where(memberships.c.user_id == one)
            groups_of: dict[int, list[str]] = defaultdict(list)
            for user_id, group in connection.execute(joined):
                groups_of[user_id].append(group)
            pairs: set[tuple[str, str]] = set()
            for fingerprint, user_id in connection.execute(in_force):
                pairs.add((EVERYONE, fingerprint))
                pairs.update((group, fingerprint) for group in groups_of.get(user_id, ()))
        return frozenset(pairs)

    def revoked(self, now: datetime) -> tuple[Revoked, ...]:
        """Return the lines of a revocation list, by serial number.

        A superseded certificate is listed as such, and one whose key is suspended, lost or damaged as on
        hold (RFC 5280, section 5.3.1), so that whoever reads the list decides as the gate does.
        """
        listed = certificates.c.not_after > now - _KEPT_AFTER_END
        away = select(keys.c.id).where(
            keys.c.state.in_((KeyState.SUSPENDED, KeyState.LOST, KeyState.DAMAGED))
        )
        # Two questions, since one with OR across two tables would read every certificate.
        ended = select(
            certificates.c.serial_number,
            certificates.c.changed_at,
            certificates.c.state,
            certificates.c.reason,
        ).where(listed, certificates.c.state.in_((CertificateState.REVOKED, CertificateState.SUPERSEDED)))
        held = (
            select(certificates.c.serial_number, keys.c.changed_at)
            .join_from(certificates, keys)
            .where(
                listed,
                certificates.c.state == CertificateState.ACTIVE,
                certificates.c.key_id.in_(away),
            )
        )
        with self.reading() as connection:
            lines = [
                _line(row, row.reason or RevocationReason.SUPERSEDED) for row in connection.execute(ended)
            ]
            lines += [_line(row, RevocationReason.CERTIFICATE_HOLD) for row in connection.execute(held)]
        return tuple(sorted(lines, key=lambda line: line.serial_number))

    def next_crl_number(self, *, actor: str, now: datetime) -> int:
        """Return a number for a revocation list, higher than all before (RFC 5280, section 5.2.3)."""
        with self.writing(actor, now) as change:
            last = change.connection.execute(
                select(counters.c.value).where(counters.c.name == _CRL)
            ).scalar_one_or_none()
            number = (last or 0) + 1
            if last is None:
                change.connection.execute(insert(counters), {"name": _CRL, "value": number})
            else:
                change.connection.execute(
                    update(counters).where(counters.c.name == _CRL).values(value=number)
                )
            change.record("crl.number", str(number))
            return number


def _line(row: Any, reason: RevocationReason) -> Revoked:
    return Revoked(int(row.serial_number, 16), row.changed_at, reason)
