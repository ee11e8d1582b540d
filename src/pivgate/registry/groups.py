# SPDX-License-Identifier: Apache-2.0
"""Groups and their members. ``everyone`` is always there, holds every active user, and is never stored."""

from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update

from pivgate.errors import InputError
from pivgate.names import check_group_name
from pivgate.registry.database import Database
from pivgate.registry.faults import KnownError, UnknownError
from pivgate.registry.lookup import active_user, stored_group
from pivgate.registry.records import EVERYONE, Group, Member
from pivgate.registry.schema import groups, memberships, users


class Groups(Database):
    """What can be done with groups."""

    def add_group(self, name: str, *, actor: str, now: datetime) -> Group:
        """Add a group.

        Raises:
            InputError: The name is not allowed, or is ``everyone``.
            KnownError: There is such a group.
        """
        refuse_everyone(name)
        check_group_name(name)
        with self.writing(actor, now) as change:
            taken = change.connection.execute(select(groups.c.id).where(groups.c.name == name)).first()
            if taken is not None:
                raise KnownError(
                    f"There is a group {name} already", "`pivgate group members` shows who is in it."
                )
            change.connection.execute(insert(groups), {"name": name, "added_at": change.now})
            change.record("group.add", name)
            return Group(name, change.now)

    def remove_group(self, name: str, *, actor: str, now: datetime) -> None:
        """Remove a group; its memberships end.

        Raises:
            InputError: It is ``everyone``.
            UnknownError: There is no such group.
        """
        refuse_everyone(name)
        with self.writing(actor, now) as change:
            group = stored_group(change.connection, name)
            ended = change.connection.execute(
                delete(memberships).where(memberships.c.group_id == group.id)
            ).rowcount
            change.connection.execute(delete(groups).where(groups.c.id == group.id))
            change.record("group.remove", name, members=ended)

    def groups(self) -> tuple[Group, ...]:
        """Return all groups by name, ``everyone`` first."""
        with self.reading() as connection:
            rows = connection.execute(select(groups).order_by(groups.c.name)).all()
        return (Group(EVERYONE, None), *(Group(row.name, row.added_at) for row in rows))

    def add_member(
        self, group: str, user: str, until: datetime | None = None, *, actor: str, now: datetime
    ) -> Member:
        """Put a user into a group, or change when the membership ends.

        Args:
            group: The group; not ``everyone``, which holds all users already.
            user: The user.
            until: The moment from which the membership no longer counts; must lie ahead.
            actor: Who adds.
            now: When.

        Raises:
            InputError: The group is ``everyone``, or the end has passed.
            UnknownError: There is no such group or user.
        """
        refuse_everyone(group)
        if until is not None and until <= now:
            raise InputError(
                f"The membership of {user} in {group} would end at {until.isoformat()}, which has passed",
                "Give an end that lies ahead, or none.",
            )
        until = until and until.astimezone(UTC)
        with self.writing(actor, now) as change:
            place = {
                "group_id": stored_group(change.connection, group).id,
                "user_id": active_user(change.connection, user).id,
            }
            known = change.connection.execute(select(memberships).filter_by(**place)).one_or_none()
            if known is not None and known.until == until:
                return Member(group, user, known.until, known.added_at)
            values = {"until": until, "added_at": change.now}
            if known is None:
                change.connection.execute(insert(memberships), place | values)
            else:
                change.connection.execute(update(memberships).filter_by(**place).values(values))
            change.record("group.join", group, user=user, until=until.isoformat() if until else None)
            return Member(group, user, until, change.now)

    def remove_member(self, group: str, user: str, *, actor: str, now: datetime) -> None:
        """Take a user out of a group.

        Raises:
            InputError: The group is ``everyone``.
            UnknownError: There is no such group or user, or the user is not in it.
        """
        refuse_everyone(group)
        with self.writing(actor, now) as change:
            row = stored_group(change.connection, group)
            found = change.connection.execute(
                delete(memberships)
                .where(memberships.c.group_id == row.id)
                .where(memberships.c.user_id == active_user(change.connection, user).id)
            ).rowcount
            if not found:
                raise UnknownError(
                    f"{user} is not in the group {group}", f"`pivgate group members {group}` shows who is."
                )
            change.record("group.leave", group, user=user)

    def members(self, group: str) -> tuple[Member, ...]:
        """Return the members of a group by name, those whose end has passed too.

        Raises:
            UnknownError: There is no such group.
        """
        with self.reading() as connection:
            if group == EVERYONE:
                rows = connection.execute(
                    select(users.c.name, users.c.added_at)
                    .where(users.c.removed_at.is_(None))
                    .order_by(users.c.name)
                )
                return tuple(Member(EVERYONE, row.name, None, row.added_at) for row in rows)
            rows = connection.execute(
                select(users.c.name, memberships.c.until, memberships.c.added_at)
                .join_from(memberships, users)
                .where(memberships.c.group_id == stored_group(connection, group).id)
                .order_by(users.c.name)
            )
            return tuple(Member(group, row.name, row.until, row.added_at) for row in rows)

    def groups_of(self, user: str) -> tuple[Member, ...]:
        """Return a user's memberships by group, ``everyone`` first, those whose end has passed too.

        Raises:
            UnknownError: There is no such user.
        """
        with self.reading() as connection:
            row = active_user(connection, user)
            rows = connection.execute(
                select(groups.c.name, memberships.c.until, memberships.c.added_at)
                .join_from(memberships, groups)
                .where(memberships.c.user_id == row.id)
                .order_by(groups.c.name)
            )
            everyone = Member(EVERYONE, user, None, row.added_at)
            return (everyone, *(Member(each.name, user, each.until, each.added_at) for each in rows))


def refuse_everyone(name: str) -> None:
    """Refuse to edit ``everyone``.

    Raises:
        InputError: That is the name.
    """
    if name == EVERYONE:
        raise InputError(
            f"The group {EVERYONE} is always there and holds every user; it cannot be edited",
            "Choose another group.",
        )
