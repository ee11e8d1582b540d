# SPDX-License-Identifier: Apache-2.0
"""A registry that is only looked at: nothing of it changes, and what it cannot be read for is told apart."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pivgate.errors import HomeError, StorageError
from pivgate.registry.faults import BehindError, DamagedError, NewerError
from pivgate.registry.migrations import MIGRATIONS, Migration
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "registry.sqlite", tmp_path / "audit.head"
    with Registry.create(*paths) as opened:
        opened.add_user("alice", actor="test", now=NOW)
    return paths


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_what_is_there_is_read_and_nothing_is_left(place: tuple[Path, Path]) -> None:
    before = everything(place[0].parent)
    with Registry.look(*place) as seen:
        assert [user.name for user in seen.users()] == ["alice"]
        seen.verify_audit()
    assert everything(place[0].parent) == before


def test_what_another_process_has_just_written_is_seen(place: tuple[Path, Path]) -> None:
    with Registry.open(*place) as writing:
        writing.add_user("bob", actor="test", now=NOW)
        with Registry.look(*place) as seen:
            assert [user.name for user in seen.users()] == ["alice", "bob"]


def test_nothing_can_be_changed(place: tuple[Path, Path]) -> None:
    with Registry.look(*place) as seen, pytest.raises(StorageError):
        seen.add_user("mallory", actor="test", now=NOW)
    with Registry.open(*place) as opened:
        assert [user.name for user in opened.users()] == ["alice"]
        with Registry.look(*place) as seen, pytest.raises(StorageError):
            seen.add_user("mallory", actor="test", now=NOW)


def test_an_older_one_stays_as_it_is(place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    later = Migration(MIGRATIONS[-1].version + 1, "later", ("CREATE TABLE later (x)",))
    monkeypatch.setattr(Registry, "migrations", (*MIGRATIONS, later))
    before = everything(place[0].parent)
    with pytest.raises(BehindError, match="older pivgate"):
        Registry.look(*place)
    assert everything(place[0].parent) == before


def test_a_newer_one_is_told_from_a_damaged_one(place: tuple[Path, Path]) -> None:
    with closing(sqlite3.connect(place[0])) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerError):
        Registry.look(*place)
    place[0].write_bytes(b"not a database at all" * 100)
    with pytest.raises(DamagedError):
        Registry.look(*place)
    os.truncate(place[0], 0)
    with pytest.raises(DamagedError):
        Registry.look(*place)
    place[0].unlink()
    with pytest.raises(HomeError):
        Registry.look(*place)
    assert not place[0].exists()
