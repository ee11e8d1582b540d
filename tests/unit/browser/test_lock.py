# SPDX-License-Identifier: Apache-2.0
"""Does a browser run? Told by locks that live processes hold, and not by what dead ones left."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.browser.lock import chromium_runs, firefox_runs

HOLDER = (
    "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,fcntl.LOCK_EX); "
    "print('held',flush=True); sys.stdin.read()"
)


@pytest.fixture
def alive() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate(b"\n")


@pytest.fixture
def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_nothing_there_nothing_runs(tmp_path: Path) -> None:
    assert not firefox_runs(tmp_path)
    assert not chromium_runs(tmp_path)


def test_firefox_holds_a_lock(tmp_path: Path) -> None:
    lock = tmp_path / ".parentlock"
    lock.touch()
    assert not firefox_runs(tmp_path), "a file that nobody holds is left over"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert firefox_runs(tmp_path)
    holder.communicate()
    assert not firefox_runs(tmp_path)


def test_looking_leaves_no_lock_behind(tmp_path: Path) -> None:
    lock = tmp_path / ".parentlock"
    lock.touch()
    firefox_runs(tmp_path)
    with lock.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_link_beside_a_lock_is_no_sign_of_life(tmp_path: Path, alive: int) -> None:
    (tmp_path / "lock").symlink_to(f"127.0.0.1:+{alive}")
    assert not firefox_runs(tmp_path)


def test_the_link_counts_where_there_is_no_lock(tmp_path: Path, alive: int, dead: int) -> None:
    (tmp_path / "lock").symlink_to(f"127.0.0.1:{alive}")
    assert firefox_runs(tmp_path)
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").symlink_to(f"127.0.0.1:{dead}")
    assert not firefox_runs(tmp_path)


def test_chromium_s_link_names_a_process_of_this_host(tmp_path: Path, alive: int, dead: int) -> None:
    link = tmp_path / "SingletonLock"
    for target, runs in (
        (f"{socket.gethostname()}-{alive}", True),
        (f"{socket.gethostname()}-{dead}", False),
        ("another-host-1", True),
        ("nonsense", False),
        (f"{socket.gethostname()}-", False),
    ):
        link.symlink_to(target)
        assert chromium_runs(tmp_path) is runs, target
        link.unlink()


def test_a_process_of_another_user_is_alive(tmp_path: Path) -> None:
    (tmp_path / "SingletonLock").symlink_to(f"{socket.gethostname()}-1")
    assert chromium_runs(tmp_path)
    assert os.getpid() != 1
