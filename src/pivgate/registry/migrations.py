# SPDX-License-Identifier: Apache-2.0
"""How a registry comes to today's tables: one numbered step after another, each in one transaction.

A step that has been released is never edited; a new one is added. ``PRAGMA user_version`` holds the number
of the last step taken and is part of the transaction, so a killed step leaves the version before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from pivgate.registry.faults import NewerError, damaged

# "pivg": tells a registry from any other SQLite file (sqlite.org/fileformat2.html, offset 68).
APPLICATION_ID: Final = 0x70697667


@dataclass(frozen=True)
class Migration:
    """One step.

    Attributes:
        version: The version that it leads to; the first is 1.
        purpose: What it is for.
        statements: SQL, run in this order.
    """

    version: int
    purpose: str
    statements: tuple[str, ...]


MIGRATIONS: Final[tuple[Migration, ...]] = (
    Migration(
        1,
        "users, keys, certificates, groups, events",
        (
            """CREATE TABLE users (
                id INTEGER PRIMARY KEY,
                name TEXT NOT NULL,
                display_name TEXT NOT NULL,
                email TEXT,
                added_at INTEGER NOT NULL,
                removed_at INTEGER
            ) STRICT""",
            # Two names that differ only in case would be one user to many upstreams.
            "CREATE UNIQUE INDEX users_name_in_use ON users (lower(name)) WHERE removed_at IS NULL",
            "CREATE INDEX users_name ON users (name)",
            """CREATE TABLE keys (
                id INTEGER PRIMARY KEY,
                serial INTEGER NOT NULL,
                model TEXT NOT NULL,
                firmware TEXT NOT NULL,
                form_factor TEXT NOT NULL,
                user_id INTEGER NOT NULL REFERENCES users (id),
                state TEXT NOT NULL,
                reason TEXT NOT NULL,
                barred INTEGER NOT NULL,
                registered_at INTEGER NOT NULL,
                changed_at INTEGER NOT NULL
            ) STRICT""",
            # A YubiKey has one registration at a time; the retired ones stay as history.
            "CREATE UNIQUE INDEX keys_serial_in_use ON keys (serial) WHERE state <> 'retired'",
            "CREATE INDEX keys_serial ON keys (serial)",
            "CREATE INDEX keys_user ON keys (user_id)",
            "CREATE INDEX keys_state ON keys (state)",
            """CREATE TABLE certificates (
                id INTEGER PRIMARY KEY,
                fingerprint TEXT NOT NULL,
                serial_number TEXT NOT NULL,
                key_id INTEGER NOT NULL REFERENCES keys (id),
                profile TEXT NOT NULL,
                not_before INTEGER NOT NULL,
                not_after INTEGER NOT NULL,
                state TEXT NOT NULL,
                reason TEXT,
                recorded_at INTEGER NOT NULL,
                changed_at INTEGER NOT NULL,
                der BLOB NOT NULL
            ) STRICT""",
            "CREATE UNIQUE INDEX certificates_fingerprint ON certificates (fingerprint)",
            "CREATE UNIQUE INDEX certificates_serial_number ON certificates (serial_number)",
            # Covers access() of a user: SQLite then begins with the user's keys, not with all certificates.
            """CREATE INDEX certificates_key
                ON certificates (key_id, state, not_after, not_before, fingerprint)""",
            "CREATE INDEX certificates_state ON certificates (state, not_after)",
            """CREATE TABLE "groups" (
                id INTEGER PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                added_at INTEGER NOT NULL
            ) STRICT""",
            """CREATE TABLE memberships (
                group_id INTEGER NOT NULL REFERENCES "groups" (id),
                user_id INTEGER NOT NULL REFERENCES users (id),
                until INTEGER,
                added_at INTEGER NOT NULL,
                PRIMARY KEY (group_id, user_id)
            ) STRICT, WITHOUT ROWID""",
            "CREATE INDEX memberships_user ON memberships (user_id)",
            """CREATE TABLE events (
                sequence INTEGER PRIMARY KEY,
                time INTEGER NOT NULL,
                actor TEXT NOT NULL,
                action TEXT NOT NULL,
                subject TEXT NOT NULL,
                detail TEXT NOT NULL,
                previous TEXT NOT NULL,
                hash TEXT NOT NULL
            ) STRICT""",
            """CREATE TABLE counters (
                name TEXT PRIMARY KEY,
                value INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID""",
            f"PRAGMA application_id = {APPLICATION_ID}",
        ),
    ),
)


def migrate(connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a registry to the last version.

    Args:
        connection: Outside any transaction.
        path: The registry, for errors.
        migrations: In ascending order of their versions.

    Raises:
        StorageError: The registry is newer than this program, or is none.
    """
    latest = migrations[-1].version
    for migration in migrations:
        with connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            # Read again under the lock: another process may have taken the step meanwhile.
            if _version(connection, path, latest) < migration.version:
                for statement in migration.statements:
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(f"PRAGMA user_version = {migration.version}")


def check_version(connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> bool:
    """Tell whether a registry has today's tables; this is all that opening one reads.

    Returns:
        False when ``migrate`` is needed.

    Raises:
        StorageError: The registry is newer than this program, or the file is not a registry.
    """
    latest = migrations[-1].version
    with connection.begin():
        version = _version(connection, path, latest)
    if version == 0:
        raise damaged(path, "it is empty, or was never a registry of pivgate")
    return version == latest


def _version(connection: Connection, path: Path, latest: int) -> int:
    application, version = connection.exec_driver_sql(
        "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
    ).one()
    if application != (APPLICATION_ID if version else 0):
        raise damaged(path, "it is an SQLite file of some other program")
    if version > latest:
        raise NewerError(
            f"The registry {path} has version {version}, and this pivgate knows versions up to {latest}",
            "Use the newer pivgate that wrote it; nothing was changed.",
        )
    return int(version)
