# SPDX-License-Identifier: Apache-2.0
"""The registry's file: how it is made, opened, read and written.

Reading takes a snapshot. Writing takes the lock of the audit head, then SQLite's own, and ends with the
events in the same transaction as the changes; after the commit, and still under the lock, the head follows.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, insert, select
from sqlalchemy.pool import NullPool

from pivgate.errors import HomeError, StorageError
from pivgate.files import PRIVATE_FILE, exclusive_lock, storage_error, sync_directory
from pivgate.registry.audit import START, AuditError, Head, next_event
from pivgate.registry.faults import BehindError, KnownError, sqlite_faults
from pivgate.registry.head import read_head, write_head
from pivgate.registry.migrations import MIGRATIONS, Migration, check_version, migrate
from pivgate.registry.records import DetailValue
from pivgate.registry.schema import events

# Writers queue for the lock; one needs a few milliseconds, so this is far more than a busy home needs.
PATIENCE: Final = 30.0


@dataclass
class Transaction:
    """A change under way: everything done through it is committed together, or not at all.

    Attributes:
        now: The moment of the change, UTC.
        actor: Who makes it.
        head: The end of the log so far.
        head_is_accepted: The head file is to follow whatever it holds.
    """

    connection: Connection
    now: datetime
    actor: str
    head: Head
    head_is_accepted: bool = False

    def record(self, action: str, subject: str, /, **detail: DetailValue) -> None:
        """Append an event to the chain."""
        event = next_event(
            self.head,
            time=self.now,
            actor=self.actor,
            action=action,
            subject=subject,
            detail=detail,
        )
        self.connection.execute(insert(events), dict(vars(event)))
        self.head = Head(event.sequence, event.hash)


class Database:
    """An open registry file. Close it, or use it as a context manager.

    Attributes:
        migrations: The steps to the tables that this class works with.
    """

    migrations: ClassVar[Sequence[Migration]] = MIGRATIONS

    def __init__(self, path: Path, audit_head_path: Path, connection: Connection, patience: float) -> None:
        self.path = path
        self.audit_head_path = audit_head_path
        self._connection = connection
        self._patience = patience

    @classmethod
    def create(cls, path: Path, audit_head_path: Path, *, patience: float = PATIENCE) -> Self:
        """Make a new registry, and the head of its empty log.

        Args:
            path: The file to be; its directory must exist.
            audit_head_path: The head file to be.
            patience: Seconds to wait for other writers.

        Raises:
            HomeError: There is one already, or a head file that speaks of one.
            StorageError: It cannot be written; nothing is left behind.
        """
        with exclusive_lock(_lock_path(audit_head_path), patience):
            if path.exists():
                raise KnownError(f"There is a registry already: {path}", "Nothing was changed.")
            _refuse_orphan(audit_head_path)
            _create_file(path, audit_head_path, cls.migrations)
        return cls.open(path, audit_head_path, patience=patience)

    @classmethod
    def open(cls, path: Path, audit_head_path: Path, *, patience: float = PATIENCE) -> Self:
        """Open a registry, bringing one of an older version to today's tables.

        Args:
            path: The file.
            audit_head_path: Its head file.
            patience: Seconds to wait for other writers.

        Raises:
            HomeError: There is none.
            StorageError: It is damaged, newer than this program, or cannot be read.
        """
        if not path.exists():
            raise HomeError(
                f"There is no registry at {path}",
                "Create a home with `pivgate init`, or name another with --home or PIVGATE_HOME.",
            )
        with sqlite_faults(path):
            connection = _connect(path, patience)
            try:
                if not check_version(connection, path, cls.migrations):
                    with exclusive_lock(_lock_path(audit_head_path), patience):
                        migrate(connection, path, cls.migrations)
            except BaseException:
                connection.close()
                raise
        return cls(path, audit_head_path, connection, patience)

    @classmethod
    def look(cls, path: Path, audit_head_path: Path) -> Self:
        """Open a registry to read it only: not a byte of it is changed, and no file is made beside it.

        Args:
            path: The file.
            audit_head_path: Its head file.

        Raises:
            HomeError: There is none.
            BehindError: It has the tables of an older pivgate; the next command that opens it brings it to
                today's.
            StorageError: It is damaged, newer than this program, or cannot be read.
        """
        if not path.exists():
            raise HomeError(f"There is no registry at {path}", "Restore it from a backup.")
        with sqlite_faults(path):
            connection = _connect(path, PATIENCE, read_only=True)
            try:
                if not check_version(connection, path, cls.migrations):
                    raise BehindError(
                        f"The registry {path} has the tables of an older pivgate",
                        "`pivgate status`, as any command that opens it, brings it to today's. "
                        "Keep a copy until you have seen that all is well.",
                    )
            except BaseException:
                connection.close()
                raise
        return cls(path, audit_head_path, connection, PATIENCE)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read one consistent snapshot.

        Raises:
            StorageError: The registry is damaged or cannot be read.
        """
        with sqlite_faults(self.path), self._connection.begin():
            self._connection.exec_driver_sql("BEGIN")
            yield self._connection

    @contextmanager
    def writing(self, actor: str, now: datetime) -> Iterator[Transaction]:
        """Make a change; an exception inside undoes all of it.

        Args:
            actor: Who makes it, for the events.
            now: The moment, with a time zone.

        Raises:
            BusyError: Another process holds the registry for too long.
            StorageError: Full disk, read-only home, damaged registry; nothing was changed.
        """
        if now.tzinfo is None:
            raise ValueError("a time without a time zone")
        with exclusive_lock(_lock_path(self.audit_head_path), self._patience):
            with sqlite_faults(self.path), self._connection.begin():
                self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                change = Transaction(
                    self._connection, now.astimezone(UTC), actor, self._last(self._connection)
                )
                before = change.head
                yield change
            if change.head_is_accepted:
                write_head(self.audit_head_path, change.head)
            else:
                self._advance_head(before, change.head)

    @staticmethod
    def _last(connection: Connection) -> Head:
        row = connection.execute(
            select(events.c.sequence, events.c.hash).order_by(events.c.sequence.desc()).limit(1)
        ).one_or_none()
        return START if row is None else Head(row.sequence, row.hash)

    def _advance_head(self, before: Head, head: Head) -> None:
        # The change is committed. A head that lags behind is allowed for by every check and follows with
        # the next change, so a failure here must not make the change look undone.
        with suppress(StorageError):
            try:
                known = read_head(self.audit_head_path)
            except AuditError:
                return
            # Nearly always the file holds the end as it was; only when it lags is there something to look up.
            if known != head and (known == before or self._continues(known)):
                write_head(self.audit_head_path, head)

    def _continues(self, known: Head) -> bool:
        if known == START:
            return True
        with self.reading() as connection:
            found = connection.execute(
                select(events.c.hash).where(events.c.sequence == known.sequence)
            ).scalar_one_or_none()
        return bool(found == known.hash)


