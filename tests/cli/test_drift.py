# SPDX-License-Identifier: Apache-2.0
"""What happens to the gate when something else than pivgate changes its home, or the disk fails."""

import json
from pathlib import Path

import pytest

from pivgate.errors import GateError
from tests.cli.conftest import ALICE, Machine, ask, refused

# Runs a command where a folder is read-only; the machine outside does not notice.
READ_ONLY = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"',
)


def entry(gate: Machine) -> Path:
    """Return alice's entry in the access tree."""
    (found,) = gate.home.access.glob("everyone/*")
    return found


def test_an_entry_put_back_by_hand_is_found_removed_and_recorded(gate: Machine) -> None:
    alice = entry(gate)
    gate.good("key", "lost", str(ALICE), "--no-sever")
    assert ask(gate) == 403

    alice.parent.mkdir(exist_ok=True)
    alice.touch()
    assert ask(gate) == 200, "the tree is the decision: whoever can write it can let anybody in"

    status = gate.run("status")
    assert status.status == 6
    assert "1 too many" in status.out
    assert gate.run("status", "--json").json()["drift"]["extra"] == [f"everyone/{alice.name}"]
    assert "Access tree mended: 0 added, 1 removed" in gate.good("up").out
    assert ask(gate) == 403
    (event,) = [one for one in gate.good("audit", "log", "--json").json() if one["action"] == "gate.mended"]
    assert json.loads(event["detail"]) == {"added": "", "removed": f"everyone/{alice.name}"}
    gate.good("audit", "verify")
    assert gate.good("status", "--json").json()["sound"] is True


def test_an_entry_put_back_by_hand_is_recorded_by_whatever_command_comes_upon_it(gate: Machine) -> None:
    """Else the next command of somebody who knows of nothing would remove the only trace of it."""
    alice = entry(gate)
    gate.good("key", "lost", str(ALICE), "--no-sever")
    alice.parent.mkdir(exist_ok=True)
    alice.touch()
    assert ask(gate) == 200

    gate.good("group", "add", "staff")
    gate.good("group", "join", "staff", "alice")

    assert ask(gate) == 403
    (event,) = [one for one in gate.good("audit", "log", "--json").json() if one["action"] == "gate.mended"]
    assert json.loads(event["detail"]) == {"added": "", "removed": f"everyone/{alice.name}"}


def test_an_entry_taken_away_by_hand_is_put_back_and_recorded(gate: Machine) -> None:
    alice = entry(gate)
    alice.unlink()
    assert ask(gate) == 403

    gate.good("up")

    assert ask(gate) == 200
    (event,) = [one for one in gate.good("audit", "log", "--json").json() if one["action"] == "gate.mended"]
    assert json.loads(event["detail"]) == {"added": f"everyone/{alice.name}", "removed": ""}


def test_an_up_that_mends_nothing_records_no_mending(gate: Machine) -> None:
    gate.good("up")

    actions = [one["action"] for one in gate.good("audit", "log", "--json").json()]
    assert actions.count("gate.up") == 2
    assert "gate.mended" not in actions


def test_a_tree_that_is_a_link_to_another_is_not_followed_by_up(gate: Machine) -> None:
    """Somebody leads the gate to a tree of their own."""
    gate.good("key", "lost", str(ALICE), "--no-sever")
    other = gate.root / "other"
    fingerprint = gate.good("key", "show", str(ALICE), "--json").json()["certificates"][0]["fingerprint"]
    (other / "everyone").mkdir(parents=True)
    (other / "everyone" / fingerprint).touch()
    gate.home.access.rename(gate.root / "aside")
    gate.home.access.symlink_to(other)
    assert ask(gate) == 200

    assert gate.run("status").status == 6
    gate.good("up")

    assert ask(gate) == 403
    assert (other / "everyone" / fingerprint).exists()


def test_on_a_read_only_tree_the_last_decision_holds_and_it_is_said(gate: Machine) -> None:
    failed = gate.run("key", "lost", str(ALICE), under=(*READ_ONLY, str(gate.home.access)))

    refused(failed, 8, "Read-only file system", "pivgate down")
    assert ask(gate) == 200
    assert gate.good("key", "list", "--json").json()["registered"][0]["state"] == "active"
    gate.good("key", "lost", str(ALICE))
    assert ask(gate) == 403


def test_on_a_read_only_tree_nobody_new_gets_in(gate: Machine) -> None:
    gate.good("key", "lost", str(ALICE), "--no-sever")

    failed = gate.run("key", "found", str(ALICE), "--yes", under=(*READ_ONLY, str(gate.home.access)))

    refused(failed, 8, "Read-only file system")
    assert ask(gate) == 403
    gate.good("up")
    assert ask(gate) == 200


@pytest.mark.parametrize("damage", ["garbage", "gone"])
def test_without_its_registry_the_gate_keeps_its_decision_and_can_be_closed(
    gate: Machine, damage: str
) -> None:
    registry = gate.home.registry
    registry.rename(gate.root / "registry")
    if damage == "garbage":
        registry.write_bytes(b"no registry " * 1000)
    before = entry(gate)

    for command in (("up",), ("key", "lost", str(ALICE)), ("site", "add", "b.localhost", "127.0.0.1:1")):
        failed = gate.run(*command)
        assert failed.status in (3, 8), failed
    assert ask(gate) == 200
    assert entry(gate) == before

    closed = gate.good("down")

    assert "The gate is down" in closed.out
    assert "could not be recorded" in closed.err
    with pytest.raises(GateError):
        ask(gate)
