# SPDX-License-Identifier: Apache-2.0
"""Killed before any of its changes, setup is completed by the next one, or undone; undo is completed."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.browser_setup.holder import OPENSC, Holder, authority, modules, new_database, trusted
from tests.unit.browser.trees import tree

pytestmark = pytest.mark.interop
PROGRAM = Path(__file__).with_name("killed.py")


@contextmanager
def killer(holder: Holder, *arguments: str | Path) -> Iterator[Callable[[int], str]]:
    """Run pivgate again and again, killed before the change whose number is given."""
    process = subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)],
        env=holder.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout

    def kill(last: int) -> str:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{last}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        yield kill
    finally:
        process.communicate(timeout=30)


def contents(folder: Path) -> dict[str, str]:
    """Return what is in a folder, without the state that a run keeps for itself."""
    return {
        name: what for name, (_, what) in tree(folder).items() if not re.match(r"home/\.local(/|$)", name)
    }


@pytest.mark.parametrize("database", ["new", "used"])
def test_setup_killed_at_each_change_is_completed_or_undone(
    holder: Holder, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, database: str
) -> None:
    if database == "used":
        new_database(holder.nssdb)
    words = ("setup", "--browser", "chromium", "--authority", authority(tmp_path))
    before, kept = contents(tmp_path), tmp_path_factory.mktemp("kept")
    shutil.copytree(holder.home, kept / "home")
    with killer(holder, *words) as kill:
        number = int(kill(10**6))
        assert number > 15
        for last in range(1, number + 1):
            shutil.rmtree(holder.home)
            shutil.copytree(kept / "home", holder.home)
            assert kill(last) == "killed"
            # Completed first at every other place, and undone from there at all.
            if last % 2:
                holder.quick(*words)
                assert modules(holder.nssdb).count(str(OPENSC)) == 1, last
                assert len(trusted(holder.nssdb)) == 1, last
            holder.quick("undo", "--yes")
            assert contents(tmp_path) == before, last


def test_undo_killed_at_each_change_is_completed(
    holder: Holder, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    new_database(holder.nssdb)
    before, kept = contents(tmp_path), tmp_path_factory.mktemp("kept")
    holder.good("setup", "--browser", "chromium", "--authority", authority(tmp_path_factory.mktemp("ca")))
    shutil.copytree(holder.home, kept / "home")
    with killer(holder, "undo", "--yes") as kill:
        number = int(kill(10**6))
        assert number > 10
        for last in range(1, number + 1):
            shutil.rmtree(holder.home)
            shutil.copytree(kept / "home", holder.home)
            assert kill(last) == "killed"
            holder.quick("undo", "--yes")
            assert contents(tmp_path) == before, last
