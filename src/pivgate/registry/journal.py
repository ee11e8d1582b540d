# SPDX-License-Identifier: Apache-2.0
"""The events: appended by every change, read, and proved to be whole."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from pivgate.errors import StorageError
from pivgate.registry.audit import AuditError, Head, verify_chain
from pivgate.registry.database import Database
from pivgate.registry.head import read_head
from pivgate.registry.records import DetailValue, Event
from pivgate.registry.schema import events


class Journal(Database):
    """What can be done with events."""

    def append_event(
        self,
        action: str,
        subject: str,
        detail: Mapping[str, DetailValue] | None = None,
        *,
        actor: str,
        now: datetime,
    ) -> Event:
        """Record something that happened in another part.

        Args:
            action: A noun and a verb, as ``site.add``.
            subject: What it was done to.
            detail: More about it; never a secret.
            actor: Who did it.
            now: When.
        """
        with self.writing(actor, now) as change:
            change.record(action, subject, **(detail or {}))
            row = change.connection.execute(
                select(events).where(events.c.sequence == change.head.sequence)
            ).one()
            return _event(row)

    def events(
        self,
        *,
        after: int = 0,
        last: int | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> tuple[Event, ...]:
        """Return events, oldest first.

        Args:
            after: Only those with a higher number.
            last: Only so many, the newest.
            action: Only this action, or all of a noun: ``key`` for ``key.retired`` and so on.
            subject: Only those about this.
        """
        query = select(events).where(events.c.sequence > after).order_by(events.c.sequence.desc())
        if action is not None:
            query = query.where(
                (events.c.action == action) | events.c.action.startswith(f"{action}.", autoescape=True)
            )
        if subject is not None:
            query = query.where(events.c.subject == subject)
        if last is not None:
            query = query.limit(last)
        with self.reading() as connection:
            return tuple(reversed([_event(row) for row in connection.execute(query)]))

    def verify_audit(self, *witnesses: Head) -> Head:
        """Prove that the events are those that were written, none changed, removed, moved or put in.

        Args:
            witnesses: Heads that were kept elsewhere. Whoever can rewrite both the registry and its head
                file can be found out only by them.

        Returns:
            The end of the log.

        Raises:
            AuditError: They are not; the first bad event is named.
            StorageError: The registry or its head file cannot be read.
        """
        # The head first: a change that comes between is then a registry ahead of its head, which is fine.
        head = read_head(self.audit_head_path)
        with self.reading() as connection:
            return verify_chain(_all(connection), head, *witnesses)

    def check_head(self) -> None:
        """Refuse a registry that is older than the end of its log, or another one; quick, at any length.

        An older copy that was put back knows nothing of later revocations: nothing may be granted from it.

        Raises:
            AuditError: Its events do not go on from what the head file says, or that is missing or damaged.
            StorageError: The head file cannot be read.
        """
        known = read_head(self.audit_head_path)
        if not self._continues(known):
            raise AuditError(
                f"The registry is not the one whose log ended with event {known.sequence}: "
                "an older copy may have been put back, and with it access that was revoked since",
                "Nothing is granted from it. Look at `pivgate audit log`; when the copy was put back on "
                "purpose, revoke again what was revoked since, then `pivgate audit accept`.",
            )

    def accept_log(self, reason: str, *, actor: str, now: datetime) -> Head:
        """Make the log as it stands the one to be continued, after a backup was put back.

        The chain must be whole in itself; only what the head file says, or that it is missing, is set
        aside, and an event says so for ever.

        Args:
            reason: Why, one line.
            actor: Who decides that.
            now: When.

        Returns:
            The new end of the log.

        Raises:
            AuditError: The chain itself is broken.
        """
        try:
            known = read_head(self.audit_head_path)
            setting_aside = f"{known.sequence} {known.hash}"
        except AuditError:
            setting_aside = "no head"
        with self.writing(actor, now) as change:
            verify_chain(_all(change.connection))
            change.record("audit.accept", setting_aside, reason=reason)
            change.head_is_accepted = True
        return change.head


def _all(connection: Connection) -> Iterator[Event]:
    number = 0
    rows = connection.execute(select(events).order_by(events.c.sequence).execution_options(yield_per=1000))
    try:
        for row in rows:
            yield _event(row)
            number = row.sequence
    except StorageError as error:
        raise AuditError(f"Event {number + 1} was changed: {error.message}", error.hint) from error


def _event(row: Row[Any]) -> Event:
    return Event(
        row.sequence, row.time, row.actor, row.action, row.subject, row.detail, row.previous, row.hash
    )
