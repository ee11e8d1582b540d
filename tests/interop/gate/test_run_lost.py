# SPDX-License-Identifier: Apache-2.0
"""A Caddy whose files were taken away goes on serving: it is found, told as up, and stopped all the same."""

import os
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client

from pivgate.errors import GateError
from pivgate.gate import own_process, process
from pivgate.gate.addresses import Tcp
from pivgate.gate.apply import apply, check, up
from pivgate.gate.caddy import Caddy, Version, find_caddy
from pivgate.gate.own_process import command, search
from pivgate.gate.ports import explain, refuse_shared
from pivgate.gate.process import running, start, stop
from pivgate.gate.status import read_status
from pivgate.gate.unix_http import NotRunningError
from pivgate.gate.verdict import await_refusal
from pivgate.settings import Home

pytestmark = pytest.mark.interop


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def test_it_is_told_as_up_and_not_proved_and_can_be_stopped(place: Place, alice: Client) -> None:
    applied = up(place.home)
    empty(place.home.run)
    assert place.ask(alice, "a") == "200 welcome to a"

    assert place.running().pid == applied.pid
    status = read_status(place.home, {("admins", alice.fingerprint)})
    assert (status.pid, status.proved, status.is_sound) == (applied.pid, False, False)
    assert stop(place.home) is True
    assert not place.is_listening(place.port)
    assert running(place.home) is None


@pytest.mark.parametrize("name", ["admin.sock", "verdict.sock"])
def test_with_one_socket_gone_it_is_not_proved(place: Place, name: str) -> None:
    up(place.home)
    assert read_status(place.home, ()).proved
    (place.home.run / name).unlink()

    status = read_status(place.home, ())

    assert (status.pid, status.proved) == (place.running().pid, False)


@pytest.mark.parametrize("bring", [up, apply])
@pytest.mark.parametrize("name", ["admin.sock", "verdict.sock", "*"])
def test_it_is_replaced_by_one_that_can_be_proved(
    place: Place, alice: Client, bring: object, name: str
) -> None:
    lost = up(place.home).pid
    for path in place.home.run.glob(name):
        path.unlink()

    applied = up(place.home) if bring is up else apply(place.home)

    assert applied.started
    assert applied.pid != lost
    assert [found.pid for found in search(place.home)] == [applied.pid]
    assert read_status(place.home, {("admins", alice.fingerprint)}).proved
    assert place.ask(alice, "a") == "200 welcome to a"


def test_nobody_says_that_nothing_is_served(place: Place) -> None:
    pid = up(place.home).pid
    empty(place.home.run)

    with pytest.raises(GateError, match=rf"runs \(process {pid}\) but cannot be asked") as caught:
        await_refusal(place.home, [], "a" * 64)
    assert not isinstance(caught.value, NotRunningError)
    assert "pivgate down" in caught.value.hint
    with pytest.raises(GateError, match=rf"runs \(process {pid}\) but cannot be asked"):
        check(place.home)


def test_a_home_spelled_otherwise_is_the_same_home(place: Place) -> None:
    link = place.home.root.with_name("link")
    link.symlink_to(place.home.root)
    pid = up(place.home).pid

    assert read_status(Home(link), ()).pid == pid
    with pytest.raises(GateError, match="already running"):
        start(find_caddy(), Home(link))
    empty(place.home.run)
    assert stop(Home(link)) is True
    assert running(place.home) is None


def test_all_of_a_home_are_stopped(place: Place) -> None:
    first = start(find_caddy(), place.home)
    with subprocess.Popen(command(find_caddy().path, place.home), stdin=subprocess.PIPE) as second:
        try:
            # Between its first moment and the end of execve(2) a process has no command line.
            while len(found := {one.pid for one in search(place.home)}) < 2 and second.poll() is None:
                time.sleep(0.01)
            assert found == {first.pid, second.pid}

            stop(place.home)

            assert second.wait(5) is not None
        finally:
            second.kill()
    assert list(search(place.home)) == []


def test_the_files_of_a_gate_that_lives_are_never_removed(place: Place) -> None:
    up(place.home)
    before = sorted(place.home.run.iterdir())

    with pytest.raises(GateError, match=f"still runs \\(process {place.running().pid}\\)"):
        process._clear(place.home)

    assert sorted(place.home.run.iterdir()) == before


def test_what_somebody_else_listens_on_is_never_removed(place: Place) -> None:
    place.home.run.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.home.admin_socket))
        listener.listen()

        with pytest.raises(GateError, match=f"Process {os.getpid()} listens on"):
            stop(place.home)

        assert place.home.admin_socket.exists()


def test_a_home_that_was_moved_keeps_the_files_of_its_gate(place: Place) -> None:
    pid = start(find_caddy(), place.home).pid
    moved = Home(place.home.root.with_name("moved"))
    place.home.root.rename(moved.root)
    try:
        with pytest.raises(GateError, match=f"Process {pid} listens on"):
            stop(moved)
        assert moved.admin_socket.exists()
    finally:
        moved.root.rename(place.home.root)


def test_a_process_of_somebody_else_does_not_count(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    start(find_caddy(), place.home)
    assert list(search(place.home))
    monkeypatch.setattr(own_process, "user_of", lambda _: 2**31)

    assert list(search(place.home)) == []


def test_the_caddy_of_another_home_does_not_count(place: Place, tmp_path: Path) -> None:
    start(find_caddy(), place.home)

    assert list(search(Home(tmp_path))) == []
    assert running(Home(tmp_path)) is None


def test_a_lost_run_folder_is_made_anew(place: Place) -> None:
    up(place.home)
    shutil.rmtree(place.home.run)

    assert up(place.home).started
    assert read_status(place.home, ()).proved


def test_a_port_that_another_caddy_of_the_home_holds_is_told_so(place: Place) -> None:
    pid = up(place.home).pid
    address = Tcp("127.0.0.1", place.port)
    complaint = f"listen tcp {address}: bind: address already in use"

    with pytest.raises(GateError, match=rf"another Caddy of this home \(process {pid}\)") as caught:
        refuse_shared([address], own_pid=1, home=place.home)

    assert "pivgate down" in caught.value.hint
    explained = explain(complaint, find_caddy().path, place.home)
    assert explained is not None
    assert explained.message == caught.value.message


def test_a_killed_gate_has_no_last_error_unless_it_complained(place: Place) -> None:
    pid = up(place.home).pid
    assert pid is not None
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)
    info = '{"level":"info","msg":"serving initial configuration"}\n'

    place.home.caddy_log.write_text(info)
    assert read_status(place.home, ()).last_words == ""

    place.home.caddy_log.write_text('{"level":"error","msg":"no luck today"}\n' + info)
    assert read_status(place.home, ()).last_words == "no luck today"


def test_a_start_that_failed_without_an_error_is_told_by_its_last_line(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "caddy"
    program.write_text("#!/bin/sh\necho begun >&2\necho over and out >&2\nexit 3\n")
    program.chmod(0o700)

    with pytest.raises(GateError, match="ended at once: over and out"):
        start(Caddy(program, Version((2, 11, 7))), place.home)
