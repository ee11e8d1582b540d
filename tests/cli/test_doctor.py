# SPDX-License-Identifier: Apache-2.0
"""``pivgate doctor`` as a person runs it: a sound machine, then faults, in words and in JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.card_table import new_key
from tests.cli.card_machine import CardMachine, card_machine
from tests.cli.conftest import ALICE, Machine
from tests.interop.gate.standing_gate import upstream

pytestmark = pytest.mark.interop

SECOND = ALICE + 1


@pytest.fixture(scope="module")
def sound() -> Iterator[CardMachine]:
    """A gate that runs, alice's two keys, and her browsers set up."""
    with upstream() as port, card_machine(new_key(serial=ALICE), new_key(serial=SECOND)) as machine:
        machine.init()
        machine.good("user", "add", "alice")
        for serial in (ALICE, SECOND):
            done = machine.provision("alice", "--algorithm", "p256", "--serial", str(serial))
            assert done.status == 0, done
        machine.good("site", "add", "localhost", f"127.0.0.1:{port}")
        machine.good("up")
        machine.table.environment["HOME"] = str(machine.root)
        machine.good("browser", "setup")
        yield machine


def test_a_sound_machine_has_nothing(sound: CardMachine) -> None:
    done = sound.run("doctor", "--json")
    report = json.loads(done.out)
    found = [finding["code"] for area in report["areas"] for finding in area["findings"]]
    # Whether this machine's clock is kept right is not the test's to say.
    assert [code for code in found if code != "clock-not-synchronised"] == []
    assert (done.status, report["sound"]) == (0, True)
    assert [area["area"] for area in report["areas"]] == [
        *("home", "machine", "registry", "authority", "people"),
        *("sites", "gate", "upstreams", "card", "browsers"),
    ]
    assert all(area["good"] for area in report["areas"])


def test_a_fault_is_told_with_cause_remedy_and_page(sound: CardMachine) -> None:
    sound.home.authority_key.chmod(0o644)
    try:
        done = sound.run("doctor", "home", "registry")
    finally:
        sound.home.authority_key.chmod(0o600)
    assert done.status == 1
    first, home, registry, *_ = done.out.splitlines()
    assert first.split() == ["area", "good", "errors", "warnings", "not", "seen"]
    assert home.split() == ["home", "6", "1", "0", "0"]
    assert registry.split() == ["registry", "3", "0", "0", "0"]
    assert f"ERROR secret-open-to-others: {sound.home.authority_key}" in done.out
    assert f"What to do: `chmod 600 {sound.home.authority_key}`" in done.out
    assert "More: docs/reference/doctor.md#secret-open-to-others" in done.out
    assert done.err == ""


def test_a_warning_does_not_count(sound: CardMachine) -> None:
    with sound.home.caddyfile.open("a") as file:
        file.write("# a remark\n")
    done = sound.run("doctor", "gate")
    assert done.status == 0
    assert "WARNING gate-pending: " in done.out
    sound.good("up")
    assert "Nothing is wrong." in sound.good("doctor", "gate").out


def test_what_is_no_area_is_refused(sound: CardMachine) -> None:
    done = sound.run("doctor", "everything")
    assert done.status == 2
    assert "upstreams" in done.err


def test_without_a_home_keys_can_be_looked_at(machine: Machine) -> None:
    done = machine.run("doctor")
    assert done.status == 1
    assert "ERROR home-missing: " in done.out
    assert "pivgate doctor card browsers" in done.out
    words = [sys.executable, "-m", "pivgate", "--home", machine.home.root, "doctor", "browsers", "--json"]
    environment = {**os.environ, "HOME": str(machine.root)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert [area["area"] for area in json.loads(done.stdout)["areas"]] == ["browsers"]


def test_nothing_is_left_behind(sound: CardMachine) -> None:
    def names() -> list[str]:
        return sorted(str(path) for path in Path(sound.root).rglob("*"))

    before = names()
    sound.run("doctor")
    assert names() == before
