# SPDX-License-Identifier: Apache-2.0
"""Revoked means gone: all that is open ends, and nobody else loses more than a connection."""

import os
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.interop.gate.severing.conftest import ask, still_open
from tests.interop.gate.standing_gate import StandingGate
from tests.interop.gate.streams import HOST, connect, open_streams

from pivgate.errors import OpenGateError, PivgateError, StorageError
from pivgate.gate import process, sever_listeners
from pivgate.gate import sever as severing
from pivgate.gate.access import NO_CERTIFICATE, withdraw
from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import up
from pivgate.gate.caddy import CADDY_VARIABLE
from pivgate.gate.own_process import search
from pivgate.gate.process import running, stop
from pivgate.gate.proven import PROVEN, recall
from pivgate.gate.sever import is_unfinished, sever, untold
from pivgate.gate.status import read_status
from pivgate.settings import Home

pytestmark = pytest.mark.interop


def leftovers(home: Home) -> set[str]:
    known = {"admin.sock", "verdict.sock", "caddy.pid", "caddy.log", PROVEN}
    return {path.name for path in home.run.iterdir()} - known


def test_all_that_is_open_ends_and_the_next_requests_are_served(
    place: Place, alice: Client, bob: Client
) -> None:
    before = place.running()
    streams = open_streams(alice, place.port)
    assert len(streams) == 9
    withdraw(place.home.access, [alice.fingerprint])

    severed = sever(place.home)

    assert severed is not None
    assert still_open(streams) == []
    assert severed.pid != before.pid
    assert [found.pid for found in search(place.home)] == [severed.pid]
    assert running(place.home) is not None
    assert all(probe.outcome.keeps_out for probe in severed.probes)
    assert severed.probes
    assert (ask(place, bob), ask(place, alice)) == (200, 403)
    assert leftovers(place.home) == set()
    status = read_status(place.home, {("admins", bob.fingerprint)})
    assert (status.pid, status.proved, status.severing) == (severed.pid, True, False)


def test_a_reload_ends_only_some_of_it(place: Place, alice: Client) -> None:
    """Should Caddy learn to end all of it one day, there is a simpler way than ours."""
    streams = open_streams(alice, place.port)
    proven = recall(place.home, place.running().pid)
    assert proven is not None

    AdminApi(place.home.admin_socket).load(proven.config)

    assert set(still_open(streams, 1.0)) >= {"events", "download", "in flight", "HTTP/2 events"}
    sever(place.home)
    assert still_open(streams) == []


def test_it_can_be_done_again_and_again(place: Place, bob: Client) -> None:
    pids = {place.running().pid}
    for _ in range(3):
        severed = sever(place.home)
        assert severed is not None
        pids.add(severed.pid)
        assert ask(place, bob) == 200
    assert len(pids) == 4
    assert up(place.home).pid == severed.pid


class Visitors:
    """People who come all the time, each in a thread of their own, and note what fails."""

    def __init__(self, client: Client, port: int) -> None:
        self.client, self.port = client, port
        self.served = 0
        self.failed: list[str] = []
        self.reconnected = 0
        self._stop = threading.Event()
        ways = [self._come, self._come, self._come_slowly, self._stay]
        self._threads = [threading.Thread(target=self._repeat, args=(way,)) for way in ways]

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        self.await_more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_more(self, count: int) -> None:
        """Return when that many more requests were answered."""
        wanted = self.served + count
        while self.served < wanted and not self.failed:
            time.sleep(0.01)

    def _repeat(self, way: object) -> None:
        assert callable(way)
        while not self._stop.is_set():
            try:
                way()
            except OSError as error:
                self.failed.append(f"{way.__name__}: {error!r}")

    def _ask(self, connection: object, path: str) -> None:
        gate = StandingGate(Path(), Path(), port=self.port)
        if gate.ask_on(connection, HOST, path=path).status != 200:  # type: ignore[arg-type]
            raise ConnectionError("no answer")
        self.served += 1

    def _come(self) -> None:
        with connect(self.client, self.port) as connection:
            self._ask(connection, "/short")

    def _come_slowly(self) -> None:
        with connect(self.client, self.port) as connection:
            self._ask(connection, "/slow")

    def _stay(self) -> None:
        with connect(self.client, self.port) as connection:
            while not self._stop.is_set():
                try:
                    self._ask(connection, "/short")
                except OSError:
                    # A browser does so when a connection that it has used is closed (RFC 9112, 9.3.1).
                    self.reconnected += 1
                    return


