# SPDX-License-Identifier: Apache-2.0
"""The registry's file: made once, private, and every way in which it can be unusable said plainly."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pivgate.errors import BusyError, HomeError, PivgateError, StorageError
from pivgate.files import exclusive_lock
from pivgate.registry.audit import START, AuditError, Head
from pivgate.registry.faults import KnownError
from pivgate.registry.head import read_head, write_head
from pivgate.registry.migrations import MIGRATIONS
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
WHO = {"actor": "root", "now": NOW}


@pytest.fixture
def home(tmp_path: Path, enrol: Callable[..., str]) -> Path:
    """A home with a closed registry that fills more than a few pages."""
    with Registry.create(tmp_path / "registry.sqlite", tmp_path / "audit.head") as registry:
        for number in range(1, 6):
            registry.add_user(f"user{number}", **WHO)
            enrol(registry, f"user{number}", number)
    return tmp_path


def reopen(home: Path, patience: float = 30.0) -> Registry:
    return Registry.open(home / "registry.sqlite", home / "audit.head", patience=patience)


def create(home: Path) -> Registry:
    return Registry.create(home / "registry.sqlite", home / "audit.head")


def test_made_private_and_nothing_else_left(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with create(tmp_path) as registry:
            registry.add_user("alice", **WHO)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(
        ("registry.sqlite", "registry.sqlite-wal", "registry.sqlite-shm", "audit.head", "audit.head.lock"),
        0o600,
    )
    assert {path.name for path in tmp_path.iterdir()} == {"registry.sqlite", "audit.head", "audit.head.lock"}


def test_a_new_log_has_its_head(tmp_path: Path) -> None:
    with create(tmp_path) as registry:
        assert registry.verify_audit() == START == read_head(tmp_path / "audit.head")


def test_durable_and_strict(tmp_path: Path) -> None:
    with create(tmp_path) as registry, registry.reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "user_version")
        }
    full = 2
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "user_version": MIGRATIONS[-1].version,
    }


def test_what_is_there_is_not_overwritten(home: Path) -> None:
    before = (home / "registry.sqlite").read_bytes()
    with pytest.raises(KnownError, match="There is a registry already"):
        create(home)
    assert (home / "registry.sqlite").read_bytes() == before


def test_a_head_without_its_registry_is_not_overwritten(tmp_path: Path) -> None:
    write_head(tmp_path / "audit.head", Head(3, "ab" * 32))
    with pytest.raises(KnownError, match="There is no registry, but .* speaks of one"):
        create(tmp_path)
    (tmp_path / "audit.head").write_text("rubbish")
    with pytest.raises(AuditError):
        create(tmp_path)
    assert not (tmp_path / "registry.sqlite").exists()


def test_a_creation_killed_after_the_head_can_be_run_again(tmp_path: Path) -> None:
    write_head(tmp_path / "audit.head", START)
    with create(tmp_path) as registry:
        registry.verify_audit()


def test_a_missing_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="There is no registry at"):
        reopen(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        create(tmp_path / "nowhere")


def test_a_folder_in_the_place_of_the_registry(tmp_path: Path) -> None:
    (tmp_path / "registry.sqlite").mkdir()
    with pytest.raises(StorageError, match="cannot be opened"):
        reopen(tmp_path)


@pytest.mark.parametrize("name", ["a b", "a?mode=memory", "a#b", "a%20b", "ü", "a&b=c"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    with create(home) as registry:
        registry.add_user("alice", **WHO)
    assert (home / "registry.sqlite").stat().st_size > 0
    with reopen(home) as registry:
        assert len(registry.users()) == 1


def damage(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"this is not a registry\n" * 500),
        lambda path: path.write_bytes(bytes(8192)),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(path.read_bytes()[:4096]),
        lambda path: path.write_bytes(path.read_bytes()[:20000]),
        lambda path: damage(path, 0, b"SQLite format 9"),
        lambda path: damage(path, 16, b"\xff\xff"),
        lambda path: damage(path, 100, bytes(1000)),
        lambda path: damage(path, 4096, b"\xff" * (path.stat().st_size - 4096)),
    ],
    ids=[
        *("empty", "text", "zeros", "only-the-header", "one-page", "cut-off"),
        *("magic", "page-size", "schema", "all-pages-but-the-first"),
    ],
)
def test_a_damaged_registry_is_said_to_be_damaged(home: Path, spoil: Callable[[Path], object]) -> None:
    spoil(home / "registry.sqlite")

    def use() -> None:
        with reopen(home) as registry:
            registry.verify_audit()
            registry.access(NOW)

    with pytest.raises(StorageError, match=r"registry .* is damaged") as caught:
        use()
    assert "backup" in caught.value.hint


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE keys SET state = 'open' WHERE serial = 1", "'open' is not a state"),
        ("UPDATE certificates SET state = 'open'", "'open' is not a state"),
        ("UPDATE keys SET changed_at = 9223372036854775807", "9223372036854775807 is not a time"),
    ],
)
def test_a_value_that_means_nothing_is_damage(home: Path, statement: str, words: str) -> None:
    with closing(sqlite3.connect(home / "registry.sqlite")) as plain, plain:
        plain.execute(statement)
    with reopen(home) as registry, pytest.raises(StorageError, match=words):
        _ = registry.keys() and registry.certificates()


def test_a_state_that_means_nothing_opens_nothing(home: Path) -> None:
    with closing(sqlite3.connect(home / "registry.sqlite")) as plain, plain:
        plain.execute("UPDATE certificates SET state = 'ACTIVE'")
    with reopen(home) as registry:
        assert registry.access(NOW) == frozenset()


def test_another_writer_is_waited_for_and_then_named(home: Path) -> None:
    with reopen(home, patience=0.05) as registry, exclusive_lock(home / "audit.head.lock"):
        with pytest.raises(BusyError, match="Another pivgate command"):
            registry.add_user("alice", **WHO)
        assert len(registry.users()) == 5


def test_another_program_is_waited_for_and_then_named(home: Path) -> None:
    with reopen(home, patience=0.05) as registry, closing(sqlite3.connect(home / "registry.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="Another program is at work on the registry"):
            registry.add_user("alice", **WHO)
        assert len(registry.users()) == 5
        other.rollback()
        assert registry.add_user("alice", **WHO).name == "alice"


def test_a_change_holds_off_other_programs_from_its_beginning(home: Path) -> None:
    with (
        reopen(home) as registry,
        closing(sqlite3.connect(home / "registry.sqlite", timeout=0)) as other,
        registry.writing("root", NOW),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_readers_see_one_moment_while_others_write(home: Path) -> None:
    with reopen(home) as reader, reopen(home) as writer, reader.reading() as connection:
        count = "SELECT count(*) FROM users"
        assert connection.exec_driver_sql(count).scalar_one() == 5
        writer.add_user("alice", **WHO)
        assert connection.exec_driver_sql(count).scalar_one() == 5


def test_a_moment_without_a_time_zone_is_a_mistake_of_the_caller(home: Path) -> None:
    with reopen(home) as registry, pytest.raises(ValueError, match="without a time zone"):
        registry.add_user("alice", actor="root", now=NOW.replace(tzinfo=None))


LIMITED = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pivgate.errors import StorageError
from pivgate.registry.store import Registry

home, action = Path(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

who = {"actor": "root", "now": datetime.now(UTC)}
done = 0
try:
    if action == "create":
        limit(8192)
        Registry.create(home / "registry.sqlite", home / "audit.head")
    with Registry.open(home / "registry.sqlite", home / "audit.head") as registry:
        limit(200_000)
        for number in range(10_000):
            registry.add_user(f"more{number}", **who)
            done += 1
except StorageError as error:
    print(done, error.message, error.hint, sep="|")
"""


