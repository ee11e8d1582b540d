# SPDX-License-Identifier: Apache-2.0
"""The space that is kept for taking access away; that it serves on a full disk is tried in ``tests/cli``."""

from pathlib import Path

import pytest

from pivgate.enrolment.reserve import SIZE, keep, spent_when_full
from pivgate.settings import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_it_takes_its_space_on_the_disk_and_only_its_owner_sees_it(home: Home) -> None:
    keep(home)
    found = home.reserve.stat()
    assert found.st_size == SIZE
    assert found.st_blocks * 512 >= SIZE
    assert found.st_mode & 0o777 == 0o600
    before = found.st_ino, found.st_mtime_ns
    keep(home)
    assert (home.reserve.stat().st_ino, home.reserve.stat().st_mtime_ns) == before


def test_what_a_killed_command_has_left_makes_room(home: Home) -> None:
    (home.root / ".reserve.abcd1234.unfinished").write_bytes(b"half")
    home.reserve.write_bytes(b"small")
    keep(home)
    assert [path.name for path in home.root.iterdir()] == ["reserve"]
    assert home.reserve.stat().st_size == SIZE


def test_where_there_is_space_it_is_left_alone(home: Home) -> None:
    keep(home)
    inode = home.reserve.stat().st_ino
    with spent_when_full(home) as spent:
        assert not spent
        assert home.reserve.stat().st_ino == inode
    assert [path.name for path in home.root.iterdir()] == ["reserve"]
