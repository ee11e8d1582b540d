# SPDX-License-Identifier: Apache-2.0
"""Two databases say the same when their rows do, whatever their bytes are."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.browser.trees import program

from pivgate.browser.nss import CERTIFICATES, MODULES, certificates, content, find_tools, need_tools
from pivgate.errors import InputError, StorageError


def database(path: Path, *statements: str) -> bytes:
    with closing(sqlite3.connect(path)) as opened, opened:
        for statement in statements:
            opened.execute(statement)
    return path.read_bytes()


TABLE = "CREATE TABLE nssPublic (id PRIMARY KEY UNIQUE, a0, a11, a81)"
ROW = "INSERT INTO nssPublic VALUES (1, X'00000001', X'3001', NULL)"


def test_order_bytes_and_empty_columns_make_no_difference(tmp_path: Path) -> None:
    other = "INSERT INTO nssPublic VALUES (2, X'00000002', X'3002', NULL)"
    first = database(tmp_path / "1", TABLE, ROW, other)
    second = database(tmp_path / "2", TABLE, other, ROW, "ALTER TABLE nssPublic ADD COLUMN a170")
    assert first != second
    assert content(CERTIFICATES, first) == content(CERTIFICATES, second)


def test_a_value_a_row_and_a_table_make_a_difference(tmp_path: Path) -> None:
    said = {
        content(CERTIFICATES, database(tmp_path / "1", TABLE)),
        content(CERTIFICATES, database(tmp_path / "2", TABLE, ROW)),
        content(CERTIFICATES, database(tmp_path / "3", TABLE, ROW.replace("3001", "3003"))),
        content(
            CERTIFICATES,
            database(tmp_path / "4", TABLE.replace("nssPublic", "x"), ROW.replace("nssPublic", "x")),
        ),
        content(CERTIFICATES, None),
    }
    assert len(said) == 5


def test_a_database_that_keeps_a_log_is_read(tmp_path: Path) -> None:
    data = database(tmp_path / "1", "PRAGMA journal_mode = WAL", TABLE, ROW)
    assert data[18:20] == b"\2\2"
    assert certificates(data) == {b"0\1"}


def test_only_certificates_count_as_certificates(tmp_path: Path) -> None:
    trust = "INSERT INTO nssPublic VALUES (2, X'CE534353', X'3002', NULL)"
    assert certificates(database(tmp_path / "1", TABLE, ROW, trust)) == {b"0\1"}
    assert certificates(None) == set()


def test_a_list_of_modules_is_its_bytes() -> None:
    assert content(MODULES, b"a") != content(MODULES, b"a\n")


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 5000])
def test_what_is_no_database_is_named(data: bytes) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        content(CERTIFICATES, data)


def test_the_tools_are_found_or_the_packages_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="certutil of NSS is not installed") as caught:
        need_tools(find_tools(str(tmp_path)))
    assert "libnss3-tools" in caught.value.hint
    path = program(tmp_path / "certutil")
    assert need_tools(find_tools(str(tmp_path))).certutil == str(path)
    own = program(tmp_path / "nsscertutil")
    assert need_tools(find_tools(str(tmp_path))).certutil == str(own)
