# SPDX-License-Identifier: Apache-2.0
"""What `up --systemd` does to a machine, `down --systemd` takes back; killed at any step, both go on."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import refused
from tests.interop.systemd.booted import Booted, booted

from pivgate.settings import SERVICE
from pivgate.systemd.units import TIMER, USER

pytestmark = pytest.mark.interop

# What changes by itself.
ALIVE = {"run", "caddy", "registry.sqlite", "audit.head", "audit.head.lock", "lock", "reserve"}
STEPS = ("check_caddy", "share", "start")
UNDOING = ("take_back", "read_units_anew")


@pytest.fixture(scope="module")
def machine() -> Iterator[Booted]:
    with booted() as there:
        there.init()
        there.good("site", "add", "a.localhost", "127.0.0.1:9")
        there.good("up")
        yield there


def seen(machine: Booted) -> dict[str, tuple[int, int, int]]:
    """Return owner, group and mode of all that pivgate may have touched."""
    found = {}
    for top in (
        machine.there(Path("/etc/systemd")),
        machine.there(Path("/etc/sysusers.d")),
        machine.home.root,
    ):
        for folder, folders, names in os.walk(top):
            if Path(folder) == machine.home.root:
                folders[:] = sorted(set(folders) - ALIVE)
                names = [name for name in names if name not in ALIVE]
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                there = path.lstat()
                found[str(path)] = (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode))
    return found


def owners(folder: Path) -> set[int]:
    return {Path(above, name).lstat().st_uid for above, _, names in os.walk(folder) for name in (*names, ".")}


def test_it_can_be_killed_anywhere_and_undone(machine: Booted) -> None:
    before = seen(machine)
    serving = machine.caddys()
    for step in STEPS:
        killed = machine.run("up", "--systemd", environment={"KILL_AT_FUNCTION": step})
        assert killed.status == -signal.SIGKILL
    machine.good("up", "--systemd")
    assert machine.caddys() != serving
    assert machine.shown("ActiveState", "UnitFileState") == ["active", "enabled"]
    assert machine.call("systemctl", "is-enabled", TIMER) == "enabled"
    assert owners(machine.home.run) == {int(machine.call("id", "-u", USER)), 0}
    assert seen(machine) != before

    for step in UNDOING:
        killed = machine.run("down", "--systemd", environment={"KILL_AT_FUNCTION": step})
        assert killed.status == -signal.SIGKILL
    machine.good("down", "--systemd")

    assert seen(machine) == before
    assert owners(machine.home.run) == owners(machine.home.caddy_storage) == {0}
    assert machine.caddys() == []
    assert machine.shown("LoadState") == ["not-found"]
    assert "no service" in machine.good("down", "--systemd").out


def test_a_caddy_that_its_user_cannot_run_is_refused(machine: Booted) -> None:
    closed = machine.caddy.parent.with_name("closed")
    machine.call("install", "-d", "-m", "700", closed)
    machine.call("ln", machine.caddy, closed / "caddy")

    told = machine.run("up", "--systemd", environment={"PIVGATE_CADDY": f"{closed}/caddy"})

    refused(told, 2, f"{USER} cannot run {closed}/caddy", "install -m 755")
    assert not machine.there(Path("/etc/systemd/system", SERVICE)).exists()
