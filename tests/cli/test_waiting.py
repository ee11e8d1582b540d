# SPDX-License-Identifier: Apache-2.0
"""Nobody who is asked a question keeps anybody else from reporting a key as lost."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import ALICE, PIN, PROGRAM, Machine

BOB = ALICE + 1


def waiting_at(fifo: Path, machine: Machine, *arguments: str | Path) -> "subprocess.Popen[str]":
    """Start a command that asks a FIFO for a secret, and return when it stands there."""
    command = [sys.executable, PROGRAM, machine.port, "--home", machine.home.root, *arguments]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    opened = threading.Event()

    def watch() -> None:
        # Opening the other end returns when the command has opened this one.
        with fifo.open("w") as asked:
            opened.set()
            answered.wait()
            asked.write(PIN)

    answered = process.answered = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=watch).start()
    assert opened.wait(60)
    return process


@pytest.fixture
def fifo(machine: Machine) -> Path:
    path = machine.root / "fifo"
    os.mkfifo(path)
    return path


def test_a_key_is_reported_lost_while_another_is_being_provisioned(provisioned: Machine, fifo: Path) -> None:
    provisioned.good("user", "add", "bob")
    provisioned.pull_out(ALICE)
    provisioned.plug_in(BOB)
    asked = waiting_at(
        fifo,
        provisioned,
        *("key", "provision", "--user", "bob", "--algorithm", "p256", "--pin-file", fifo),
        *("--puk-file", provisioned.secrets["puk"], "--passphrase-file", provisioned.secrets["passphrase"]),
    )
    try:
        provisioned.good("key", "lost", str(ALICE))
        assert not list(provisioned.home.access.glob("*/*"))
    finally:
        asked.answered.set()  # type: ignore[attr-defined]
    out, err = asked.communicate(timeout=60)
    assert asked.returncode == 0, out + err
    assert len(list(provisioned.home.access.glob("*/*"))) == 1
    assert provisioned.good("key", "show", str(ALICE), "--json").json()["state"] == "lost"
    provisioned.good("audit", "verify")


def test_a_user_removed_meanwhile_gets_no_key(founded: Machine, fifo: Path) -> None:
    founded.plug_in(BOB)
    founded.good("user", "add", "bob")
    asked = waiting_at(
        fifo,
        founded,
        *("key", "provision", "--user", "bob", "--algorithm", "p256", "--pin-file", fifo),
        *("--puk-file", founded.secrets["puk"], "--passphrase-file", founded.secrets["passphrase"]),
    )
    try:
        founded.good("user", "remove", "bob", "--yes")
    finally:
        asked.answered.set()  # type: ignore[attr-defined]
    _, err = asked.communicate(timeout=60)
    assert asked.returncode in (1, 3), err
    assert "Traceback" not in err
    assert not list(founded.home.access.glob("*/*"))
