# SPDX-License-Identifier: Apache-2.0
"""Migrations: in order, once, each whole or not at all; and the first one makes what the code expects."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from pivgate.errors import StorageError
from pivgate.registry.migrations import APPLICATION_ID, MIGRATIONS, Migration, check_version, migrate
from pivgate.registry.schema import metadata
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
FIRST = Migration(1, "one", ("CREATE TABLE one (x)", f"PRAGMA application_id = {APPLICATION_ID}"))
SECOND = Migration(2, "two", ("CREATE TABLE two (x)", "INSERT INTO two VALUES (1)"))
THIRD = Migration(3, "three", ("ALTER TABLE two ADD COLUMN y", "UPDATE two SET y = x + 1"))
FAILING = Migration(2, "two", (*SECOND.statements, "INSERT INTO nowhere VALUES (1)"))
KILLED = Migration(2, "two", (*SECOND.statements, "SELECT die()", "CREATE TABLE three (x)"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def connection(path: Path) -> Iterator[Connection]:
    with opened(path) as connection:
        yield connection


def opened(path: Path) -> Connection:
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None), poolclass=NullPool
    )
    return engine.connect()


def content(path: Path) -> tuple[int, list[str]]:
    with closing(sqlite3.connect(path)) as plain:
        version = plain.execute("PRAGMA user_version").fetchone()[0]
        names = [row[0] for row in plain.execute("SELECT name FROM sqlite_schema ORDER BY name")]
    return version, names


def test_taken_in_order(connection: Connection, path: Path) -> None:
    migrate(connection, path, (FIRST,))
    assert content(path) == (1, ["one"])
    migrate(connection, path, (FIRST, SECOND, THIRD))
    assert content(path) == (3, ["one", "two"])
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT * FROM two").fetchall() == [(1, 2)]


def test_taken_once(connection: Connection, path: Path) -> None:
    for _ in range(3):
        migrate(connection, path, (FIRST, SECOND))
    assert content(path) == (2, ["one", "two"])


def test_a_failing_one_leaves_the_version_before_it(connection: Connection, path: Path) -> None:
    migrate(connection, path, (FIRST,))
    with pytest.raises(OperationalError):
        migrate(connection, path, (FIRST, FAILING))
    assert content(path) == (1, ["one"])
    migrate(connection, path, (FIRST, SECOND, THIRD))
    assert content(path) == (3, ["one", "two"])


def test_a_killed_one_leaves_the_version_before_it(connection: Connection, path: Path) -> None:
    migrate(connection, path, (FIRST,))
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    connection.close()
    script = f"""
import os, signal, sqlite3, sys
from pathlib import Path
from sqlalchemy import create_engine
from pivgate.registry.migrations import Migration, migrate

def connect():
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return connection

migrate(create_engine("sqlite://", creator=connect).connect(), Path(sys.argv[1]), {(FIRST, KILLED)!r})
"""
    ended = subprocess.run([sys.executable, "-c", script, path], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert content(path) == (1, ["one"])
    with opened(path) as again:
        migrate(again, path, (FIRST, SECOND))
    assert content(path) == (2, ["one", "two"])


def test_opening_reads_the_version_only(connection: Connection, path: Path) -> None:
    migrate(connection, path, (FIRST,))
    assert check_version(connection, path, (FIRST,)) is True
    assert check_version(connection, path, (FIRST, SECOND)) is False


class Newer(Registry):
    """The program after the next change of the tables."""

    migrations = (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "more", ("CREATE TABLE more (x)",)))


def test_opening_an_older_registry_brings_it_forward(tmp_path: Path) -> None:
    with Registry.create(tmp_path / "registry.sqlite", tmp_path / "audit.head") as registry:
        registry.add_user("alice", actor="root", now=NOW)
    with Newer.open(tmp_path / "registry.sqlite", tmp_path / "audit.head") as newer:
        assert [user.name for user in newer.users()] == ["alice"]
        newer.verify_audit()
    version, names = content(tmp_path / "registry.sqlite")
    assert (version, "more" in names) == (len(MIGRATIONS) + 1, True)
    with pytest.raises(StorageError, match="knows versions up to"):
        Registry.open(tmp_path / "registry.sqlite", tmp_path / "audit.head")
    with Newer.open(tmp_path / "registry.sqlite", tmp_path / "audit.head") as newer:
        assert newer.user("alice").name == "alice"


def test_a_newer_registry_is_refused_and_left_alone(connection: Connection, path: Path) -> None:
    migrate(connection, path, (FIRST, SECOND, THIRD))
    for act in (check_version, migrate):
        with pytest.raises(StorageError, match="has version 3, and this pivgate knows versions up to 2"):
            act(connection, path, (FIRST, SECOND))
    assert content(path) == (3, ["one", "two"])


def test_an_empty_file_is_no_registry(connection: Connection, path: Path) -> None:
    with pytest.raises(StorageError, match="is empty, or was never a registry"):
        check_version(connection, path, (FIRST,))


@pytest.mark.parametrize(("application", "version"), [(0, 1), (7, 1), (7, 0), (APPLICATION_ID, 0)])
def test_the_file_of_another_program_is_refused(
    connection: Connection, path: Path, application: int, version: int
) -> None:
    connection.exec_driver_sql(f"PRAGMA application_id = {application}")
    connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    connection.rollback()
    for act in (check_version, migrate):
        with pytest.raises(StorageError, match="SQLite file of some other program"):
            act(connection, path, (FIRST, SECOND))


def test_versions_count_from_one_without_gaps() -> None:
    assert [each.version for each in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_the_tables_are_those_that_the_code_expects(connection: Connection, path: Path) -> None:
    migrate(connection, path)
    inspector = inspect(connection)
    assert set(inspector.get_table_names()) == set(metadata.tables)
    for table in metadata.tables.values():
        found = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        # A primary key needs no NOT NULL in SQLite to be one.
        expected = {column.name: column.nullable for column in table.columns}
        keys = {column.name for column in table.primary_key}
        assert {name: found[name] for name in found if name not in keys} == {
            name: expected[name] for name in expected if name not in keys
        }
        assert set(found) == set(expected)
        assert set(inspector.get_pk_constraint(table.name)["constrained_columns"]) == keys
        references = {
            (key["constrained_columns"][0], key["referred_table"])
            for key in inspector.get_foreign_keys(table.name)
        }
        assert references == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}


def test_a_registry_of_version_1_opens(tmp_path: Path) -> None:
    dump = Path(__file__).parents[2] / "vectors" / "registry" / "version-1.sql"
    with closing(sqlite3.connect(tmp_path / "registry.sqlite")) as plain:
        plain.executescript(dump.read_text())
    head = dump.with_name("version-1.head")
    (tmp_path / "audit.head").write_text(head.read_text())
    with Registry.open(tmp_path / "registry.sqlite", tmp_path / "audit.head") as registry:
        registry.verify_audit()
        assert [user.name for user in registry.users(removed=True)] == ["alice", "bob"]
        assert len(registry.access(NOW)) == 2
        assert len(registry.revoked(NOW)) == 1
        registry.add_user("carol", actor="root", now=NOW)
        registry.verify_audit()
    assert content(tmp_path / "registry.sqlite")[0] == MIGRATIONS[-1].version
