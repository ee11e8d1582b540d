# SPDX-License-Identifier: Apache-2.0
"""The gate as an operator runs it: up, logged in to with a key, shut by a command on an open connection."""

import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from pivgate.cli.demo_upstream import WhoIsCalling
from pivgate.errors import RefusedError
from tests.cli.conftest import ALICE, Machine, refused

SITE = "app.localhost"


@pytest.fixture
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), WhoIsCalling)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def gate(provisioned: Machine, upstream: str) -> Machine:
    provisioned.good("site", "add", SITE, upstream)
    assert "all refused" in provisioned.good("up").out
    return provisioned


def test_a_login_with_the_key(gate: Machine) -> None:
    connection = gate.visit(SITE, gate.login(ALICE))
    status, body = connection.ask("GET", "/")
    connection.close()
    assert status == 200
    assert b'"x-client-user": "alice"' in body


@pytest.mark.parametrize(
    "command",
    [
        ("key", "revoke", str(ALICE), "--reason", "keyCompromise", "--no-sever", "--yes"),
        ("key", "revoke", "alice", "--yes"),
        ("key", "lost", str(ALICE), "--no-sever"),
        ("user", "remove", "alice", "--yes"),
    ],
    ids=" ".join,
)
def test_refused_from_the_next_request_on_an_open_connection(gate: Machine, command: tuple[str, ...]) -> None:
    connection = gate.visit(SITE, gate.login(ALICE))
    assert connection.ask("GET", "/")[0] == 200
    done = gate.good(*command)
    assert re.search(r"The running gate refuses .* proved after \d+ ms", done.out)
    assert connection.ask("GET", "/")[0] == 403
    connection.close()
    fresh = gate.visit(SITE, gate.login(ALICE))
    assert fresh.ask("GET", "/")[0] == 403
    fresh.close()
    gate.good("audit", "verify")
    assert gate.good("status", "--json").json()["sound"] is True


@pytest.mark.parametrize(
    "command",
    [("key", "revoke", "alice", "--yes"), ("key", "lost", str(ALICE)), ("user", "remove", "alice", "--yes")],
)
def test_a_gate_that_still_opens_is_said_aloud(gate: Machine, command: tuple[str, ...]) -> None:
    stubborn = gate.run(*command, environment={"STUBBORN_TREE": "1"})
    refused(stubborn, 7, "still lets", "pivgate down")
    assert gate.run("status").status == 6
    assert "Access tree mended" in gate.good("up").out
    fresh = gate.visit(SITE, gate.login(ALICE))
    assert fresh.ask("GET", "/")[0] == 403
    fresh.close()


def test_leaving_a_group_shuts_its_sites(gate: Machine, upstream: str) -> None:
    gate.good("group", "add", "staff")
    gate.good("group", "join", "staff", "alice")
    gate.good("site", "add", "staff.localhost", upstream, "--allow", "staff")
    connection = gate.visit("staff.localhost", gate.login(ALICE))
    assert connection.ask("GET", "/")[0] == 200
    gate.good("group", "leave", "staff", "alice")
    assert connection.ask("GET", "/")[0] == 403
    gate.good("group", "join", "staff", "alice")
    assert connection.ask("GET", "/")[0] == 200
    gate.good("group", "remove", "staff", "--yes")
    assert connection.ask("GET", "/")[0] == 403
    connection.close()
    still = gate.visit(SITE, gate.login(ALICE))
    assert still.ask("GET", "/")[0] == 200
    still.close()


def test_without_a_key_nobody_gets_in(gate: Machine) -> None:
    curl = subprocess.run(
        [
            *("curl", "--silent", "--insecure", "--max-time", "10", "--output", "/dev/null"),
            *("--resolve", f"{SITE}:{gate.https_port}:127.0.0.1", f"https://{SITE}:{gate.https_port}/"),
        ],
        check=False,
    )
    assert curl.returncode != 0
    nobody = gate.visit(SITE)
    with pytest.raises(RefusedError, match="wants a client certificate and got none"):
        nobody.ask("GET", "/")
    nobody.close()


def test_a_site_brings_its_own_certificate(gate: Machine, upstream: str) -> None:
    own = "own.example.com"
    certificate, key = gate.root / "own.pem", gate.root / "own.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={own}", "-addext", f"subjectAltName=DNS:{own}", "-days", "2"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    gate.good("site", "add", own, upstream, "--certificate", certificate, "--key", key)
    curl = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--max-time", "10", "--cacert", certificate, "--verbose"),
            *("--resolve", f"{own}:{gate.https_port}:127.0.0.1", f"https://{own}:{gate.https_port}/"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    # The server's certificate is the site's own; then the gate wants the client's.
    assert "SSL certificate verify ok" in curl.stderr
    assert curl.returncode != 0
    assert curl.stdout == ""
    broken = gate.root / "broken.pem"
    broken.write_text("not a certificate")
    before = gate.home.caddyfile.read_bytes()
    refused(gate.run("site", "add", "two.example.com", upstream, "--certificate", broken, "--key", key), 2)
    assert gate.home.caddyfile.read_bytes() == before


def test_a_check_says_what_is_not_applied(gate: Machine) -> None:
    assert gate.good("site", "check").err == ""
    with gate.home.caddyfile.open("a") as file:
        file.write("\nother.localhost {\n\trespond hello\n}\n")
    assert "`pivgate up` applies it" in gate.good("site", "check").err


def test_a_removed_site_is_gone(gate: Machine) -> None:
    gate.good("site", "remove", SITE, "--yes")
    assert gate.good("site", "list", "--json").json() == []
    gate.good("down")
    assert gate.run("status").status == 6
