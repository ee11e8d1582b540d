# SPDX-License-Identifier: Apache-2.0
"""Faults of Caddy and of the running gate: a real one, in which each is planted and mended again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.doctor.patient import Patient, copied
from tests.ports import free_ports

from pivgate.doctor.finding import Area
from pivgate.gate import probe, process, sever
from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import up
from pivgate.gate.caddy import CADDY_VARIABLE, find_caddy
from pivgate.settings import Home
from pivgate.systemd.places import Places
from pivgate.systemd.units import sysusers_text

pytestmark = pytest.mark.interop

AREAS = (Area.SITES, Area.GATE, Area.UPSTREAMS)
NOBODY = 65534

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def running(sound: Patient) -> Iterator[Patient]:
    """A copy whose gate is up; a test that changes something mends it."""
    with copied(sound) as patient:
        up(patient.home)
        try:
            yield patient
        finally:
            process.stop(patient.home, grace=1.0)


def test_a_sound_gate_has_nothing(running: Patient) -> None:
    found = running.diagnose(*AREAS)
    assert found.findings == ()
    assert [unseen for report in found.areas for unseen in report.unseen] == []
    assert [(report.area, report.good) for report in found.areas] == [
        (Area.SITES, 8),
        (Area.GATE, 9),
        (Area.UPSTREAMS, 4),
    ]


def test_a_caddyfile_that_was_not_applied_is_named(running: Patient) -> None:
    before = running.home.caddyfile.read_text()
    running.home.caddyfile.write_text(before + "# a remark\n")
    assert list(running.findings(*AREAS)) == ["gate-pending"]
    running.home.caddyfile.write_text(before)
    assert running.findings(*AREAS) == {}


def test_another_configuration_is_named(running: Patient) -> None:
    api = AdminApi(running.home.admin_socket)
    config = api.config()
    api.load({**config, "logging": {"sink": {"writer": {"output": "discard"}}}})
    assert list(running.findings(*AREAS)) == ["gate-not-proved"]
    api.load(config)
    assert running.findings(*AREAS) == {}


def test_severing_that_was_cut_short_is_named(running: Patient) -> None:
    sever.intend(running.home)
    assert list(running.findings(*AREAS)) == ["severing-unfinished"]
    running.home.severing.unlink()


@contextmanager
def caddy_that_says(folder: Path, version: str) -> Iterator[dict[str, str]]:
    """A Caddy that is the real one, but for the version that it tells."""
    program = folder / f"caddy-{version}"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo {version} && exit\nexec {find_caddy().path} "$@"\n'
    )
    program.chmod(0o755)
    yield {**os.environ, CADDY_VARIABLE: str(program)}


def test_a_caddy_that_was_replaced_is_named(running: Patient, tmp_path: Path) -> None:
    with caddy_that_says(tmp_path, "v2.99.0") as environment:
        assert list(running.findings(*AREAS, environment=environment)) == ["gate-older-than-caddy"]


def test_a_caddy_that_is_too_old_or_none_is_named(
    running: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caddy_that_says(tmp_path, "v2.10.2") as environment:
        findings = running.findings(*AREAS, environment=environment)
        assert list(findings) == ["caddy-too-old"]
        assert "2.10.2" in findings["caddy-too-old"].cause
    nowhere = {**os.environ, CADDY_VARIABLE: str(tmp_path / "nowhere")}
    assert list(running.findings(*AREAS, environment=nowhere)) == ["caddy-unusable"]
    # Of a machine without Caddy: neither beside Python nor in PATH.
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert list(running.findings(*AREAS, environment={"PATH": str(tmp_path)})) == ["caddy-missing"]


def test_sockets_that_are_gone_are_named(patient: Patient) -> None:
    up(patient.home)
    try:
        patient.home.admin_socket.unlink()
        assert list(patient.findings(*AREAS)) == ["gate-out-of-reach"]
    finally:
        process.stop(patient.home, grace=1.0)
    # Down, on purpose.
    assert list(patient.findings(*AREAS)) == ["gate-down"]


def test_a_gate_that_was_killed_is_named(patient: Patient) -> None:
    up(patient.home)
    found = process.running(patient.home)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    while process.running(patient.home):
        time.sleep(0.01)
    findings = patient.findings(*AREAS)
    assert list(findings) == ["gate-ended"]
    assert "pivgate up" in findings["gate-ended"].remedy


def test_others_on_its_port_and_its_socket_are_named(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", patient.https_port)):
        findings = patient.findings(*AREAS)
    assert list(findings) == ["gate-down", "port-taken"]
    assert f"process {os.getpid()}" in findings["port-taken"].cause
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(patient.home.admin_socket))
        listener.listen()
        findings = patient.findings(*AREAS)
    assert list(findings) == ["gate-down", "admin-socket-taken"]
    assert f"ps -fp {os.getpid()}" in findings["admin-socket-taken"].remedy


def test_another_users_program_on_its_port_is_named_without_its_name(patient: Patient) -> None:
    """Who is not root does not see whose it is."""
    for path in (patient.home.root.parent, *patient.home.root.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    words = (sys.executable, "-IS", "-c", LISTEN, str(patient.https_port))
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "ready\n"
        os.seteuid(NOBODY)
        findings = patient.findings(*AREAS, user=NOBODY)
    finally:
        os.seteuid(0)
        other.communicate("", timeout=20)
    assert list(findings) == ["gate-down", "port-taken"]
    assert "a process of another user" in findings["port-taken"].cause


def test_a_site_without_a_certificate_is_named(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its authority cannot be reached, as a public one that cannot reach the site."""
    monkeypatch.setattr(probe, "_CERTIFICATE_PATIENCE", 0.1)
    (nobody,) = free_ports(1)
    site = patient.site().replace("internal", "ops@example.org")
    patient.write(site, change=("skip_install_trust", f"acme_ca https://127.0.0.1:{nobody}/directory"))
    up(patient.home)
    try:
        assert list(patient.findings(*AREAS)) == ["server-certificate-missing"]
    finally:
        process.stop(patient.home, grace=1.0)


