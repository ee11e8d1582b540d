# SPDX-License-Identifier: Apache-2.0
"""The access tree: what is wanted is there, nothing else is, and no link is ever followed."""

import errno
import os
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivgate.errors import InputError, StorageError
from pivgate.gate.access import NO_CERTIFICATE, Drift, drift, synchronise, withdraw

ALICE, BOB, CAROL = ("a" * 64, "b" * 64, "0123456789abcdef" * 4)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "access"


def listed(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_creates_the_tree_and_its_entries(tree: Path) -> None:
    wanted = {("admins", ALICE), ("everyone", ALICE), ("everyone", BOB)}

    synchronise(tree, wanted)

    assert listed(tree) == {f"admins/{ALICE}", f"everyone/{ALICE}", f"everyone/{BOB}"}
    assert {path.stat().st_mode & 0o7777 for path in (tree, tree / "admins")} == {0o700}
    assert (tree / "admins" / ALICE).stat().st_mode & 0o7777 == 0o600
    assert (tree / "admins" / ALICE).read_bytes() == b""


def test_removes_what_is_not_wanted_any_more(tree: Path) -> None:
    synchronise(tree, {("admins", ALICE), ("everyone", ALICE), ("everyone", BOB)})

    synchronise(tree, {("everyone", BOB)})

    assert listed(tree) == {f"everyone/{BOB}"}
    assert not (tree / "admins").exists()


def test_changes_nothing_when_nothing_is_to_change(tree: Path) -> None:
    wanted = {("admins", ALICE), ("everyone", BOB)}
    synchronise(tree, wanted)
    before = (tree / "admins" / ALICE).stat()

    synchronise(tree, wanted)

    assert (tree / "admins" / ALICE).stat() == before


def test_nothing_wanted_leaves_an_empty_tree(tree: Path) -> None:
    synchronise(tree, {("admins", ALICE)})

    synchronise(tree, set())

    assert list(tree.iterdir()) == []


groups = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=3)
fingerprints = st.sampled_from([ALICE, BOB, CAROL])
trees = st.frozensets(st.tuples(groups, fingerprints), max_size=8)


@given(trees, trees, trees)
@settings(max_examples=60)
def test_any_tree_becomes_any_other(
    tmp_path_factory: pytest.TempPathFactory,
    first: frozenset[tuple[str, str]],
    second: frozenset[tuple[str, str]],
    other: frozenset[tuple[str, str]],
) -> None:
    tree = tmp_path_factory.mktemp("trees") / "access"
    synchronise(tree, first)
    assert drift(tree, other) == Drift(first - other, other - first, frozenset())

    synchronise(tree, second)

    assert drift(tree, second) == Drift(frozenset(), frozenset(), frozenset())
    assert not drift(tree, second)
    assert listed(tree) == {f"{group}/{fingerprint}" for group, fingerprint in second}


@pytest.mark.parametrize(
    "entry",
    [
        ("", ALICE),
        (".", ALICE),
        ("..", ALICE),
        ("../outside", ALICE),
        ("a/b", ALICE),
        ("a\0b", ALICE),
        ("ADMINS", ALICE),
        ("-admins", ALICE),
        ("*", ALICE),
        ("admins[1]", ALICE),
        ("admins\n", ALICE),
        ("a" * 64, ALICE),
        ("admins", ""),
        ("admins", ".."),
        ("admins", ALICE.upper()),
        ("admins", ALICE[:-1]),
        ("admins", ALICE + "a"),
        ("admins", ALICE + "\n"),
        ("admins", "../" + ALICE[:61]),
        ("admins", NO_CERTIFICATE),
        ("everyone", NO_CERTIFICATE),
    ],
)
def test_a_name_that_must_never_be_there_is_refused_after_the_removals(
    tree: Path, entry: tuple[str, str]
) -> None:
    synchronise(tree, {("admins", BOB)})

    with pytest.raises(InputError):
        synchronise(tree, {entry, ("admins", CAROL)})

    assert listed(tree) == set()
    assert list(tree.parent.iterdir()) == [tree]


def test_the_fingerprint_of_no_certificate_is_removed_wherever_it_is(tree: Path) -> None:
    synchronise(tree, {("admins", ALICE)})
    (tree / "admins" / NO_CERTIFICATE).touch()

    assert drift(tree, {("admins", ALICE)}).foreign == {f"admins/{NO_CERTIFICATE}"}
    synchronise(tree, {("admins", ALICE)})

    assert listed(tree) == {f"admins/{ALICE}"}


def test_it_is_the_sha_256_of_nothing() -> None:
    assert NO_CERTIFICATE == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / BOB).touch()
    return folder


