# SPDX-License-Identifier: Apache-2.0
"""Databases that we set up, judged by NSS's own programs: what is in them, and that undo leaves no trace."""

import sqlite3
from pathlib import Path

import pytest
from tests.interop.browser_setup.holder import (
    OPENSC,
    Holder,
    add_certificate,
    add_module,
    authority,
    modules,
    new_database,
    set_password,
    trusted,
)
from tests.unit.browser.trees import put, tree

pytestmark = pytest.mark.interop


def profile(tmp_path: Path) -> Path:
    """Make a profile that a Firefox has used."""
    folder = tmp_path / "profile"
    new_database(folder)
    put(folder / "prefs.js", 'user_pref("a", 1);\n', 0o600)
    return folder


def test_a_profile_gets_module_and_authority_and_undo_leaves_no_trace(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    before = tree(tmp_path)
    assert "set up" in holder.good("setup", "--profile", folder, "--authority", ca)
    assert "OpenSC smartcard framework" in modules(folder).replace("%20", " ")
    assert str(OPENSC) in modules(folder)
    [(nickname, trust)] = trusted(folder).items()
    assert nickname.startswith("Caddy Local Authority (pivgate ")
    assert trust == "C,,"
    assert "undone" in holder.good("undo", "--yes")
    assert tree(tmp_path) == before


def test_a_profile_without_a_database_has_none_again(holder: Holder, tmp_path: Path) -> None:
    folder, ca = tmp_path / "profile", authority(tmp_path)
    put(folder / "user.js", 'user_pref("a", 1);\n')
    before = tree(tmp_path)
    holder.good("setup", "--profile", folder, "--authority", ca)
    assert len(trusted(folder)) == 1
    assert f"configdir='sql:{folder}'" in (folder / "pkcs11.txt").read_text()
    holder.good("undo", "--yes")
    assert tree(tmp_path) == before


def test_chromium_s_database_is_made_and_goes_with_its_folders(holder: Holder, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    before = tree(tmp_path)
    printed = holder.good("setup", "--browser", "chromium", "--authority", ca)
    assert "sudo pivgate browser setup --system --browser chromium" in printed
    assert str(OPENSC) in modules(holder.nssdb)
    assert len(trusted(holder.nssdb)) == 1
    assert holder.nssdb.stat().st_mode & 0o777 == 0o700
    holder.good("undo", "--yes")
    assert tree(tmp_path) == before


def test_both_of_chromium_s_databases_are_set_up(holder: Holder, tmp_path: Path) -> None:
    new = holder.home / ".local" / "share" / "pki" / "nssdb"
    new_database(holder.nssdb)
    new_database(new)
    before = tree(tmp_path)
    holder.good("setup", "--browser", "chromium")
    assert all(str(OPENSC) in modules(folder) for folder in (holder.nssdb, new))
    holder.good("undo", "--yes")
    assert tree(tmp_path) == before


def test_a_dry_run_shows_each_file_and_changes_nothing(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    before = tree(tmp_path)
    printed = holder.good("setup", "--profile", folder, "--authority", ca, "--dry-run")
    assert tree(tmp_path) == before
    for name in ("cert9.db", "key4.db", "pkcs11.txt"):
        assert str(folder / name) in printed
    assert "trusted to certify web sites: Caddy Local Authority" in printed
    assert f"+library={OPENSC}" in printed
    holder.good("setup", "--profile", folder, "--authority", ca)
    after = tree(tmp_path)
    assert "would be undone" in holder.good("undo", "--dry-run")
    assert tree(tmp_path) == after


def test_a_second_setup_changes_nothing_and_a_second_authority_comes_to_the_first(
    holder: Holder, tmp_path: Path
) -> None:
    folder, one, two = profile(tmp_path), authority(tmp_path, "One"), authority(tmp_path, "Two")
    before = tree(folder)
    holder.good("setup", "--profile", folder, "--authority", one)
    record = holder.home / ".local/state/pivgate/browser/record.json"
    after, recorded = tree(folder), record.read_bytes()
    assert "nothing to do" in holder.good("setup", "--profile", folder, "--authority", one)
    assert (tree(folder), record.read_bytes()) == (after, recorded)
    holder.good("setup", "--profile", folder, "--authority", two)
    assert len(trusted(folder)) == 2
    assert modules(folder).count(str(OPENSC)) == 1
    holder.good("undo", "--yes")
    assert tree(folder) == before


def test_what_the_holder_added_since_stays(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    holder.good("setup", "--profile", folder, "--authority", ca)
    add_certificate(folder, "mine", authority(tmp_path, "Mine"))
    add_module(folder, "YKCS11", Path("/usr/lib/x86_64-linux-gnu/libykcs11.so"))
    printed = holder.good("undo", "--yes")
    assert "ours taken out" in printed
    assert trusted(folder) == {"mine": "C,,"}
    assert str(OPENSC) not in modules(folder)
    assert "libykcs11.so" in modules(folder)
    assert holder.good("undo", "--yes").startswith("Nothing is set up.\n")


def test_a_database_that_was_only_opened_counts_as_untouched(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    before = tree(folder)
    holder.good("setup", "--profile", folder, "--authority", ca)
    written = (folder / "cert9.db").read_bytes()
    with sqlite3.connect(folder / "cert9.db") as database:  # as NSS does for its temporary rows
        database.execute("CREATE TABLE x (y)")
        database.execute("DROP TABLE x")
    database.close()
    assert (folder / "cert9.db").read_bytes() != written
    assert "undone" in holder.good("undo", "--yes")
    assert tree(folder) == before


def test_a_module_and_an_authority_that_were_there_stay(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    add_module(folder, "OpenSC of mine", OPENSC)
    add_certificate(folder, "mine", ca)
    before = tree(tmp_path)
    assert "nothing to do" in holder.good("setup", "--profile", folder, "--authority", ca)
    assert "Nothing is set up" in holder.good("undo", "--yes")
    assert tree(tmp_path) == before


def test_a_primary_password_keeps_the_authority_out_and_everything_as_it_was(
    holder: Holder, tmp_path: Path
) -> None:
    folder, ca = tmp_path / "profile", authority(tmp_path)
    new_database(folder, password="correct horse")
    before = tree(folder)
    done = holder.pivgate("setup", "--profile", folder, "--authority", ca)
    assert done.returncode == 4
    assert "has a primary password" in done.stderr
    assert "What to do: " in done.stderr
    assert tree(folder) == before
    holder.good("setup", "--profile", folder)
    assert str(OPENSC) in modules(folder)


def test_a_primary_password_set_since_the_setup_stays_and_ours_goes(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    holder.good("setup", "--profile", folder, "--authority", ca)
    set_password(folder, "correct horse")
    assert "ours taken out" in holder.good("undo", "--yes")
    assert trusted(folder) == {}
    assert str(OPENSC) not in modules(folder)
    done = holder.pivgate("setup", "--profile", folder, "--authority", ca)
    assert done.returncode == 4, "the password is still there"


def test_one_profile_that_fails_keeps_no_other_from_its_turn(holder: Holder, tmp_path: Path) -> None:
    root = holder.home / ".mozilla" / "firefox"
    new_database(root / "locked", password="correct horse")
    new_database(root / "open")
    put(root / "profiles.ini", "[Profile0]\nName=a\nPath=locked\n[Profile1]\nName=b\nPath=open\n")
    done = holder.pivgate("setup", "--browser", "firefox", "--authority", authority(tmp_path))
    assert done.returncode == 4
    assert len(trusted(root / "open")) == 1


@pytest.mark.parametrize("left", ["cert9.db-journal", "key4.db-wal"])
def test_a_database_in_the_middle_of_a_write_is_left_alone(holder: Holder, tmp_path: Path, left: str) -> None:
    folder = profile(tmp_path)
    put(folder / left, b"journal")
    before = tree(folder)
    done = holder.pivgate("setup", "--profile", folder)
    assert done.returncode == 2
    assert "left in the middle of a write" in done.stderr
    assert tree(folder) == before


def test_without_nss_tools_a_module_is_added_and_what_needs_them_is_named(
    holder: Holder, tmp_path: Path
) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    before = tree(folder)
    bare = ("env", "PATH=/nonexistent")
    done = holder.pivgate("setup", "--profile", folder, "--authority", ca, under=bare)
    assert done.returncode == 2
    assert "apt install libnss3-tools" in done.stderr
    assert tree(folder) == before
    assert holder.pivgate("setup", "--profile", folder, under=bare).returncode == 0
    assert str(OPENSC) in modules(folder)
    assert holder.pivgate("undo", "--yes", under=bare).returncode == 0
    assert tree(folder) == before


def test_a_damaged_database_is_named(holder: Holder, tmp_path: Path) -> None:
    folder, ca = profile(tmp_path), authority(tmp_path)
    (folder / "cert9.db").write_bytes(b"not a database at all, but long enough to be taken for one" * 100)
    before = tree(folder)
    done = holder.pivgate("setup", "--profile", folder, "--authority", ca)
    assert done.returncode == 8
    assert "cannot be read" in done.stderr
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("what", "words"),
    [("site", "is not an authority's"), ("text", "holds no certificate"), ("nothing", "Cannot read")],
)
def test_an_authority_that_is_none_is_refused(holder: Holder, tmp_path: Path, what: str, words: str) -> None:
    folder = profile(tmp_path)
    files = {
        "site": authority(tmp_path, "site", is_authority=False),
        "text": put(tmp_path / "text", "hello"),
        "nothing": tmp_path / "nothing",
    }
    before = tree(tmp_path)
    done = holder.pivgate("setup", "--profile", folder, "--authority", files[what])
    assert done.returncode in (2, 8)
    assert words in done.stderr
    assert "What to do: " in done.stderr
    assert tree(tmp_path) == before
