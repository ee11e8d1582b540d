# SPDX-License-Identifier: Apache-2.0
"""Plans, the record and undo, on a target of two text files: lines in one, and their number in the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.browser.trees import put, tree

from pivgate.browser.change import Files, State, Undone, apply, digest, plan, read, state, sweep, undo
from pivgate.browser.record import Record
from pivgate.errors import StorageError


@dataclass(frozen=True)
class Lines:
    """A file of lines, and one beside it with their number: two files that must fit each other."""

    place: Path
    kind: str = "lines"
    modes: tuple[int, int] = (0o600, 0o700)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.place, self.place.with_name("number"))

    def content(self, path: Path, data: bytes | None) -> str:
        return digest(data)

    def lines(self, files: Files) -> list[str]:
        return (files[self.place] or b"").decode().splitlines()

    def files(self, lines: list[str]) -> Files:
        text = "".join(f"{line}\n" for line in lines)
        return {self.place: text.encode(), self.paths[1]: str(len(lines)).encode()}

    def missing(self, files: Files, wanted: Mapping[str, Any]) -> dict[str, Any]:
        lacking = [each for each in wanted.get("lines", []) if each not in self.lines(files)]
        return {"lines": lacking} if lacking else {}

    def add(self, files: Files, wanted: Mapping[str, Any]) -> Files:
        return self.files([*self.lines(files), *wanted["lines"]])

    def remove(self, files: Files, own: Mapping[str, Any]) -> Files:
        return self.files([each for each in self.lines(files) if each not in own["lines"]])

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        return {"lines": list(dict.fromkeys([*first.get("lines", []), *second.get("lines", [])]))}


@pytest.fixture
def target(tmp_path: Path) -> Lines:
    return Lines(tmp_path / "made" / "by" / "us" / "lines")


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path / "state")
    record.prepare()
    return record


def set_up(target: Lines, record: Record, *lines: str) -> None:
    apply(plan(target, {"lines": list(lines)}, record), record)


def take_back(target: Lines, record: Record) -> Undone:
    entry = record.find(str(target.place))
    assert entry is not None
    return undo(target, entry, record)


def test_what_was_not_there_is_gone_again_with_its_folders(
    target: Lines, record: Record, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    set_up(target, record, "ours")
    assert target.place.read_text() == "ours\n"
    assert (target.place.stat().st_mode & 0o777, target.place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert take_back(target, record) is Undone.RESTORED
    assert tree(tmp_path) == before


@given(st.none() | st.binary(max_size=30), st.none() | st.binary(max_size=5), st.sampled_from([0o600, 0o644]))
def test_files_are_restored_byte_for_byte_with_their_modes(
    tmp_path_factory: pytest.TempPathFactory, first: bytes | None, second: bytes | None, mode: int
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    target, record = Lines(folder / "lines"), Record(folder / "state")
    record.prepare()
    for path, data in zip(target.paths, (first, second), strict=True):
        if data is not None and b"\r" not in data and data.isascii():
            put(path, data, mode)
    before = tree(folder)
    set_up(target, record, "a line that nobody else has")
    assert "a line that nobody else has" in target.place.read_text()
    assert take_back(target, record) is Undone.RESTORED
    assert tree(folder) == before


def test_a_second_setup_changes_nothing(target: Lines, record: Record, tmp_path: Path) -> None:
    set_up(target, record, "ours")
    after = tree(tmp_path)
    again = plan(target, {"lines": ["ours"]}, record)
    assert again.adds == {}
    assert again.changes == []
    apply(again, record)
    assert tree(tmp_path) == after


def test_what_was_there_already_is_not_ours(target: Lines, record: Record) -> None:
    put(target.place, "theirs\n")
    set_up(target, record, "theirs")
    assert record.entries() == []


def test_a_second_wish_comes_to_the_first_and_both_go(target: Lines, record: Record, tmp_path: Path) -> None:
    put(target.place, "theirs\n")
    before = tree(target.place.parent)
    set_up(target, record, "one")
    set_up(target, record, "two")
    assert target.place.read_text() == "theirs\none\ntwo\n"
    assert take_back(target, record) is Undone.RESTORED
    assert tree(target.place.parent) == before


def test_what_somebody_added_since_stays_and_ours_goes(target: Lines, record: Record) -> None:
    put(target.place, "theirs\n")
    set_up(target, record, "ours")
    target.place.write_text(target.place.read_text() + "later\n")
    assert take_back(target, record) is Undone.CLEANED
    assert target.place.read_text() == "theirs\nlater\n"
    assert record.entries() == []


def test_a_setup_after_somebody_s_change_keeps_that_for_undo_too(target: Lines, record: Record) -> None:
    put(target.place, "theirs\n")
    set_up(target, record, "ours")
    target.place.write_text("theirs\nours\nlater\n")
    set_up(target, record, "more")
    assert take_back(target, record) is Undone.RESTORED
    assert target.place.read_text() == "theirs\nlater\n"


def test_a_setup_after_somebody_took_ours_away_puts_it_back(target: Lines, record: Record) -> None:
    put(target.place, "theirs\n")
    set_up(target, record, "ours")
    target.place.write_text("theirs, mended\n")
    set_up(target, record, "ours")
    assert target.place.read_text() == "theirs, mended\nours\n"
    take_back(target, record)
    assert target.place.read_text() == "theirs, mended\n"


@pytest.mark.parametrize("again", [True, False])
def test_a_change_that_was_cut_short_is_completed_or_undone(
    target: Lines, record: Record, tmp_path: Path, again: bool
) -> None:
    put(target.place, "theirs\n")
    put(target.paths[1], "1")
    before = tree(target.place.parent)
    set_up(target, record, "ours")
    done = tree(target.place.parent)
    put(target.paths[1], "1", 0o600)  # the second file was not written any more
    now = read(target.paths)
    assert state(target, record.find(str(target.place)), now) is State.BETWEEN
    if again:
        set_up(target, record, "ours")
        assert tree(target.place.parent) == {
            **done,
            "number": (done["number"][0] & ~0o777 | 0o600, done["number"][1]),
        }
    take_back(target, record)
    assert {name: what for name, (_, what) in tree(target.place.parent).items()} == {
        name: what for name, (_, what) in before.items()
    }


def test_a_second_change_that_was_cut_short_after_the_record_is_undone(target: Lines, record: Record) -> None:
    put(target.place, "theirs\n")
    set_up(target, record, "one")
    between = read(target.paths)
    set_up(target, record, "two")
    for path, data in between.items():  # nothing of the second was written any more
        path.write_bytes(data or b"")
    assert state(target, record.find(str(target.place)), read(target.paths)) is State.BETWEEN
    assert take_back(target, record) is Undone.RESTORED
    assert target.place.read_text() == "theirs\n"


def test_a_link_stays_a_link(target: Lines, record: Record, tmp_path: Path) -> None:
    put(tmp_path / "dotfiles/lines", "theirs\n")
    target.place.parent.mkdir(parents=True)
    target.place.symlink_to(tmp_path / "dotfiles/lines")
    set_up(target, record, "ours")
    assert target.place.is_symlink()
    assert (tmp_path / "dotfiles/lines").read_text() == "theirs\nours\n"
    take_back(target, record)
    assert target.place.is_symlink()
    assert target.place.read_text() == "theirs\n"


def test_a_folder_of_ours_that_somebody_uses_stays(target: Lines, record: Record) -> None:
    set_up(target, record, "ours")
    put(target.place.parent / "theirs")
    take_back(target, record)
    assert list(target.place.parent.iterdir()) == [target.place.parent / "theirs"]


def test_what_a_killed_write_left_is_swept_and_nothing_else(target: Lines, tmp_path: Path) -> None:
    folder = target.place.parent
    put(folder / ".lines.abcd1234.unfinished")
    kept = [
        put(folder / name) for name in (".lines.abcd1234", ".other.abcd1234.unfinished", "lines.unfinished")
    ]
    sweep(target)
    assert sorted(folder.iterdir()) == sorted(kept)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot read"):
        read((tmp_path,))


def test_a_plan_changes_nothing(target: Lines, tmp_path: Path) -> None:
    record = Record(tmp_path / "state")
    before = tree(tmp_path)
    assert plan(target, {"lines": ["ours"]}, record).changes == list(target.paths)
    assert tree(tmp_path) == before


LINE = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("setup"), st.lists(st.sampled_from(["o1", "o2"]), min_size=1, unique=True)),
        st.tuples(st.just("somebody adds"), LINE),
        st.tuples(st.just("somebody removes"), LINE),
        st.tuples(st.just("undo"), st.none()),
    ),
    max_size=8,
)


@given(STEPS, st.lists(LINE, max_size=2, unique=True))
def test_whatever_happens_undo_leaves_what_the_others_wrote(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]], theirs: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    target, record = Lines(folder / "lines"), Record(folder / "state")
    record.prepare()
    for path, data in target.files(theirs).items():
        put(path, data or b"")
    for what, argument in [*steps, ("undo", None)]:
        lines = target.lines(read(target.paths))
        if what == "setup":
            set_up(target, record, *argument)
        elif what == "undo":
            if record.entries():
                take_back(target, record)
        else:
            theirs = [line for line in theirs if line != argument]
            lines = [line for line in lines if line != argument]
            if what == "somebody adds":
                theirs, lines = [*theirs, argument], [*lines, argument]
            for path, data in target.files(lines).items():
                path.write_bytes(data or b"")
    assert sorted(target.lines(read(target.paths))) == sorted(theirs)
    record.leave()
    assert not record.folder.exists()