def test_nobody_else_meets_a_failure(
    place: Place, alice: Client, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is: the order is on trial here, not the time.
    monkeypatch.setattr(severing, "_LATEST", 60.0)
    monkeypatch.setattr(severing, "_FOR_CERTIFICATES", 10.0)
    monkeypatch.setattr(severing, "_FOR_HANDSHAKES", 1.5)
    monkeypatch.setattr(severing, "_FOR_ANSWERS", 1.5)
    withdraw(place.home.access, [alice.fingerprint])
    with Visitors(bob, place.port) as visitors:
        for _ in range(2):
            assert sever(place.home)
            visitors.await_more(20)

    assert visitors.failed == []
    assert visitors.reconnected >= 2


def test_where_the_kernel_may_not_be_told_it_is_done_all_the_same(
    place: Place, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(sever_listeners, "_duplicate", refuse)
    streams = open_streams(alice, place.port)

    sever(place.home)

    assert still_open(streams) == []
    assert ask(place, alice) == 200


def test_of_two_listeners_only_the_favoured_one_hears(place: Place) -> None:
    before = place.running()
    proven = recall(place.home, before.pid)
    assert proven is not None
    severing.intend(place.home)
    fresh = severing._take_over(place.home, severing.find_caddy(), proven)
    try:
        assert sever_listeners.favour(fresh.pid) == 2
        process.kill(fresh, place.home)
        # Nobody is there any more whom the kernel was told to choose, so it chooses for itself again.
        assert place.is_listening(place.port)
    finally:
        stop(place.home)


def test_a_gate_that_is_down_has_nothing_open(place: Place) -> None:
    stop(place.home)
    severing.intend(place.home)

    assert sever(place.home) is None

    assert not is_unfinished(place.home)
    severing.intend(place.home)
    assert not up(place.home).severed
    assert not is_unfinished(place.home)


def test_of_another_user_it_says_whose_the_gate_is(
    place: Place, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = place.running()
    monkeypatch.setattr("os.geteuid", lambda: 54321)

    with pytest.raises(OpenGateError, match=f"runs as another user, number {os.getuid()}") as caught:
        sever(place.home)

    assert "as that user" in caught.value.hint
    assert [found.pid for found in search(place.home)] == [before.pid]
    assert ask(place, alice) == 200


def broken_caddy(folder: Path) -> Path:
    program = folder / "caddy"
    program.write_text('#!/bin/sh\n[ "$1" = version ] && echo v2.11.7 && exit\necho no luck >&2\nexit 3\n')
    program.chmod(0o700)
    return program


def unplug(place: Place, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason == "no luck":
        monkeypatch.setenv(CADDY_VARIABLE, str(broken_caddy(tmp_path)))
    elif reason == "no such file":
        place.home.authority_certificate.rename(tmp_path / "ca.pem")
    elif reason == "No space left":

        def full(**_: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr("tempfile.TemporaryFile", full)
    else:
        (place.home.run / PROVEN).rename(tmp_path / PROVEN)


@pytest.mark.parametrize("reason", ["no luck", "no such file", "No space left", "never proved"])
def test_when_nothing_can_take_over_it_is_said_and_the_gate_goes_on(
    place: Place, alice: Client, bob: Client, reason: str, tmp_path: Path
) -> None:
    before = place.running()
    withdraw(place.home.access, [alice.fingerprint])
    with pytest.MonkeyPatch.context() as patch:
        unplug(place, reason, tmp_path, patch)

        with pytest.raises(OpenGateError, match=f"may still be open: .*{reason}") as caught:
            sever(place.home)

    assert "pivgate down" in caught.value.hint
    assert [found.pid for found in search(place.home)] == [before.pid]
    assert process.can_be_asked(place.home)
    assert (ask(place, bob), ask(place, alice)) == (200, 403)
    assert read_status(place.home, {("admins", bob.fingerprint)}).severing
    for path, name in ((place.home.authority_certificate, "ca.pem"), (place.home.run / PROVEN, PROVEN)):
        if (tmp_path / name).exists():
            (tmp_path / name).rename(path)

    applied = up(place.home)

    assert applied.severed
    assert applied.pid != before.pid
    assert not is_unfinished(place.home)
    assert [found.pid for found in search(place.home)] == [applied.pid]


@pytest.mark.parametrize(
    ("trouble", "kind"), [("revoked", OpenGateError), ("probes", StorageError), ("verdict", OpenGateError)]
)
def test_what_took_over_and_cannot_be_proved_is_stopped(
    place: Place, trouble: str, kind: type[PivgateError], tmp_path: Path
) -> None:
    revoked = x509.load_pem_x509_certificate((place.home.probes / "revoked.pem").read_bytes())
    entries = {
        "revoked": place.home.access / "admins" / revoked.fingerprint(hashes.SHA256()).hex(),
        "verdict": place.home.access / "everyone" / NO_CERTIFICATE,
    }
    if trouble == "probes":
        place.home.probes.rename(tmp_path / "probes")
    else:
        entries[trouble].parent.mkdir(parents=True, exist_ok=True)
        entries[trouble].touch()
    told = len(untold(place.home))
    try:
        with pytest.raises(kind) as caught:
            sever(place.home)
    finally:
        if trouble == "probes":
            (tmp_path / "probes").rename(place.home.probes)
        else:
            entries[trouble].unlink()

    assert "The gate was stopped" in caught.value.hint
    assert list(search(place.home)) == []
    assert not place.is_listening(place.port)
    assert not is_unfinished(place.home)
    assert len(untold(place.home)) == told + 1, "what was open has ended, and an event has to tell of it"