def _connect(path: Path, patience: float, *, read_only: bool = False) -> Connection:
    # mode=rw: never create. isolation_level=None: Python's own transaction control is off, BEGIN is ours.
    uri = f"file:{quote(str(path.absolute()))}?{_looking(path) if read_only else 'mode=rw'}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience),
        poolclass=NullPool,
    )
    connection = engine.connect()
    pragmas = ("foreign_keys = ON", "synchronous = FULL", "journal_mode = WAL")
    for pragma in ("query_only = ON",) if read_only else pragmas:
        connection.exec_driver_sql(f"PRAGMA {pragma}")
    connection.rollback()  # ends the transaction that SQLAlchemy thinks it is in; SQLite is in none
    return connection


def _looking(path: Path) -> str:
    # Whoever has a registry in WAL mode open has its log beside it, and SQLite shares that. Where there is
    # none nobody writes, and SQLite would make one, also for somebody who only reads (sqlite.org/wal.html,
    # "Read-Only Databases").
    log = path.with_name(f"{path.name}-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def _create_file(path: Path, audit_head_path: Path, migrations: Sequence[Migration]) -> None:
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise storage_error("create", path, error) from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        with sqlite_faults(path):
            connection = _connect(temporary, PATIENCE)
            try:
                migrate(connection, path, migrations)
            finally:
                connection.close()
        write_head(audit_head_path, START)
        temporary.chmod(PRIVATE_FILE)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise storage_error("create", path, error) from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _refuse_orphan(audit_head_path: Path) -> None:
    if not audit_head_path.exists():
        return
    if read_head(audit_head_path) != START:
        raise KnownError(
            f"There is no registry, but {audit_head_path} speaks of one",
            "Restore the registry from a backup, or choose another home.",
        )


def _lock_path(audit_head_path: Path) -> Path:
    return audit_head_path.with_name(f"{audit_head_path.name}.lock")
