# SPDX-License-Identifier: Apache-2.0
"""Killed between what it did and the event that tells of it: the next command writes that event, once."""

import json
import signal

from tests.cli.conftest import ALICE, Machine, ask

OTHER, UPSTREAM = "b.localhost", "127.0.0.1:9"


def log(machine: Machine, noun: str) -> list[str]:
    """Return the events about a noun, as action and subject."""
    events = machine.good("audit", "log", "--json").json()
    machine.good("audit", "verify")
    return [f"{one['action']} {one['subject']}" for one in events if one["action"].startswith(f"{noun}.")]


def killed(machine: Machine, *command: str, at: str = "append_event") -> None:
    assert machine.run(*command, environment={"KILL_AT_FUNCTION": at}).status == -signal.SIGKILL


def test_of_sites(founded: Machine) -> None:
    gate = founded
    told: list[str] = []
    adding = ("site", "add", OTHER, UPSTREAM)
    killed(gate, *adding)
    assert log(gate, "site") == told

    gate.good("up")
    gate.good("up")
    told += [f"site.add {OTHER}"]
    assert log(gate, "site") == told

    killed(gate, "site", "remove", OTHER, "--yes")
    assert log(gate, "site") == told
    # As it was before: told all the same.
    gate.good(*adding)
    told += [f"site.remove {OTHER}", f"site.add {OTHER}"]
    assert log(gate, "site") == told

    # Killed when the Caddyfile has it and nothing serves it; then it is taken back by hand.
    before = gate.home.caddyfile.read_text()
    killed(gate, "site", "add", "c.localhost", UPSTREAM, at="put_into_force")
    assert "c.localhost" in gate.home.caddyfile.read_text()
    gate.home.caddyfile.write_text(before)
    gate.good("up")
    assert log(gate, "site") == told

    # What is written by hand is told as well, however it is spelled.
    address = f"HTTPS://C.localhost:{gate.https_port}"
    block = f"import pivgate everyone internal {{\n\t\treverse_proxy {UPSTREAM}\n\t}}\n"
    gate.home.caddyfile.write_text(f"{before}\n{address} {{\n\t{block}}}\n")
    gate.good("up")
    gate.good("up")
    assert log(gate, "site") == [*told, f"site.add {address}"]
    (event,) = [one for one in gate.good("audit", "log", "--json").json() if one["subject"] == address]
    assert json.loads(event["detail"]) == {"upstream": UPSTREAM, "allow": "everyone"}


def test_of_an_upstreams_certificates(founded: Machine) -> None:
    gate, adding = founded, ("site", "add", OTHER, UPSTREAM, "--upstream-mtls")
    killed(gate, *adding)
    assert log(gate, "upstream") == []
    gate.good("site", "add", "c.localhost", UPSTREAM)
    told = [f"upstream.issue {OTHER}"] * 2
    assert log(gate, "upstream") == told

    killed(gate, "site", "remove", OTHER, "--yes")
    gate.good("site", "remove", "c.localhost", "--yes")
    told += [f"upstream.remove {OTHER}"]
    assert log(gate, "upstream") == told

    # Never served and not in the Caddyfile: its certificates are deleted, and no event tells of them.
    killed(gate, *adding, at="apply_edit")
    gate.good(*adding)
    assert log(gate, "upstream") == told + [f"upstream.issue {OTHER}"] * 2


def test_of_a_severing(gate: Machine) -> None:
    told = f"gate.sever {gate.home.caddyfile}"
    killed(gate, "key", "lost", str(ALICE))
    assert gate.good("status", "--json").json()["severing"] is False
    assert told not in log(gate, "gate")
    gate.good("down")
    assert log(gate, "gate")[-2:] == [told, f"gate.down {gate.home.caddyfile}"]
    gate.good("up")
    assert log(gate, "gate").count(told) == 1

    gate.good("key", "found", str(ALICE), "--yes")
    killed(gate, "key", "lost", str(ALICE), at="all_told")
    assert log(gate, "gate").count(told) == 2
    gate.good("user", "remove", "alice", "--yes")
    assert log(gate, "gate").count(told) == 2
    assert ask(gate) == 403
