# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest
from tests.unit.browser.trees import put, tree

from pivgate.browser.record import Entry, FileRecord, Record
from pivgate.errors import StorageError


def entry(record: Record, place: str, data: bytes) -> Entry:
    file = FileRecord(record.keep(data), 0o600, "before", ("after",))
    return Entry("nss", place, {f"{place}/cert9.db": file}, ("/made",), {"module": {"name": "n"}})


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path / "local" / "state" / "browser")
    record.prepare()
    return record


def test_entries_come_back_as_they_were_and_nobody_else_can_read_them(record: Record) -> None:
    first, second = entry(record, "/a", b"one"), entry(record, "/b", b"two")
    record.put(first)
    record.put(second)
    assert Record(record.folder).entries() == [first, second]
    assert record.find("/b") == second
    assert record.copy(first.files["/a/cert9.db"].before or "") == b"one"
    assert record.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in record.folder.iterdir()} == {0o600}


def test_a_second_entry_on_a_target_takes_the_place_of_the_first(record: Record) -> None:
    record.put(entry(record, "/a", b"one"))
    record.put(entry(record, "/b", b"two"))
    later = entry(record, "/a", b"three")
    record.put(later)
    assert [each.place for each in record.entries()] == ["/a", "/b"]
    assert record.find("/a") == later


def test_a_copy_goes_when_nothing_needs_it(record: Record) -> None:
    record.put(entry(record, "/a", b"shared"))
    record.put(entry(record, "/b", b"shared"))
    record.put(entry(record, "/c", b"alone"))
    record.drop("/c")
    record.drop("/a")
    [name] = [path.name for path in record.folder.iterdir() if len(path.name) == 64]
    assert record.copy(name) == b"shared"


def test_when_all_is_undone_nothing_is_left_of_the_record(record: Record, tmp_path: Path) -> None:
    record.put(entry(record, "/a", b"one"))
    record.drop("/a")
    record.lock.touch()
    put(record.folder / ".record.json.abcd1234")  # of a killed write
    record.leave()
    assert tree(tmp_path) == {}


def test_a_folder_that_was_there_before_the_record_stays(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    record = Record(tmp_path / "local" / "state" / "browser")
    record.prepare()
    record.leave()
    assert list(tree(tmp_path)) == ["local"]


def test_the_record_stays_while_something_is_in_it(record: Record) -> None:
    record.put(entry(record, "/a", b"one"))
    record.leave()
    assert record.entries()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "entries": [{}]}',
        '{"version": 1, "entries": 5}',
        '{"version": 1, "entries": [{"kind": "nss", "place": "/a", "files": {"x": {}}, "folders": []}]}',
    ],
)
def test_a_damaged_record_is_named_and_tells_where_the_copies_are(record: Record, text: str) -> None:
    put(record.folder / "record.json", text)
    with pytest.raises(StorageError, match=r"record\.json is damaged") as caught:
        record.entries()
    assert str(record.folder) in caught.value.hint


def test_a_record_of_another_version_is_left_alone(record: Record) -> None:
    put(record.folder / "record.json", json.dumps({"version": 2, "entries": []}))
    with pytest.raises(StorageError, match="another version"):
        record.entries()


def test_a_copy_that_was_changed_is_not_put_back(record: Record) -> None:
    name = record.keep(b"one")
    put(record.folder / name, "two")
    with pytest.raises(StorageError, match="is damaged"):
        record.copy(name)
