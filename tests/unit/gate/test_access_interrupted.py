# SPDX-License-Identifier: Apache-2.0
"""Killed, or out of disk, at any point: nobody is ever admitted who was not before and is not wanted."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).with_name("interrupted_access.py")
ALICE, BOB, CAROL, DAVE = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
OLD = {("admins", ALICE), ("admins", BOB), ("everyone", ALICE), ("everyone", BOB), ("staff", BOB)}
WANTED = {("admins", ALICE), ("admins", CAROL), ("everyone", ALICE), ("everyone", CAROL), ("board", DAVE)}


def interrupt(tree: Path, how: str | int, withdrawn: list[str]) -> list[dict[str, Any]]:
    job = {
        "tree": str(tree),
        "old": sorted(OLD),
        "wanted": sorted(WANTED),
        "withdrawn": withdrawn,
        "how": how,
    }
    done = subprocess.run(
        [sys.executable, CHILD], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def names(entries: set[tuple[str, str]]) -> set[str]:
    return {"/".join(entry) for entry in entries}


@pytest.mark.parametrize("how", ["kill", errno.ENOSPC, errno.EROFS, errno.EIO])
def test_synchronise_never_opens_more_than_wanted(tmp_path: Path, how: str | int) -> None:
    tree = tmp_path / "access"

    *interrupted, ended = interrupt(tree, how, [])

    assert len(interrupted) > 20
    for place in interrupted:
        assert place["mended"], place
        left = set(place["left"])
        assert left <= names(OLD | WANTED), place
        if left - names(OLD):
            assert not left - names(WANTED), f"added before all was removed: {place}"
        assert place["said"].startswith("killed by 9" if how == "kill" else "StorageError: "), place
    assert set(ended["left"]) == names(WANTED)


@pytest.mark.parametrize("how", ["kill", errno.ENOSPC, errno.EROFS, errno.EIO])
def test_withdraw_never_opens_anything(tmp_path: Path, how: str | int) -> None:
    tree = tmp_path / "access"
    remaining = {entry for entry in OLD if entry[1] != BOB}

    *interrupted, ended = interrupt(tree, how, [BOB])

    assert len(interrupted) > 10
    for place in interrupted:
        assert names(remaining) <= set(place["left"]) <= names(OLD), place
        assert place["said"].startswith("killed by 9" if how == "kill" else "StorageError: "), place
    assert set(ended["left"]) == names(remaining)
