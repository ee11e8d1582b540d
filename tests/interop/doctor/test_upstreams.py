# SPDX-License-Identifier: Apache-2.0
"""Upstreams that are down, or that others than the gate can reach: real servers, and a machine of its own."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.interop.doctor.patient import DAY, Patient, copied
from tests.interop.firewall.lab import Box, wired
from tests.interop.gate.upstream_world import Impostor
from tests.ports import free_ports

from pivgate.authority.upstream import LEAF_DAYS as GATE_DAYS
from pivgate.doctor.finding import Area
from pivgate.enrolment.upstream import create
from pivgate.gate.upstream_block import UpstreamFolder, folder_of, transport

pytestmark = pytest.mark.interop

NOBODY = 65534

# Takes questions at the port of name servers, and never answers.
MUTE = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
    mute.bind(("", 53))
    print("ready", flush=True)
    input()
"""


def with_upstream(patient: Patient, address: str) -> Patient:
    patient.write(patient.site().replace(f"127.0.0.1:{patient.upstream}", address))
    return patient


@contextmanager
def server(host: str) -> Iterator[int]:
    """Take connections on a port."""
    with socket.create_server((host, 0)) as listening:
        yield listening.getsockname()[1]


def test_an_upstream_of_the_loopback_that_answers_is_sound(patient: Patient) -> None:
    assert patient.diagnose(Area.UPSTREAMS).areas[0].good == 4
    with server("127.0.0.1") as port:
        assert with_upstream(patient, f"127.0.0.1:{port}").findings(Area.UPSTREAMS) == {}