def run(script: str, *arguments: str | Path) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        check=True,
        capture_output=True,
        text=True,
        # A child that may not write files cannot write down its coverage, either, and would complain.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )
    assert ended.stderr == ""
    return ended.stdout.strip().split("|")


def test_a_disk_that_takes_no_more_loses_nothing(home: Path) -> None:
    done, message, hint = run(LIMITED, home, "write")
    assert message.startswith(f"Cannot use the registry {home / 'registry.sqlite'}: the disk gave an error")
    assert "nothing was changed" in hint
    assert int(done) > 0
    with reopen(home) as registry:
        assert len(registry.users()) == 5 + int(done)
        assert registry.verify_audit() == read_head(home / "audit.head")
        registry.add_user("alice", **WHO)
        registry.verify_audit()


def test_a_disk_that_takes_no_registry_is_left_as_it_was(tmp_path: Path) -> None:
    done, message, _ = run(LIMITED, tmp_path, "create")
    assert int(done) == 0
    assert message == f"Cannot write the registry {tmp_path / 'registry.sqlite'}: the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["audit.head.lock"]
    with create(tmp_path) as registry:
        registry.verify_audit()


UNPRIVILEGED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import sqlalchemy.dialects.sqlite.pysqlite
from pivgate.errors import PivgateError
from pivgate.registry.store import Registry

home = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    with Registry.open(home / "registry.sqlite", home / "audit.head") as registry:
        print(len(registry.users()))
        registry.add_user("alice", actor="nobody", now=datetime.now(UTC))
except PivgateError as error:
    print(type(error).__name__, error.message, error.hint, sep="|")
"""


@pytest.fixture
def lent_home() -> Iterator[Path]:
    """A home that a user without privileges owns, in a folder that it can reach."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:
        home = Path(name)
        with create(home) as registry:
            registry.add_user("bob", **WHO)
        if os.geteuid() == 0:
            for path in (home, *home.iterdir()):
                os.chown(path, 65534, 65534)
        yield home
        home.chmod(0o700)


def test_a_read_only_home_is_named(lent_home: Path) -> None:
    for path in lent_home.iterdir():
        path.chmod(0o400)
    lent_home.chmod(0o500)
    kind, message, hint = run(UNPRIVILEGED, lent_home)
    assert kind == "StorageError"
    assert message.startswith(f"Cannot use the registry {lent_home / 'registry.sqlite'}")
    assert "writable" in hint


def test_a_registry_of_another_user_is_named(lent_home: Path) -> None:
    (lent_home / "registry.sqlite").chmod(0)
    kind, message, hint = run(UNPRIVILEGED, lent_home)
    assert (kind, message.split(":")[0]) == (
        "StorageError",
        f"Cannot use the registry {lent_home / 'registry.sqlite'}",
    )
    assert "Run the command as the user who owns the home" in hint


def test_every_failure_is_one_for_the_user(home: Path) -> None:
    (home / "audit.head.lock").unlink()
    (home / "audit.head.lock").mkdir()
    with reopen(home) as registry, pytest.raises(PivgateError):
        registry.add_user("alice", **WHO)
