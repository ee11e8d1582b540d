# SPDX-License-Identifier: Apache-2.0
"""Revoked means gone, as an operator sees it: what a lost key has open ends, and the log tells it."""

import http.client
import re
import signal
import threading
import time
from contextlib import suppress

import pytest
from tlslite.errors import TLSError

from pivgate.gate.sever import intend, is_unfinished
from tests.cli.conftest import ALICE, SITE, Machine, ask, refused


class Events:
    """An answer that does not end, begun with alice's key and read until it does."""

    def __init__(self, gate: Machine) -> None:
        connection = gate.visit(SITE, gate.login(ALICE))
        connection.request("GET", "/events", headers={"Host": SITE})
        self._answer = connection.getresponse()
        assert self._answer.read(9) == b"data: x\n\n"
        self.seen = 1
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        # Cut off, a chunked answer has no last chunk, and the TLS connection no farewell.
        with suppress(OSError, http.client.HTTPException, TLSError):
            while self._answer.read(9):
                self.seen += 1

    def end(self) -> bool:
        """Return whether they end, soon."""
        self._thread.join(5)
        return not self._thread.is_alive()

    def go_on(self) -> bool:
        """Return whether more of them come."""
        wanted = self.seen + 3
        deadline = time.monotonic() + 5
        while self.seen < wanted and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.seen >= wanted


def actions(gate: Machine) -> list[str]:
    return [event["action"] for event in gate.good("audit", "log", "--json").json()]


SEVERING = (
    ("key", "lost", str(ALICE)),
    ("key", "revoke", str(ALICE), "--reason", "keyCompromise", "--yes"),
    ("key", "revoke", "alice", "--sever", "--yes"),
    ("user", "remove", "alice", "--sever", "--yes"),
)


@pytest.mark.parametrize("command", SEVERING, ids=" ".join)
def test_what_is_streaming_ends(gate: Machine, command: tuple[str, ...]) -> None:
    events = Events(gate)

    done = gate.good(*command)

    assert re.search(r"All connections ended, after \d+ ms", done.out)
    assert re.search(r"The running gate refuses .* proved after \d+ ms", done.out)
    assert events.end()
    assert ask(gate) == 403
    assert gate.good("status", "--json").json()["sound"] is True
    assert "gate.sever" in actions(gate)
    gate.good("audit", "verify")


@pytest.mark.parametrize("command", SEVERING, ids=" ".join)
def test_it_has_ended_before_the_whole_tree_is_compared_with_the_registry(
    gate: Machine, command: tuple[str, ...]
) -> None:
    """The comparison takes seconds with 100,000 certificates: a command that is killed in it has severed."""
    events = Events(gate)

    assert gate.run(*command, environment={"KILL_AT_FUNCTION": "drift"}).status == -signal.SIGKILL

    assert events.end()
    assert ask(gate) == 403


@pytest.mark.parametrize(
    "command",
    [
        ("key", "lost", str(ALICE), "--no-sever"),
        ("key", "revoke", str(ALICE), "--reason", "keyCompromise", "--no-sever", "--yes"),
        ("key", "revoke", "alice", "--reason", "superseded", "--yes"),
        ("user", "remove", "alice", "--yes"),
    ],
    ids=" ".join,
)
def test_otherwise_it_goes_on_and_only_the_next_request_is_refused(
    gate: Machine, command: tuple[str, ...]
) -> None:
    events = Events(gate)

    done = gate.good(*command)

    assert "connections ended" not in done.out
    assert events.go_on()
    assert ask(gate) == 403
    assert "gate.sever" not in actions(gate)


def test_who_leaves_a_group_keeps_what_streams_unless_it_is_severed(gate: Machine) -> None:
    upstream = gate.good("site", "list", "--json").json()[0]["upstream"]
    gate.good("group", "add", "admins")
    gate.good("site", "remove", SITE, "--yes")
    gate.good("site", "add", SITE, upstream, "--allow", "admins")
    for options, ended in (((), False), (("--sever",), True)):
        gate.good("group", "join", "admins", "alice")
        events = Events(gate)

        done = gate.good("group", "leave", "admins", "alice", *options)

        assert ("All connections ended" in done.out) is ended
        assert events.end() if ended else events.go_on()
        assert ask(gate) == 403
        assert actions(gate).count("gate.sever") == ended


def test_with_the_gate_down_nothing_is_open(gate: Machine) -> None:
    gate.good("down")

    assert "not running" in gate.good("key", "lost", str(ALICE)).out

    assert not is_unfinished(gate.home)
    assert "gate.sever" not in actions(gate)


def test_a_severing_that_was_cut_short_is_told_and_finished(gate: Machine) -> None:
    events = Events(gate)
    gate.good("key", "lost", str(ALICE), "--no-sever")
    intend(gate.home)

    told = gate.run("status")
    assert told.status == 6
    assert "`pivgate up` ends them" in told.out
    assert gate.run("status", "--json").json()["severing"] is True

    assert "Ended all that was open" in gate.good("up").out
    assert events.end()
    assert gate.run("status").status == 0
    assert actions(gate).count("gate.sever") == 1


def test_any_change_finishes_it_even_with_a_broken_caddyfile_and_each_is_recorded_once(
    gate: Machine,
) -> None:
    events = Events(gate)
    intend(gate.home)
    assert "Ended all that was open" in gate.good("site", "add", "b.localhost", "127.0.0.1:9").out
    assert events.end()
    gate.good("up")
    assert actions(gate).count("gate.sever") == 1

    events = Events(gate)
    intend(gate.home)
    gate.home.caddyfile.write_text(gate.home.caddyfile.read_text() + "}")
    refused(gate.run("up"), 2, "Caddyfile")
    assert events.end()
    assert actions(gate).count("gate.sever") == 2


def test_any_withdrawal_finishes_it(gate: Machine) -> None:
    events = Events(gate)
    gate.good("key", "lost", str(ALICE), "--no-sever")
    intend(gate.home)

    assert "All connections ended" in gate.good("user", "remove", "alice", "--yes").out

    assert events.end()
    assert not is_unfinished(gate.home)


def test_killed_in_the_middle_of_it_the_same_command_finishes(gate: Machine) -> None:
    events = Events(gate)
    killed = gate.run("key", "lost", str(ALICE), environment={"KILL_AT_FUNCTION": "_let_go"})
    assert killed.status == -signal.SIGKILL
    assert gate.run("status").status == 6

    gate.good("key", "lost", str(ALICE))

    assert events.end()
    assert gate.run("status").status == 0


def test_when_nothing_can_take_over_it_is_said_aloud(gate: Machine) -> None:
    program = gate.root / "caddy"
    program.write_text('#!/bin/sh\n[ "$1" = version ] && echo v2.11.7 && exit\nexit 3\n')
    program.chmod(0o700)
    events = Events(gate)

    failed = gate.run("key", "lost", str(ALICE), environment={"PIVGATE_CADDY": str(program)})

    refused(failed, 7, "may still be open", "pivgate down")
    assert "it opens nothing" in failed.out
    assert events.go_on()
    assert ask(gate) == 403
    gate.good("down")
    assert events.end()


def test_a_registry_that_fails_keeps_nothing_open(gate: Machine) -> None:
    """The tree comes first; what the registry says after that cannot keep a stream alive."""
    events = Events(gate)

    failed = gate.run("key", "lost", str(ALICE), environment={"FULL_REGISTRY": "1"})

    refused(failed, 8, "pivgate down")
    assert events.end()
