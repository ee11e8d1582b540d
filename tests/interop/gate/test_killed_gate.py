# SPDX-License-Identifier: Apache-2.0
"""pivgate killed before each step of ``up``, ``site add``, ``site remove`` and severing."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.interop.gate.conftest import Place, made_place
from tests.interop.gate.pki import Client
from tests.interop.gate.streams import SITE, endless

from pivgate.enrolment import reserve
from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.registry.states import KeyState
from pivgate.registry.store import Registry

pytestmark = pytest.mark.interop

CHILD = Path(__file__).with_name("killed_gate.py")
Seen = dict[str, Any]


def build(place: Place, people: dict[str, Client]) -> None:
    """Bob is let in; alice's key is lost."""
    who: dict[str, Any] = {"actor": "test", "now": datetime.now(UTC)}
    with Registry.create(place.home.registry, place.home.audit_head) as registry:
        registry.add_group("admins", **who)
        for serial, (user, client) in enumerate(people.items(), start=31000001):
            registry.add_user(user, **who)
            registry.register_key(serial, model="m", firmware="5.7.4", form_factor="f", user=user, **who)
            der = client.certificate.public_bytes(Encoding.DER)
            registry.activate_certificate(
                registry.record_certificate(der, serial, "client", **who).fingerprint, **who
            )
            registry.add_member("admins", user, **who)
        registry.set_key_state(31000001, KeyState.LOST, **who)
        bring_tree_to_registry(place.home, registry, **who)
    # Else the first command makes it, and the next one takes a shorter way.
    reserve.keep(place.home)


def found(tmp_path: Path, scenario: str) -> list[Seen]:
    """Return what came of it, killed before each step."""
    with made_place(tmp_path) as place, endless() as upstream:
        people = {name: place.authority.client(name) for name in ("alice", "bob")}
        place.write(SITE.format(upstream=upstream))
        build(place, people)
        job = {
            "home": str(place.home.root),
            "port": place.port,
            "upstream": upstream,
            "people": {name: (str(one.pem), str(one.key)) for name, one in people.items()},
            "entry": str(place.home.access / "admins" / people["alice"].fingerprint),
            "scenario": scenario,
        }
        done = subprocess.run(
            [sys.executable, CHILD, json.dumps(job)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))


def check(seen: Seen) -> None:
    """Check what holds wherever it was killed, and after any command that follows."""
    killed, after = seen["killed"], seen["next"]
    for each in (killed, after):
        # Alice's key is lost; where it is the withdrawal that was killed, she may be in until then.
        assert set(each["who"]) <= ({"bob"} if each["withdrawn"] else {"alice", "bob"}), seen
        assert not each["listening"] or "a.test/bob" in each["open"], seen
        if each["status"]["proved"]:
            assert {way for way in each["open"] if way.endswith("/bob")} == ways(each["sites"]), seen
        if each["status"]["sound"] and not each["status"]["pending"]:
            assert each["sites"] == each["caddyfile"], seen
    assert (seen["exit"], after["caddys"], after["leftovers"]) == (0, 1, []), seen
    assert after["status"]["sound"], seen
    assert not after["status"]["pending"], seen
    assert set(after["open"]) == ways(after["caddyfile"]), seen


def ways(sites: list[str]) -> set[str]:
    """Return who gets in where those are the sites."""
    return {f"{address}/bob" for address in sites}


def test_killed_while_starting(tmp_path: Path) -> None:
    steps = found(tmp_path, "start")
    for seen in steps:
        check(seen)
        assert seen["killed"]["caddys"] <= 1, seen
        assert seen["killed"]["withdrawn"], seen
        assert seen["killed"]["status"]["running"] is bool(seen["killed"]["caddys"])
    # The Caddyfile was written by hand, and the log tells of its site once.
    assert [event for seen in steps for event in seen["next"]["told"]] == ["site.add a.test"]
    states = {
        (one["caddys"], one["listening"], one["status"]["proved"]) for one in (s["killed"] for s in steps)
    }
    assert states == {(0, False, False), (1, False, False), (1, True, False), (1, True, True)}


def test_killed_while_changing(tmp_path: Path) -> None:
    steps = found(tmp_path, "change")
    for seen in steps:
        check(seen)
        killed = seen["killed"]
        assert (killed["caddys"], killed["withdrawn"]) == (1, True), seen
        # It is told once if it stays, and not at all if it was taken back; and so is what came next.
        stays = ("c.test" in killed["caddyfile"]) is (seen["begun"] == "add")
        told = [f"site.{seen['begun']} c.test"] * stays
        if seen["command"] != "up":
            told.append(f"site.{seen['command'].split()[1]} c.test")
        assert seen["next"]["told"] == told, seen
    for name in ("add", "remove"):
        those = [seen["killed"] for seen in steps if seen["begun"] == name]
        assert {one["status"]["proved"] for one in those} == {True, False}
        # Loaded, and it is not said to be proved before it was.
        new = ["a.test", "c.test"] if name == "add" else ["a.test"]
        assert any(set(one["open"]) == ways(new) and not one["status"]["proved"] for one in those)


def test_killed_while_severing(tmp_path: Path) -> None:
    steps = found(tmp_path, "end")
    for seen in steps:
        check(seen)
        killed, again = seen["killed"], seen["command"] == "sever"
        unfinished = killed["status"]["severing"]
        done = killed["severings"] or "severed.json" in killed["leftovers"]
        assert seen["ended"] is bool(unfinished or done or again), seen
        # It is told once, by whichever command; one that is done again from the beginning is still one.
        assert seen["next"]["severings"] == (1 if unfinished else bool(done) + again), seen
        assert killed["caddys"] == 1 or unfinished, seen
        # Once she is out, whichever command comes next ends what she has open.
        assert not killed["withdrawn"] or unfinished or done, seen
    assert {seen["killed"]["caddys"] for seen in steps} == {1, 2}
    assert any("severed.json" in seen["killed"]["leftovers"] for seen in steps if seen["command"] != "sever")
