# SPDX-License-Identifier: Apache-2.0
"""``pivgate probe``: a login from the command line, and every refusal, seen through the real gate."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pivgate.gate.process import stop
from tests.cli.conftest import ALICE, Machine, Result, refused
from tests.cli.upstream import running_app
from tests.interop.gate.pki import Authority
from tests.ports import free_port

SITE = "app.localhost"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_app(tmp_path_factory.mktemp("files")) as address:
        yield address


@pytest.fixture(scope="module")
def gate(app: str) -> Iterator[Machine]:
    """A gate and alice's key; they are shared, so tests leave them as they were."""
    root = Path(tempfile.mkdtemp(prefix="pg"))
    machine = Machine(root)
    try:
        machine.init()
        machine.good("user", "add", "alice")
        machine.plug_in(ALICE)
        assert machine.provision("alice", "--algorithm", "p256").status == 0
        machine.good("site", "add", SITE, app)
        machine.good("up")
        yield machine
    finally:
        if machine.home.settings.exists():
            stop(machine.home, grace=0.5)
        shutil.rmtree(root)


def probe(machine: Machine, *arguments: str | Path, site: str = SITE, path: str = "/headers") -> Result:
    url = f"https://{site}:{machine.https_port}{path}"
    return machine.run("probe", url, "--pin-file", machine.secrets["pin"], *arguments)


def add_to_caddyfile(machine: Machine, text: str) -> None:
    with machine.home.caddyfile.open("a") as file:
        file.write(f"\n{text}\n")
    machine.good("up")


@pytest.mark.parametrize(
    ("firmware", "algorithm"),
    [("4.3.7", "p384"), ("5.4.3", "p256"), ("5.4.3", "rsa2048"), ("5.7.4", "p384"), ("5.7.4", "ed25519")],
)
def test_a_login(founded: Machine, app: str, firmware: str, algorithm: str) -> None:
    founded.plug_in(ALICE, firmware)
    assert founded.provision("alice", "--algorithm", algorithm).status == 0
    founded.good("site", "add", SITE, app)
    founded.good("up")
    for version in ("1.2", "1.3"):
        done = probe(founded, "--tls", version, "--json")
        assert done.status == 0, done
        told = done.json()
        assert told["certificate_asked"] is True
        assert told["authorities"] == [told["issuer"]]
        assert (told["subject"], told["status"], told["signatures"]) == ("CN=alice", 200, 1)
        assert told["tls"] == f"TLS {version}"
        assert told["server_certificate"].endswith("good")
        assert set(told["milliseconds"]) == {"connect", "handshake", "signature", "request"}
        assert told["milliseconds"]["signature"] > 0
        assert told["refusal"] is None
    shown = probe(founded)
    assert "The gate let CN=alice in." in shown.out
    assert "TLS 1.3" in shown.out


def failed(done: Result, status: int, *words: str) -> dict[str, Any]:
    """Accept a refusal that is told to people and to programs alike."""
    refused(done, status, *words)
    told: dict[str, Any] = done.json()
    assert f"Error: {told['refusal']['message']}" in done.err
    assert f"What to do: {told['refusal']['remedy']}" in done.err
    return told


def test_a_certificate_that_is_not_in_force(gate: Machine) -> None:
    gate.good("key", "lost", str(ALICE))
    told = failed(probe(gate, "--json"), 1, "not in force here", "Ask whoever runs this site", "name this")
    assert told["status"] == 403
    assert "not in force" in told["gate_reason"]
    assert told["fingerprint"] in told["refusal"]["remedy"]
    assert told["signatures"] == 1
    gate.good("key", "found", str(ALICE), "--yes")


def test_somebody_who_is_not_a_member(gate: Machine, app: str) -> None:
    gate.good("group", "add", "staff")
    gate.good("site", "add", "staff.localhost", app, "--allow", "staff")
    told = failed(probe(gate, "--json", site="staff.localhost"), 1, "the group staff")
    assert told["gate_contact"] == "whoever runs this site"


