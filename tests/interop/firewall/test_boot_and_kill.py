# SPDX-License-Identifier: Apache-2.0
"""After a reboot, and after a command that was killed between two steps."""

import shlex
import sys
from pathlib import Path

import pytest
from tests.interop.firewall.conftest import ALL, CLOSED, Street
from tests.interop.firewall.lab import Box, run

pytestmark = pytest.mark.interop

CHILD = Path(__file__).with_name("dying.py")
UNIT = "pivgate-firewall.service"


def files(box: Box) -> dict[str, str]:
    """Return every file and folder under /etc of a machine that could be ours, and all of systemd's."""
    etc = box.root / "etc"
    here = [*etc.glob("*pivgate*"), *etc.glob("*pivgate*/**/*"), *(etc / "systemd").rglob("*")]
    here += [*etc.glob("*pivgate*/.*")]
    return {
        str(path.relative_to(etc)): path.readlink().as_posix()
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else "folder"
        for path in here
    }


def boot(box: Box) -> None:
    """Forget every rule, as a reboot does, then do what systemd finds in the unit that is enabled."""
    box.run("nft", "flush", "ruleset")
    wanted = box.root / "etc" / "systemd" / "system" / "sysinit.target.wants" / UNIT
    if not wanted.is_symlink():
        return
    unit = box.root / wanted.readlink().relative_to("/")
    (start,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    box.run(*shlex.split(start.removeprefix("ExecStart=")))


def test_closed_after_a_reboot_and_open_after_undo_and_a_reboot(
    street: Street, gates: tuple[str, ...]
) -> None:
    before = files(street.upstream)
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    applied = street.upstream.ruleset()
    boot(street.upstream)
    assert street.seen() == CLOSED
    assert street.upstream.ruleset() == applied
    street.upstream.good("firewall", "undo", "--yes")
    boot(street.upstream)
    assert street.seen() == ALL
    assert files(street.upstream) == before


def test_without_systemd_it_says_what_to_run_at_boot(street: Street, gates: tuple[str, ...]) -> None:
    (street.upstream.root / "etc" / "systemd" / "system").rename(street.upstream.root / "elsewhere")
    said = street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert "nft -f /etc/pivgate-firewall/rules.nft" in said
    assert not (street.upstream.root / "etc" / "systemd" / "system").exists()
    street.upstream.good("firewall", "undo", "--yes")
    assert not (street.upstream.root / "etc" / "pivgate-firewall").exists()


APPLYING = [
    ("check", "return", 1),
    ("make_public_directory", "return", 1),
    ("remove_file", "return", 1),
    ("write_atomic", "call", 1),
    ("write_atomic", "return", 1),
    ("make_public_directory", "return", 2),
    ("write_atomic", "return", 2),
    ("make_public_directory", "return", 3),
    ("write_atomic", "return", 3),
    ("enable", "call", 1),
    ("enable", "return", 1),
    ("load", "return", 1),
    ("write_atomic", "call", 4),
    ("write_atomic", "return", 4),
]
UNDOING = [
    ("remove_file", "return", 1),
    ("remove_file", "return", 2),
    ("remove_file", "return", 3),
    ("load", "call", 1),
    ("load", "return", 1),
    ("remove_file", "return", 4),
    ("remove_file", "return", 5),
]


# Within a write, after its temporary file was made: for the rules, the unit, the drop-in, and the record.
WRITING = [("write_atomic", "c_call", number) for number in (4, 11, 18, 24)]


def die_at(box: Box, place: tuple[str, str, int], *arguments: str) -> None:
    """Run pivgate on a machine until it dies at a place; it must get there."""
    function, moment, number = place
    words = (sys.executable, CHILD, function, moment, str(number), *arguments)
    done = run(*box.words(*words), good=False)
    assert done.returncode == -9, done


@pytest.mark.parametrize("place", APPLYING + WRITING, ids=lambda place: "-".join(map(str, place)))
@pytest.mark.parametrize("then", ["apply", "undo"])
def test_killed_while_applying(upstream: Box, place: tuple[str, str, int], then: str) -> None:
    before, rules = files(upstream), upstream.ruleset()
    words = ("firewall", "apply", "--port", "8000", "--gate", "10.77.0.2")
    die_at(upstream, place, *words)
    if then == "undo":
        upstream.good("firewall", "undo", "--yes")
    else:
        upstream.good(*words)
        boot(upstream)
        assert "th dport @ports drop" in upstream.ruleset()
        upstream.good("firewall", "undo", "--yes")
    assert (files(upstream), upstream.ruleset()) == (before, rules)


@pytest.mark.parametrize("place", UNDOING, ids=lambda place: "-".join(map(str, place)))
@pytest.mark.parametrize("then", ["apply", "undo"])
def test_killed_while_undoing(upstream: Box, place: tuple[str, str, int], then: str) -> None:
    before, rules = files(upstream), upstream.ruleset()
    words = ("firewall", "apply", "--port", "8000", "--gate", "10.77.0.2")
    upstream.good(*words)
    applied = files(upstream), upstream.ruleset()
    die_at(upstream, place, "firewall", "undo", "--yes")
    if then == "undo":
        upstream.good("firewall", "undo", "--yes")
        assert (files(upstream), upstream.ruleset()) == (before, rules)
    else:
        upstream.good(*words)
        assert (files(upstream), upstream.ruleset()) == applied


def test_killed_while_replacing_keeps_the_way_closed(street: Street, gates: tuple[str, ...]) -> None:
    words = ("firewall", "apply", "--port", "8000", *gates)
    street.upstream.good(*words)
    for place in APPLYING[1::3]:
        die_at(street.upstream, place, *words, "--port", "8001")
        assert street.seen() == CLOSED
        boot(street.upstream)
        assert street.seen() == CLOSED


def test_what_a_write_left_is_swept_away(upstream: Box) -> None:
    words = ("firewall", "apply", "--port", "8000", "--gate", "10.77.0.2")
    upstream.good(*words)
    applied = files(upstream)
    left = set()
    for place in WRITING:
        die_at(upstream, place, *words)
        left |= {name.rpartition(".")[0] for name in files(upstream) if "/." in name} - set(applied)
        upstream.good(*words)
        assert files(upstream) == applied
    assert len(left) >= 3


@pytest.mark.parametrize("place", [("write_atomic", "return", 1), ("load", "return", 1)])
def test_what_was_begun_and_not_ended_does_not_count_as_closed(
    upstream: Box, place: tuple[str, str, int]
) -> None:
    upstream.serve(8000)
    words = ("firewall", "apply", "--port", "8000", "--gate", "10.77.0.2")
    upstream.good(*words)
    upstream.good("firewall", "check", "127.0.0.1:8000")
    die_at(upstream, place, *words, "--port", "8001")
    assert upstream.pivgate("firewall", "check", "127.0.0.1:8000").returncode == 1
    upstream.good(*words)
    upstream.good("firewall", "check", "127.0.0.1:8000")