def test_whatever_is_no_entry_is_reported_and_removed(tree: Path, tmp_path: Path) -> None:
    folder = outside(tmp_path)
    wanted = {("admins", ALICE), ("admins", CAROL), ("staff", ALICE)}
    tree.mkdir()
    (tree / "admins").mkdir()
    (tree / "admins" / ALICE).symlink_to(folder / BOB)
    (tree / "admins" / "dangling").symlink_to("nowhere")
    os.mkfifo(tree / "admins" / BOB)
    (tree / "admins" / CAROL).mkdir()
    (tree / "admins" / CAROL / "inner").touch()
    (tree / "admins" / "note.txt").touch()
    (tree / "staff").symlink_to(folder)
    (tree / "file").touch()
    (tree / "Other").mkdir()
    (tree / "Other" / ALICE).touch()
    (tree / "line\nend").touch()
    os.mkfifo(tree / "pipe")

    found = drift(tree, wanted)

    assert found.extra == frozenset()
    assert found.missing == wanted
    assert found.foreign == {
        f"admins/{ALICE}",
        "admins/dangling",
        f"admins/{BOB}",
        f"admins/{CAROL}",
        "admins/note.txt",
        "staff",
        "file",
        "Other",
        r"line\nend",
        "pipe",
    }
    synchronise(tree, wanted)
    assert listed(tree) == {f"{group}/{fingerprint}" for group, fingerprint in wanted}
    assert not drift(tree, wanted)
    assert all(not path.is_symlink() for path in tree.rglob("*"))
    assert list(folder.iterdir()) == [folder / BOB]


def test_names_that_are_not_utf_8_are_removed_too(tree: Path) -> None:
    tree.mkdir()
    (tree / os.fsdecode(b"\xff\xfe")).mkdir()

    assert drift(tree, set()).foreign == {r"\udcff\udcfe"}
    synchronise(tree, set())

    assert list(tree.iterdir()) == []


@pytest.mark.parametrize(
    "action", [lambda tree: synchronise(tree, set()), lambda tree: withdraw(tree, [BOB])]
)
def test_a_link_in_the_place_of_the_tree_is_removed_and_its_target_left_alone(
    tree: Path, tmp_path: Path, action: object
) -> None:
    (outside(tmp_path) / "admins").mkdir()
    (tmp_path / "outside" / "admins" / BOB).touch()
    tree.symlink_to(tmp_path / "outside")
    assert drift(tree, set()).foreign == {"."}

    action(tree)  # type: ignore[operator]

    assert tree.is_dir()
    assert not tree.is_symlink()
    assert list(tree.iterdir()) == []
    assert (tmp_path / "outside" / "admins" / BOB).exists()


def test_no_tree_is_no_drift_when_nobody_is_wanted(tree: Path) -> None:
    assert not drift(tree, set())
    assert drift(tree, {("admins", ALICE)}).missing == {("admins", ALICE)}


def test_withdraw_takes_certificates_out_of_every_group(tree: Path) -> None:
    synchronise(tree, {("admins", ALICE), ("everyone", ALICE), ("everyone", BOB), ("staff", CAROL)})

    assert withdraw(tree, [ALICE, CAROL]) == 3

    assert listed(tree) == {f"everyone/{BOB}"}
    assert withdraw(tree, [ALICE, CAROL]) == 0


def test_withdraw_removes_links_that_lead_to_the_certificate(tree: Path, tmp_path: Path) -> None:
    folder = outside(tmp_path)
    synchronise(tree, {("admins", ALICE)})
    (tree / "staff").symlink_to(folder)
    (tree / "admins" / BOB).symlink_to(folder / BOB)

    withdraw(tree, [BOB])

    assert listed(tree) == {f"admins/{ALICE}"}
    assert (folder / BOB).exists()


@pytest.mark.parametrize("name", ["", "..", "../admins", ALICE.upper(), ALICE + "\n", "*", "a" * 63])
def test_withdraw_refuses_what_is_no_fingerprint_and_removes_nothing(tree: Path, name: str) -> None:
    synchronise(tree, {("admins", ALICE)})

    with pytest.raises(InputError):
        withdraw(tree, [ALICE, name])

    assert listed(tree) == {f"admins/{ALICE}"}


def test_a_mount_point_or_other_stubborn_entry_does_not_keep_the_others(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronise(tree, {("admins", ALICE), ("admins", BOB), ("staff", ALICE), ("staff", BOB)})
    unlink = os.unlink

    def stubborn(name: str, *, dir_fd: int) -> None:
        if name == ALICE:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", stubborn)

    with pytest.raises(StorageError, match="may let its holder in") as caught:
        withdraw(tree, [ALICE, BOB])
    assert "pivgate down" in caught.value.hint
    assert listed(tree) == {f"admins/{ALICE}", f"staff/{ALICE}"}

    with pytest.raises(StorageError):
        synchronise(tree, {("staff", CAROL)})
    assert not (tree / "staff" / CAROL).exists()


def test_a_place_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        synchronise(Path("/proc/self/access"), {("admins", ALICE)})
    with pytest.raises(StorageError):
        drift(tmp_path / ("x" * 300), set())


def test_a_hundred_thousand_entries(tree: Path) -> None:
    wanted = {("everyone", f"{number:064x}") for number in range(100_000)}
    gone = f"{77_777:064x}"

    synchronise(tree, wanted)
    assert not drift(tree, wanted)
    assert withdraw(tree, [gone]) == 1
    assert drift(tree, wanted).missing == {("everyone", gone)}
    synchronise(tree, wanted)
    assert not drift(tree, wanted)
