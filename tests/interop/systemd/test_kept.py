# SPDX-License-Identifier: Apache-2.0
"""The gate as systemd keeps it: a real one, as PID 1, with every restriction of the unit in force."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.cli.conftest import ALICE, SITE, ask, refused
from tests.cli.test_sever import Events, actions
from tests.interop.gate.streams import endless
from tests.interop.systemd.booted import HOME, Booted, booted

from pivgate.errors import GateError
from pivgate.gate.sever import intend
from pivgate.settings import SERVICE
from pivgate.systemd.units import CARE, USER

pytestmark = pytest.mark.interop

LOW_PORTS = "0000000000000400"
UMASK = ("sh", "-c", 'umask 077; exec "$@"', "-")


@pytest.fixture(scope="module")
def standing() -> Iterator[Booted]:
    """A machine with a home, alice, her key, and a site whose answers do not end."""
    with booted() as machine, ExitStack() as stack:
        upstream = machine.within(lambda: stack.enter_context(endless()))
        machine.init()
        machine.good("user", "add", "alice")
        machine.plug_in(ALICE)
        assert machine.provision("alice", "--algorithm", "p256").status == 0
        machine.good("site", "add", SITE, upstream)
        assert f"as the user {USER}" in machine.good("up", "--systemd").out
        yield machine


@pytest.fixture
def kept(standing: Booted) -> Booted:
    if standing.shown("ActiveState") != ["active"]:
        standing.good("up")
    return standing


def served(machine: Booted) -> int:
    return machine.within(lambda: ask(machine))


def rights(machine: Booted) -> dict[str, str]:
    """Return what the kernel lets the service's main process do."""
    (pid,) = machine.shown("MainPID")
    lines = machine.call("cat", f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def as_caddy(machine: Booted, *words: str) -> str:
    """Run a program as Caddy's user, in the files that Caddy sees."""
    (pid,) = machine.shown("MainPID")
    user = machine.call("id", "-u", USER)
    ids = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
    return machine.call("nsenter", f"--target={pid}", "-m", "setpriv", *ids, *words, good=False)


def test_caddy_has_the_low_ports_and_nothing_else(kept: Booted) -> None:
    found = rights(kept)
    assert set(found["Uid"].split()) == {kept.call("id", "-u", USER)} != {"0"}
    assert {found[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {LOW_PORTS}
    assert (found["NoNewPrivs"], found["Seccomp"], found["Groups"]) == ("1", "2", kept.call("id", "-g", USER))
    assert served(kept) == 200

    root = HOME.root
    assert "BEGIN CERTIFICATE" in as_caddy(kept, "cat", f"{HOME.authority_certificate}")
    for secret in (HOME.authority_key, HOME.registry, HOME.audit_head, HOME.probes / "revoked.key", root):
        assert "Permission denied" in as_caddy(kept, "ls" if secret == root else "cat", f"{secret}")
    for place in (HOME.access / "everyone" / "x", HOME.caddyfile, HOME.authority_certificate):
        assert "Read-only file system" in as_caddy(kept, "cp", "/etc/hostname", f"{place}")
    for hidden in ("/home", "/root"):
        assert "Permission denied" in as_caddy(kept, "ls", hidden)


def test_a_lost_key_is_severed_inside_the_service(kept: Booted) -> None:
    before = kept.shown("MainPID")
    events = kept.within(lambda: Events(kept))

    lost = kept.good("key", "lost", str(ALICE))

    assert "All connections ended, after" in lost.out
    assert events.end()
    assert served(kept) == 403
    assert kept.shown("MainPID") != before
    assert kept.caddys() == [int(pid) for pid in kept.shown("MainPID")]
    assert kept.shown("ActiveState", "NRestarts") == ["active", "0"]
    assert (rights(kept)["CapBnd"], rights(kept)["Seccomp"]) == (LOW_PORTS, "2")
    assert kept.good("status", "--json").json()["sound"] is True
    # What root writes into the tree later, Caddy can read, whatever root's umask is.
    assert kept.run("key", "found", str(ALICE), "--yes", under=UMASK).status == 0
    assert served(kept) == 200


def test_a_killed_caddy_comes_again_proved_and_not_before(kept: Booted) -> None:
    text = kept.home.caddyfile.read_text()
    hole = text.replace("servers {", "servers {\n\t\tstrict_sni_host insecure_off", 1)
    assert hole != text
    kept.home.caddyfile.write_text(hole)
    try:
        kept.call("pkill", "-KILL", "-x", "caddy")
        deadline = time.monotonic() + 60
        while "strict_sni_host" not in (said := kept.call("journalctl", "-u", SERVICE, "-o", "cat")):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        with pytest.raises(GateError, match="refused"):
            served(kept)
    finally:
        kept.home.caddyfile.write_text(text)
    kept.await_state("active")
    assert served(kept) == 200
    assert kept.good("status").status == 0


def test_down_holds_even_while_systemd_is_about_to_start_it_again(kept: Booted) -> None:
    kept.call("pkill", "-KILL", "-x", "caddy")
    kept.good("down")
    assert (kept.shown("ActiveState"), kept.caddys()) == (["inactive"], [])
    assert "after" not in kept.good("up").out
    kept.good("down")
    assert (kept.shown("ActiveState"), kept.caddys()) == (["inactive"], [])
    kept.good("up")
    assert served(kept) == 200


def test_the_daily_care_ends_what_was_left_open_and_a_reload_says_that_it_cannot(kept: Booted) -> None:
    events = kept.within(lambda: Events(kept))
    intend(kept.home)
    count = actions(kept).count("gate.sever")

    assert "failed" in kept.call("systemctl", "reload", SERVICE, good=False)
    assert "pivgate up" in kept.call("journalctl", "-u", SERVICE, "-n", "20", "-o", "cat")
    kept.call("systemctl", "start", CARE)

    assert events.end()
    assert actions(kept).count("gate.sever") == count + 1
    assert served(kept) == 200
    kept.call("systemctl", "reload", SERVICE)
    kept.good("down")
    kept.call("systemctl", "start", CARE)
    assert kept.caddys() == []


def test_killed_while_systemd_was_asked_for_a_second_caddy(kept: Booted) -> None:
    events = kept.within(lambda: Events(kept))
    dead = kept.run("key", "lost", str(ALICE), environment={"KILL_AT_FUNCTION": "favour"})
    assert dead.status == -signal.SIGKILL
    assert served(kept) == 403

    kept.good("up")

    assert events.end()
    assert kept.caddys() == [int(pid) for pid in kept.shown("MainPID")]
    assert kept.good("status").status == 0
    kept.good("key", "found", str(ALICE), "--yes")


def test_without_systemctl_it_is_said_aloud(kept: Booted) -> None:
    events = kept.within(lambda: Events(kept))
    kept.call("sh", "-c", "mkdir /run/few && ln -s /usr/bin/* /run/few/ && rm /run/few/systemctl")
    failed = kept.run("key", "lost", str(ALICE), under=("env", "PATH=/run/few"))
    refused(failed, 7, "may still be open", "systemctl reload", "pivgate down")
    assert served(kept) == 403
    assert events.go_on()
    kept.good("down")
    assert events.end()
    kept.good("key", "found", str(ALICE), "--yes")