@pytest.mark.parametrize(("days", "words"), [("-400", "it has expired on"), ("30", "not valid before")])
def test_a_certificate_outside_its_dates(
    machine: Machine, app: str, monkeypatch: pytest.MonkeyPatch, days: str, words: str
) -> None:
    monkeypatch.setenv("DAYS_FROM_NOW", days if days.startswith("-") else "0")
    machine.init()
    machine.good("user", "add", "alice")
    machine.plug_in(ALICE)
    monkeypatch.setenv("DAYS_FROM_NOW", days)
    assert machine.provision("alice").status == 0
    monkeypatch.delenv("DAYS_FROM_NOW")
    machine.good("site", "add", SITE, app)
    machine.good("up")
    for version in ("1.2", "1.3"):
        told = failed(probe(machine, "--tls", version, "--json"), 1, words)
        assert told["status"] is None
        assert told["signatures"] == 1


def test_a_certificate_of_another_authority(gate: Machine, app: str) -> None:
    """Nothing is signed for a site that would not take the certificate."""
    (gate.root / "other").mkdir()
    other = Machine(gate.root / "other")
    try:
        other.init("--subject", "CN=other authority")
        other.good("site", "add", SITE, app)
        other.good("up")
        other.port = gate.port
        for version in ("1.2", "1.3"):
            told = failed(probe(other, "--tls", version, "--json"), 1, "asks for a certificate of")
            assert told["authorities"] == ["CN=other authority"]
            assert told["signatures"] == 0
            assert told["server_certificate"].endswith("good")
    finally:
        other.good("down")


def test_a_site_that_is_not_behind_a_gate(gate: Machine) -> None:
    add_to_caddyfile(gate, "open.localhost {\n\trespond hello\n}")
    for version in ("1.2", "1.3"):
        told = failed(
            probe(gate, "--tls", version, "--json", site="open.localhost"),
            1,
            "did not ask for a certificate",
            "not behind a gate",
        )
        assert (told["certificate_asked"], told["status"], told["signatures"]) == (False, 200, 0)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ("respond 401", 1, ("the site behind it answers 401",)),
        ("respond 403", 1, ("the site behind it answers 403",)),
        ("respond 421", 1, ("421", "the site's own name")),
    ],
)
def test_what_a_site_behind_the_gate_may_answer(
    gate: Machine, answer: str, status: int, words: tuple[str, ...]
) -> None:
    site = f"own{answer[-3:]}.localhost"
    add_to_caddyfile(gate, f"{site} {{\n\timport pivgate everyone {{\n\t\t{answer}\n\t}}\n}}")
    failed(probe(gate, "--json", site=site), status, *words)


def test_the_site_behind_the_gate_is_down_or_sends_on(gate: Machine) -> None:
    gate.good("site", "add", "down.localhost", f"127.0.0.1:{free_port()}")
    done = probe(gate, site="down.localhost")
    assert done.status == 0
    assert "502: the site behind the gate does not answer well" in done.out
    done = probe(gate, path="/redirect?/login")
    assert "302, sends on to /login" in done.out


def test_a_name_that_the_server_does_not_have(gate: Machine) -> None:
    failed(probe(gate, "--json", site="unknown.localhost"), 1, "knows no site of that name")
    failed(probe(gate, "--json", site="127.0.0.1"), 1, "knows no site of that name")


def test_no_version_in_common(gate: Machine) -> None:
    add_to_caddyfile(gate, "old.localhost {\n\ttls internal {\n\t\tprotocols tls1.2 tls1.2\n\t}\n}")
    failed(probe(gate, "--tls", "1.3", "--json", site="old.localhost"), 6, "no TLS version", "--tls")


def test_a_server_that_is_not_trusted(gate: Machine, tmp_path: Path) -> None:
    """Neither is the PIN asked for nor anything signed: nobody is there to be asked here."""
    stranger = Authority(tmp_path).pem
    url = f"https://{SITE}:{gate.https_port}/"
    for version in ("1.2", "1.3"):
        told = failed(
            gate.run("probe", url, "--ca", stranger, "--tls", version, "--json"),
            1,
            f"not good for {SITE}",
            "--ca",
        )
        assert told["server_certificate"].endswith("not trusted")
        assert told["signatures"] == 0
    root = gate.home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    assert probe(gate, "--ca", root).status == 0
    # The right authority, but for another name.
    told = failed(
        probe(gate, "--connect-to", f"127.0.0.1:{gate.https_port}", "--json", site="other.localhost"),
        1,
        "knows no site of that name",
    )
    refused(probe(gate, "--ca", gate.home.settings), 2, "holds no certificate")
    refused(probe(gate, "--ca", tmp_path / "missing"), 8, "missing")


