# SPDX-License-Identifier: Apache-2.0
"""A home that is root's, its run folder another user's: Caddy runs as that user, with low ports at most."""

import os
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client

from pivgate.gate.apply import up
from pivgate.gate.own_process import search, user_for
from pivgate.gate.process import running, stop
from pivgate.gate.sever import sever
from pivgate.systemd.ownership import _own

pytestmark = pytest.mark.interop

USER = 54321


def rights(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_root_starts_and_severs_and_stops_it(place: Place, alice: Client) -> None:
    home = place.home
    home.root.parent.chmod(0o711)
    for folder in (home.run, home.caddy_storage):
        folder.mkdir(0o700, exist_ok=True)
        _own(folder, USER, USER)
    os.chown(home.root, -1, USER)
    home.root.chmod(0o710)
    assert user_for(home) == USER

    first = up(home).pid
    assert place.ask(alice, "a") == "200 welcome to a"
    severed = sever(home)
    assert severed is not None
    assert severed.pid != first
    assert place.ask(alice, "a") == "200 welcome to a"
    assert place.ask(alice, "b").startswith("403")

    found = rights(severed.pid)
    assert set(found["Uid"].split()) == set(found["Gid"].split()) == {str(USER)}
    assert {found[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0000000000000400"}
    assert (found["NoNewPrivs"], found["Groups"]) == ("1", "")
    assert [one.pid for one in search(home)] == [severed.pid]
    assert stop(home) is True
    assert running(home) is None