def test_an_upstream_that_is_down_is_named(patient: Patient, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    findings = with_upstream(patient, f"127.0.0.1:{port}").findings(Area.UPSTREAMS)
    assert list(findings) == ["upstream-down"]
    assert findings["upstream-down"].what == f"127.0.0.1:{port}"


def test_a_name_without_an_address_is_named(patient: Patient) -> None:
    findings = with_upstream(patient, "nowhere.invalid:8000").findings(Area.UPSTREAMS)
    assert list(findings) == ["upstream-down"]
    assert "getent hosts nowhere.invalid" in findings["upstream-down"].remedy


def test_a_unix_socket_where_nobody_listens_is_named(patient: Patient) -> None:
    path = patient.home.root.parent / "app.sock"
    with_upstream(patient, f"unix/{path}")
    assert list(patient.findings(Area.UPSTREAMS)) == ["upstream-down"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert "refused" in patient.findings(Area.UPSTREAMS)["upstream-down"].cause
        listening.listen()
        assert patient.findings(Area.UPSTREAMS) == {}


def test_an_upstream_that_others_can_reach_is_named(patient: Patient) -> None:
    with server("0.0.0.0") as port:  # noqa: S104 - that is the fault
        findings = with_upstream(patient, f"127.0.0.1:{port}").findings(Area.UPSTREAMS)
    assert list(findings) == ["upstream-open"]
    assert "pivgate firewall apply" in findings["upstream-open"].remedy


def test_what_root_alone_can_see_is_said(patient: Patient) -> None:
    for path in (patient.home.root.parent, *patient.home.root.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    with server("0.0.0.0") as port:  # noqa: S104 - as above
        with_upstream(patient, f"127.0.0.1:{port}")
        os.seteuid(NOBODY)
        try:
            (area,) = patient.diagnose(Area.UPSTREAMS, user=NOBODY).areas
        finally:
            os.seteuid(0)
    assert area.findings == ()
    assert [unseen.why for unseen in area.unseen] == [
        "only root sees the firewall's rules: `sudo pivgate doctor upstreams`"
    ]


def test_a_published_port_of_a_container_is_named(patient: Patient, tmp_path: Path) -> None:
    """Docker listens on the machine with a program of this name."""
    program = tmp_path / "docker-proxy"
    program.write_text(
        f"#!{sys.executable} -IS\n"
        "import socket, sys\n"
        "listening = socket.create_server(('0.0.0.0', 0))\n"
        "print(listening.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    program.chmod(0o755)
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        findings = with_upstream(patient, f"127.0.0.1:{port}").findings(Area.UPSTREAMS)
    finally:
        process.communicate("", timeout=20)
    assert list(findings) == ["container-port-published"]
    assert f"127.0.0.1:{port}:" in findings["container-port-published"].remedy


def with_mutual_tls(patient: Patient, days_ago: int) -> UpstreamFolder:
    """Give the site's upstream an authority, as of some days ago, and its files to the upstream."""
    begun = datetime.now(UTC) - days_ago * DAY
    create(patient.home, "localhost", ("localhost",), begun)
    folder = folder_of(patient.home, "localhost")
    folder.unsettled.unlink()
    with patient.home.caddyfile.open("a") as file:
        file.write(f"# {folder.path}/\n")
    shutil.copy(folder.server, folder.handed_out)
    return folder


@pytest.mark.parametrize(
    ("days_ago", "codes"),
    [
        (0, set()),
        (GATE_DAYS - 10, {"upstream-certificate-ends-soon"}),
        (GATE_DAYS + 10, {"upstream-certificate-ended"}),
    ],
)
def test_the_ends_of_upstreams_certificates_are_named(
    patient: Patient, days_ago: int, codes: set[str]
) -> None:
    with_mutual_tls(patient, days_ago)
    assert {finding.code for finding in patient.diagnose(Area.UPSTREAMS).findings} == codes


def test_files_of_an_upstream_that_are_gone_are_named(patient: Patient) -> None:
    folder = with_mutual_tls(patient, 0)
    folder.handed_out.unlink()
    assert list(patient.findings(Area.UPSTREAMS)) == ["upstream-certificate-not-given"]
    folder.gate.write_text("hello\n")
    folder.handed_out.write_bytes(folder.server.read_bytes())
    assert list(patient.findings(Area.UPSTREAMS)) == ["upstream-files-damaged"]


@pytest.mark.parametrize(
    ("demands", "trusted", "codes", "unseen"),
    [
        (ssl.CERT_REQUIRED, "upstream", [], []),
        (ssl.CERT_OPTIONAL, "upstream", ["upstream-open"], []),
        (ssl.CERT_REQUIRED, "holders", ["upstream-open"], []),
        (ssl.CERT_REQUIRED, "nobody", [], ["whom upstream 127.0.0.1:{port} lets in"]),
    ],
)
def test_an_upstream_by_mutual_tls_that_others_can_reach_is_asked_whom_it_lets_in(
    patient: Patient, demands: ssl.VerifyMode, trusted: str, codes: list[str], unseen: list[str]
) -> None:
    folder = with_mutual_tls(patient, 0)
    (port,) = free_ports(1)
    block = "\n".join((f"reverse_proxy https://127.0.0.1:{port} {{", *transport(folder, "localhost"), "}"))
    patient.write(patient.site().replace(f"reverse_proxy 127.0.0.1:{patient.upstream}", block))
    authorities = {
        "upstream": folder.authority,
        "holders": patient.home.authority_certificate,
        "nobody": folder.server,
    }
    with Impostor(port, folder.server, authorities[trusted], demands, host="0.0.0.0"):  # noqa: S104 - as above
        (area,) = patient.diagnose(Area.UPSTREAMS).areas
    assert [finding.code for finding in area.findings] == codes, area
    assert [each.what for each in area.unseen] == [each.format(port=port) for each in unseen]


def seen(box: Box, patient: Patient) -> tuple[list[str], list[str]]:
    """Return the faults that doctor names on a machine, and what it could not look at there."""
    words = ("--home", patient.home.root, "doctor", "upstreams", "--json")
    done = box.pivgate(*words)
    (area,) = json.loads(done.stdout)["areas"]
    findings = [finding["code"] for finding in area["findings"]]
    assert done.returncode == bool(findings)
    return findings, [unseen["what"] for unseen in area["not_looked_at"]]


def test_a_firewall_that_was_flushed_is_named(sound: Patient) -> None:
    with copied(sound) as patient, wired() as lab:
        with_upstream(patient, "127.0.0.1:8000")
        box = lab.box(1)
        box.serve(8000)
        assert seen(box, patient) == (["upstream-open"], [])
        box.good("--home", patient.home.root, "firewall", "apply")
        assert seen(box, patient) == ([], [])
        box.run("nft", "flush", "ruleset")
        assert seen(box, patient) == (["firewall-changed"], [])


def test_name_servers_that_do_not_answer_are_not_waited_for(sound: Patient) -> None:
    with copied(sound) as patient, wired() as lab:
        with_upstream(patient, "app.internal:8000")
        box = lab.box(1)
        box.start(sys.executable, "-IS", "-c", MUTE)
        (box.root / "etc/resolv.conf").unlink()
        (box.root / "etc/resolv.conf").write_text(f"nameserver {box.four}\noptions timeout:30\n")
        assert seen(box, patient) == ([], ["the upstreams"])
