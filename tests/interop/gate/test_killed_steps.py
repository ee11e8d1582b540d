# SPDX-License-Identifier: Apache-2.0
"""pivgate killed after each write of each change of who gets in, and the running gate asked each time."""

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

from pivgate.enrolment import reserve
from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.gate.apply import up
from pivgate.registry.states import KeyState
from pivgate.registry.store import Registry

pytestmark = pytest.mark.interop

CHILD = Path(__file__).with_name("killed_steps.py")
SITES = {"a.test": "admins", "b.test": "editors", "c.test": "everyone"}
KEYS = {"alice": 31000001, "bob": 31000002, "carol": 31000003, "dave": 31000004}
ALICE, BOB = ({f"{group}/{name}" for group in SITES.values()} for name in ("alice", "bob"))

# What each command takes or gives, as ``group/person``. Alice and bob are everywhere; carol's key is lost;
# "alice2" is alice's next certificate, on the same key, and dave's first: both are pending.
TAKEN = {
    "key lost 31000001 --no-sever": ALICE,
    "key revoke 31000001 --yes": ALICE,
    "key revoke bob --yes": BOB,
    "user remove alice --yes": ALICE,
    "group leave admins alice": {"admins/alice"},
    "group remove editors --yes": {"editors/alice", "editors/bob"},
    "activate alice2": ALICE,
}
GIVEN = {
    "key found 31000003 --yes": {"everyone/carol"},
    "group join admins carol2": {"admins/carol2"},
    "activate dave": {"everyone/dave"},
    "activate alice2": {entry + "2" for entry in ALICE},
}
COMMANDS = sorted(TAKEN | GIVEN)


def build(place: Place, people: dict[str, Client]) -> None:
    place.write(place.gated("a", "admins"), place.gated("b", "editors"), place.gated("c", "everyone"))
    who: dict[str, Any] = {"actor": "test", "now": datetime.now(UTC)}
    with Registry.create(place.home.registry, place.home.audit_head) as registry:
        for group in ("admins", "editors"):
            registry.add_group(group, **who)
        for user, serial in KEYS.items():
            registry.add_user(user, **who)
            registry.register_key(serial, model="m", firmware="5.7.4", form_factor="f", user=user, **who)
        registry.register_key(31000013, model="m", firmware="5.7.4", form_factor="f", user="carol", **who)
        for name, serial in {**KEYS, "alice2": KEYS["alice"], "carol2": 31000013}.items():
            der = people[name].certificate.public_bytes(Encoding.DER)
            recorded = registry.record_certificate(der, serial, "client", **who)
            if name not in ("alice2", "dave"):
                registry.activate_certificate(recorded.fingerprint, **who)
        for user in ("alice", "bob"):
            for group in ("admins", "editors"):
                registry.add_member(group, user, **who)
        registry.set_key_state(KEYS["carol"], KeyState.LOST, **who)
        bring_tree_to_registry(place.home, registry, **who)
    # Else the first command that grants makes it, and the next one takes a shorter way.
    reserve.keep(place.home)
    up(place.home)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What came of each command, killed at each place."""
    with made_place(tmp_path_factory.mktemp("certificates")) as place:
        people = {name: place.authority.client(name) for name in (*KEYS, "alice2", "carol2")}
        build(place, people)
        words = {command: command.replace("carol2", "carol").split() for command in COMMANDS}
        for name in ("alice2", "dave"):
            words[f"activate {name}"] = ["activate", name.rstrip("2"), people[name].fingerprint]
        job = {
            "home": str(place.home.root),
            "port": place.port,
            "sites": SITES,
            "people": {name: (str(one.pem), str(one.key)) for name, one in people.items()},
            "commands": list(words.values()),
        }
        done = subprocess.run(
            [sys.executable, CHILD, json.dumps(job)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(zip(words, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_anywhere_nobody_gets_in_whom_the_registry_keeps_out(
    found: dict[str, list[dict[str, Any]]], command: str
) -> None:
    first, *between, last = (
        {moment: {key: set(value) for key, value in seen.items()} for moment, seen in place.items()}
        for place in found[command]
    )
    before = ALICE | BOB | {"everyone/carol2"}
    after = before - TAKEN.get(command, set()) | GIVEN.get(command, set())
    assert first["killed"] == {"open": before, "registry": before}
    assert last["killed"] == {"open": after, "registry": after}
    for place in (first, *between, last):
        assert place["killed"]["registry"] in (before, after)
        assert place["killed"]["open"] <= place["killed"]["registry"], place
        # The same command completes it.
        assert place["again"] == {"open": after, "registry": after}, place
        # ``up`` completes or undoes it.
        assert place["up"]["open"] == place["up"]["registry"] == place["killed"]["registry"], place
    # It was killed between the two, too: closed in the tree, or open in the registry, but not both.
    assert any(place["killed"]["open"] < place["killed"]["registry"] for place in between)