def test_a_wildcard_that_an_open_site_shares_is_seen_on_the_wire(sound: Patient, tmp_path: Path) -> None:
    """The same file under two names: what counts is what visitors are shown."""
    from tests.interop.doctor.test_sites import gated, server_certificate

    with copied(sound) as patient:
        pem, key = server_certificate(patient.machine, "localhost", "ip6-localhost")
        again = shutil.copy(pem, patient.machine / "again.pem")
        openly = f"\nip6-localhost {{\n\ttls {again} {key}\n\trespond hello\n}}\n"
        patient.write(gated("localhost", f"{pem} {key}"), openly)
        up(patient.home)
        try:
            assert list(patient.findings(Area.SITES)) == ["wildcard-shared"]
        finally:
            process.stop(patient.home, grace=1.0)


def test_a_service_that_is_not_whole_is_named(running: Patient) -> None:
    places = Places(running.machine)
    for path in (places.service, places.care, places.timer, places.user):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sysusers_text(running.home))
    for link, unit in places.links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(unit)
    assert running.findings(*AREAS) == {}
    next(iter(places.links)).unlink()
    findings = running.findings(*AREAS)
    assert list(findings) == ["service-incomplete"]
    assert "multi-user.target.wants" in findings["service-incomplete"].what
    # One of another home is not this one's matter.
    places.user.write_text(sysusers_text(Home(Path("/srv/other"))))
    assert running.findings(*AREAS) == {}
    shutil.rmtree(running.machine / "etc")


def test_a_caddy_that_was_started_anew_is_named(patient: Patient) -> None:
    (patient.home.run / "caddy.log").touch()
    process.start(find_caddy(), patient.home)
    try:
        findings = patient.findings(*AREAS)
    finally:
        process.stop(patient.home, grace=1.0)
    assert "gate-not-proved" in findings
    assert "started anew" in findings["gate-not-proved"].cause


def test_a_gate_is_left_as_it_is(running: Patient) -> None:
    def state() -> tuple[object, ...]:
        return (
            process.running(running.home),
            AdminApi(running.home.admin_socket).config(),
            sorted(path.name for path in running.home.run.iterdir()),
        )

    before = state()
    running.diagnose(*AREAS)
    assert state() == before
