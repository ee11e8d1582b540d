# SPDX-License-Identifier: Apache-2.0
"""A disk that is really full, or read-only, under a running gate: a lost key is lost all the same."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pivgate.enrolment.reserve import SIZE
from pivgate.errors import GateError
from pivgate.gate.process import stop
from pivgate.settings import Home
from tests.cli.conftest import ALICE, SITE, Machine, ask, refused
from tests.cli.test_drift import READ_ONLY
from tests.interop.gate.streams import endless


@pytest.fixture(scope="module")
def gate() -> Iterator[Machine]:
    """A gate whose home is on a small disk of its own, with alice's key; each test leaves it as it was."""
    root = Path(tempfile.mkdtemp(prefix="pg"))
    disk = root / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "pivgate-test", disk], check=True)
    try:
        machine = Machine(root)
        machine.home = Home(disk / "home")
        with endless() as upstream:
            machine.init()
            machine.good("user", "add", "alice")
            machine.plug_in(ALICE)
            assert machine.provision("alice", "--algorithm", "p256").status == 0
            machine.good("site", "add", SITE, upstream)
            machine.good("up")
            yield machine
        stop(machine.home, grace=0.5)
    finally:
        subprocess.run(["umount", disk], check=True)
        shutil.rmtree(root)


@contextmanager
def full(gate: Machine) -> Iterator[None]:
    """Fill the disk to its last byte; entered once more, fill what was left free meanwhile."""
    with tempfile.NamedTemporaryFile(dir=gate.home.root.parent, buffering=0) as ballast:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while True:
                    ballast.write(bytes(size))
        yield


def state(gate: Machine) -> str:
    (key,) = gate.good("key", "list", "--json").json()["registered"]
    return str(key["state"])


def test_a_lost_key_is_lost_on_a_full_disk_as_often_as_needed(gate: Machine) -> None:
    assert gate.home.reserve.stat().st_size == SIZE
    with full(gate):
        done = gate.good("key", "lost", str(ALICE))
        assert "All connections ended" in done.out
        assert "disk is full" in done.err
        assert ask(gate) == 403
        with full(gate):
            assert state(gate) == "lost"
            for command in (("key", "found", str(ALICE), "--yes"), ("up",), ("group", "add", "staff")):
                refused(gate.run(*command), 8, "disk is full", "Free some space")
            gate.good("key", "lost", str(ALICE))
            assert ask(gate) == 403

    gate.good("key", "found", str(ALICE), "--yes")

    assert gate.home.reserve.stat().st_size == SIZE
    gate.good("audit", "verify")
    assert ask(gate) == 200


def test_without_the_reserve_the_gate_refuses_it_all_the_same_and_it_is_said(gate: Machine) -> None:
    gate.home.reserve.unlink()
    with full(gate):
        failed = gate.run("key", "lost", str(ALICE), "--no-sever")
        refused(failed, 8, "refuses them already", "not recorded", "full", "pivgate down", "pivgate up")
        assert ask(gate) == 403
        assert state(gate) == "active"

    gate.good("key", "lost", str(ALICE), "--no-sever")

    assert (ask(gate), state(gate)) == (403, "lost")
    gate.good("key", "found", str(ALICE), "--yes")
    assert ask(gate) == 200


def test_on_a_read_only_disk_the_gate_keeps_its_decision_and_can_be_looked_at_and_closed(
    gate: Machine,
) -> None:
    under = (*READ_ONLY, str(gate.home.root))

    assert "up, process" in gate.run("status", under=under).out
    for command in (("key", "lost", str(ALICE)), ("key", "revoke", "alice", "--yes")):
        refused(gate.run(*command, under=under), 8, "Read-only", "pivgate down")
    refused(gate.run("up", under=under), 8, "Read-only")
    assert ask(gate) == 200

    closed = gate.run("down", under=under)

    assert (closed.status, "The gate is down" in closed.out) == (0, True)
    assert "could not be recorded" in closed.err
    with pytest.raises(GateError):
        ask(gate)
    gate.good("up")
    assert ask(gate) == 200
