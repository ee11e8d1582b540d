# SPDX-License-Identifier: Apache-2.0
"""The head file: one line, and what is not that line is refused."""

from pathlib import Path

import pytest

from pivgate.errors import InputError, StorageError
from pivgate.registry.audit import START, AuditError, Head
from pivgate.registry.head import parse_head, read_head, write_head

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize("head", [START, Head(1, HASH), Head(10**12, HASH)])
def test_written_and_read(tmp_path: Path, head: Head) -> None:
    path = tmp_path / "audit.head"
    write_head(path, head)
    assert read_head(path) == head
    assert path.read_text() == f"{head.sequence} {head.hash}\n"
    assert parse_head(path.read_text()) == head
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_killed_commands_have_left_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.head"
    for name in (".audit.head.abcd1234.unfinished", ".audit.head.wxyz6789.unfinished"):
        (tmp_path / name).touch()
    (tmp_path / "audit.head.lock").touch()
    write_head(path, START)
    assert {each.name for each in tmp_path.iterdir()} == {"audit.head", "audit.head.lock"}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"1\n", f"1 {HASH}".encode(), f"1 {HASH}\n\n".encode(), f"-1 {HASH}\n".encode()),
        *(f"01 {HASH}\n".encode(), f"1 {HASH[1:]}\n".encode(), f"1 {HASH.upper()}\n".encode()),
        *(f"1  {HASH}\n".encode(), f" 1 {HASH}\n".encode(), bytes(200), b"\xff" * 70, b"9" * 10000),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.head"
    path.write_bytes(content)
    with pytest.raises(AuditError, match=r"head file .* is damaged"):
        read_head(path)


def test_a_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"head file .* is missing"):
        read_head(tmp_path / "audit.head")


def test_an_unreadable_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.head").mkdir()
    with pytest.raises(StorageError):
        read_head(tmp_path / "audit.head")


def test_a_head_kept_elsewhere_may_have_lost_its_line_end() -> None:
    assert parse_head(f" 7 {HASH} ") == Head(7, HASH)


@pytest.mark.parametrize("text", ["", "7", HASH, f"7 {HASH}x", f"7\n{HASH}", f"7 {HASH}\n8 {HASH}", "\ud800"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not the head of a log"):
        parse_head(text)
