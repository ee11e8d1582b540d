# SPDX-License-Identifier: Apache-2.0
"""Users: added, looked up, removed with everything that was theirs."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from pivgate.names import check_display_name, check_email, check_user_name
from pivgate.registry.database import Database
from pivgate.registry.faults import KnownError
from pivgate.registry.lookup import active_user
from pivgate.registry.records import User
from pivgate.registry.schema import memberships, users
from pivgate.registry.states import RevocationReason
from pivgate.registry.withdrawal import retire_keys_of


class Users(Database):
    """What can be done with users."""

    def add_user(
        self, name: str, display_name: str = "", email: str | None = None, *, actor: str, now: datetime
    ) -> User:
        """Add a user.

        Args:
            name: See ``names.check_user_name``.
            display_name: As people write it; the name when empty.
            email: For the certificate and for the upstream; may be missing.
            actor: Who adds.
            now: When.

        Raises:
            InputError: A name or the address is not allowed.
            KnownError: There is such a user, or one whose name differs only in case.
        """
        check_user_name(name)
        display_name = display_name or name
        check_display_name(display_name)
        if email is not None:
            check_email(email)
        with self.writing(actor, now) as change:
            taken = change.connection.execute(
                select(users.c.name).where(
                    func.lower(users.c.name) == name.lower(), users.c.removed_at.is_(None)
                )
            ).scalar_one_or_none()
            if taken is not None:
                raise KnownError(
                    f"There is a user {taken} already"
                    + ("" if taken == name else f", and {name} differs from it only in case"),
                    "Choose another name, or see `pivgate user show`.",
                )
            change.connection.execute(
                insert(users),
                {"name": name, "display_name": display_name, "email": email, "added_at": change.now},
            )
            change.record("user.add", name, display_name=display_name, email=email)
            return User(name, display_name, email, change.now, None)

    def users(self, *, removed: bool = False) -> tuple[User, ...]:
        """Return the active users by name, and the removed ones too when asked for."""
        query = select(users).order_by(func.lower(users.c.name), users.c.id)
        if not removed:
            query = query.where(users.c.removed_at.is_(None))
        with self.reading() as connection:
            return tuple(_user(row) for row in connection.execute(query))

    def user(self, name: str) -> User:
        """Return an active user.

        Raises:
            UnknownError: There is none of that name.
        """
        with self.reading() as connection:
            return _user(active_user(connection, name))

    def remove_user(self, name: str, *, actor: str, now: datetime) -> User:
        """Remove a user: keys retired, certificates revoked, memberships ended. The name becomes free.

        Raises:
            UnknownError: There is no active user of that name.
        """
        with self.writing(actor, now) as change:
            row = active_user(change.connection, name)
            retire_keys_of(change, row.id, RevocationReason.AFFILIATION_CHANGED, "user removed")
            change.connection.execute(delete(memberships).where(memberships.c.user_id == row.id))
            change.connection.execute(update(users).where(users.c.id == row.id).values(removed_at=change.now))
            change.record("user.remove", name)
            return User(row.name, row.display_name, row.email, row.added_at, change.now)


def _user(row: Row[Any]) -> User:
    return User(row.name, row.display_name, row.email, row.added_at, row.removed_at)
