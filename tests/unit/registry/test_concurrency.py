# SPDX-License-Identifier: Apache-2.0
"""Many processes write at once, and some are killed: nothing is lost, nothing half done, nothing broken."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pivgate.registry.head import read_head
from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
WHO = {"actor": "root", "now": NOW}
PROCESSES = 8
OPERATIONS = 25

PROLOGUE = """
import json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pivgate.registry.head import read_head
from pivgate.registry.store import Registry

home, number = Path(sys.argv[1]), int(sys.argv[2])
now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
who = {"actor": f"writer {number}", "now": now}

def opened():
    return Registry.open(home / "registry.sqlite", home / "audit.head")
"""

WRITER = f"""{PROLOGUE}
heads, numbers = [], []
for step in range({OPERATIONS}):
    with opened() as registry:
        kind = step % 5
        name = f"w{{number}}-{{step - kind}}"
        if kind == 0:
            registry.add_user(name, **who)
        elif kind == 1:
            registry.add_group(name, **who)
        elif kind == 2:
            registry.add_member(f"w{{number}}-{{step - kind}}", f"w{{number}}-{{step - kind}}", **who)
        elif kind == 3:
            numbers.append(registry.next_crl_number(**who))
        else:
            registry.register_key(number * 1000 + step, model="m", firmware="5", form_factor="f",
                                  user=name, **who)
    heads.append(read_head(home / "audit.head").sequence)
print(json.dumps([heads, numbers]))
"""

WATCHER = f"""{PROLOGUE}
heads = []
while not (home / "done").exists():
    heads.append(read_head(home / "audit.head").sequence)
    with opened() as registry:
        assert registry.verify_audit().sequence >= heads[-1]
print(json.dumps([heads, []]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Registry.create(tmp_path / "registry.sqlite", tmp_path / "audit.head").close()
    return tmp_path


def reopen(home: Path) -> Registry:
    return Registry.open(home / "registry.sqlite", home / "audit.head")


def start(script: str, home: Path, number: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, home, str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: "subprocess.Popen[str]") -> list[list[int]]:
    output, errors = process.communicate(timeout=110)
    assert (process.returncode, errors) == (0, "")
    found: list[list[int]] = json.loads(output)
    return found


def check_whole(home: Path) -> None:
    with reopen(home) as registry:
        end = registry.verify_audit()
        assert end.sequence == len(registry.events())
    with closing(sqlite3.connect(home / "registry.sqlite")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert plain.execute("PRAGMA foreign_key_check").fetchall() == []


def test_eight_processes_lose_nothing(home: Path) -> None:
    watcher = start(WATCHER, home, 0)
    writers = [start(WRITER, home, number) for number in range(PROCESSES)]
    results = [result(writer) for writer in writers]
    (home / "done").touch()
    watched, _ = result(watcher)

    check_whole(home)
    with reopen(home) as registry:
        events = registry.events()
        assert len(events) == PROCESSES * OPERATIONS
        assert read_head(home / "audit.head") == registry.verify_audit()
        assert len(registry.users()) == PROCESSES * OPERATIONS // 5
        assert len(registry.groups()) == PROCESSES * OPERATIONS // 5 + 1
        assert len(registry.keys()) == PROCESSES * OPERATIONS // 5
        assert all(len(registry.members(group.name)) == 1 for group in registry.groups()[1:])
        for number in range(PROCESSES):
            assert sum(event.actor == f"writer {number}" for event in events) == OPERATIONS
    lists = sorted(number for _, numbers in results for number in numbers)
    assert lists == list(range(1, PROCESSES * OPERATIONS // 5 + 1))
    # The head never went back, whoever looked.
    for heads in (*(heads for heads, _ in results), watched):
        assert heads == sorted(heads)


KILLED_INSIDE = f"""{PROLOGUE}
from sqlalchemy import delete, update
from pivgate.registry.schema import events, users
with opened() as registry, registry.writing("eve", now) as change:
    change.connection.execute(update(users).values(removed_at=now))
    change.connection.execute(delete(events))
    change.record("user.remove", "alice")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_in_the_middle_of_a_change(home: Path) -> None:
    with reopen(home) as registry:
        registry.add_user("alice", **WHO)
    ended = start(KILLED_INSIDE, home, 0)
    ended.communicate(timeout=60)
    assert ended.returncode == -signal.SIGKILL
    with reopen(home) as registry:
        assert [user.name for user in registry.users()] == ["alice"]
        assert [event.action for event in registry.events()] == ["user.add"]
        assert registry.verify_audit() == read_head(home / "audit.head")
        registry.add_user("bob", **WHO)
    check_whole(home)


KILLED_BEFORE_HEAD = f"""{PROLOGUE}
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
with opened() as registry:
    Path.replace = die
    registry.add_user("bob", **who)
"""


def test_killed_between_the_commit_and_the_head(home: Path) -> None:
    with reopen(home) as registry:
        registry.add_user("alice", **WHO)
    ended = start(KILLED_BEFORE_HEAD, home, 0)
    ended.communicate(timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert read_head(home / "audit.head").sequence == 1
    with reopen(home) as registry:
        assert [user.name for user in registry.users()] == ["alice", "bob"]
        assert registry.verify_audit().sequence == 2
        registry.add_user("carol", **WHO)
        assert registry.verify_audit() == read_head(home / "audit.head")


RUNNER = f"""{PROLOGUE}
with opened() as registry:
    for step in range(10_000):
        registry.add_user(f"r{{number}}-{{step}}", **who)
        print(step, flush=True)
"""


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_killed_at_any_moment_loses_nothing_that_was_reported(
    home: Path, steps: int, enrol: Callable[..., str]
) -> None:
    runners = [start(RUNNER, home, number) for number in range(2)]
    for runner in runners:
        assert runner.stdout is not None
        for _ in range(steps):
            runner.stdout.readline()
    time.sleep(0.002 * steps)
    reported = []
    for number, runner in enumerate(runners):
        os.kill(runner.pid, signal.SIGKILL)
        output, _ = runner.communicate(timeout=60)
        reported += [f"r{number}-{step}" for step in range(steps)]
        reported += [f"r{number}-{step}" for step in output.split() if step.isdigit()]
    check_whole(home)
    with reopen(home) as registry:
        names = {user.name for user in registry.users()}
        assert set(reported) <= names
        assert len(names) == len(registry.events())
        fingerprint = enrol(registry, reported[0], 7)
        assert registry.access(NOW) == {("everyone", fingerprint)}
    check_whole(home)