def test_connecting_elsewhere(gate: Machine) -> None:
    url = f"https://{SITE}/headers"
    there = ("--connect-to", f"127.0.0.1:{gate.https_port}", "--pin-file", gate.secrets["pin"])
    assert gate.run("probe", url, *there).status == 0
    refused(gate.run("probe", url, "--connect-to", "nonsense"), 2, "HOST:PORT")


def test_nobody_there(gate: Machine) -> None:
    failed(gate.run("probe", f"https://localhost:{free_port()}/", "--json"), 6, "Nobody answers")
    failed(gate.run("probe", "https://no-such-name.invalid/", "--json"), 6, "does not resolve", "DNS")


def test_something_else_than_tls(gate: Machine) -> None:
    failed(gate.run("probe", f"https://localhost:{gate.http_port}/", "--json"), 6, "handshake")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        done = gate.run("probe", f"https://localhost:{server.getsockname()[1]}/", "--json")
    failed(done, 6, "handshake")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://app.localhost/", "over http://"),
        ("https://alice:secret@app.localhost/", "password"),
        ("https:///x", "no host"),
        ("https://app.localhost:99999/", "not a URL"),
        ("https://app.localhost/a b", "%XX"),
    ],
)
def test_a_url_that_cannot_be_meant(gate: Machine, url: str, words: str) -> None:
    done = gate.run("probe", url)
    refused(done, 2, words)
    assert "secret" not in done.err


def test_a_wrong_pin_and_a_blocked_one(gate: Machine) -> None:
    url, wrong = f"https://{SITE}:{gate.https_port}/", gate.secret("wrong", "999999")
    told = failed(gate.run("probe", url, "--pin-file", wrong, "--json"), 4, "Wrong PIN; 2 tries are left")
    assert told["signatures"] == 0
    refused(gate.run("probe", url), 4, "--pin-file")
    refused(gate.run("probe", url, "--pin-file", wrong), 4, "1 try is left")
    refused(gate.run("probe", url, "--pin-file", wrong), 4, "--use-last-try")
    refused(gate.run("probe", url, "--pin-file", wrong, "--use-last-try"), 4, "now it is blocked")
    refused(gate.run("probe", url, "--pin-file", wrong), 4, "blocked", "pivgate key reset-pin")
    gate.good("key", "reset-pin", "--puk-file", gate.secrets["puk"], "--pin-file", gate.secrets["pin"])
    assert gate.run("probe", url, "--pin-file", gate.secrets["pin"]).status == 0


def test_a_key_that_is_pulled_out(gate: Machine) -> None:
    url, pin = f"https://{SITE}:{gate.https_port}/", gate.secrets["pin"]
    seen = set()
    for at in (1, 12, 16, 20, 24, 28, 60):
        done = gate.run("probe", url, "--pin-file", pin, environment={"PULL_AT_APDU": str(at)})
        if done.status == 0:
            break
        refused(done, 5, "Plug it in")
        seen.add("signatures" in done.out)
        gate.pull_out(ALICE)
        gate.plug_in(ALICE)
    assert done.status == 0
    assert seen == {True, False}  # before the handshake, and in the middle of it


def test_a_touch_is_announced(founded: Machine, app: str) -> None:
    founded.plug_in(ALICE)
    assert founded.provision("alice", "--touch", "cached").status == 0
    founded.good("site", "add", SITE, app)
    founded.good("up")
    assert "Touch the YubiKey when it blinks." in probe(founded).err


def test_keys_that_cannot_log_in(founded: Machine) -> None:
    refused(founded.run("probe", "https://app.localhost"), 5, "no YubiKey")
    founded.plug_in(ALICE)
    refused(founded.run("probe", "https://app.localhost"), 1, "holds no certificate", "provision")
    founded.plug_in(ALICE + 1)
    refused(founded.run("probe", "https://app.localhost"), 5, "--serial")
    refused(founded.run("probe", "https://app.localhost", "--serial", str(ALICE)), 1, "no certificate")
