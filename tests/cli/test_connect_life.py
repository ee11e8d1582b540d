# SPDX-License-Identifier: Apache-2.0
"""The life of a ``pivgate connect``: it begins with a proof, and ends with the key."""

import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.card_machine import CardMachine, alices_gate
from tests.cli.conftest import ALICE, refused
from tests.cli.upstream import MIB, running_app
from tests.ports import free_port

SITE = "app.localhost"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardMachine]:
    """A gate whose key is plugged in; it is shared, so tests leave it as it was."""
    with running_app(tmp_path_factory.mktemp("files")) as app, alices_gate(SITE, app) as machine:
        yield machine


def signatures(gate: CardMachine) -> int:
    """Count the signatures that the key made; before the PIN is given it refuses once."""
    return sum(
        command[1] == 0x87 and command[3] == 0x9A and reply[-2:] == b"\x90\x00" and len(reply) > 2
        for command, reply in gate.table.log
    )


def test_many_programs_share_the_key(gate: CardMachine) -> None:
    with gate.connected(SITE) as proxy:
        before = signatures(gate)
        with proxy.client() as http:
            for _ in range(20):
                assert http.get("/headers").status_code == 200
        assert signatures(gate) == before  # the first login's connection was kept
        answers: list[int] = []

        def ask() -> None:
            with proxy.client() as http:
                answers.extend(http.get("/chunked?2000").status_code for _ in range(5))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 40
        assert signatures(gate) - before <= 8
    assert (proxy.status, proxy.err) == (0, "")  # Ctrl-C


def test_a_token_in_a_file_is_printed_nowhere(gate: CardMachine, tmp_path: Path) -> None:
    file, port = tmp_path / "token", free_port()
    with gate.connected(SITE, "--token-file", file, "--port", str(port)) as proxy:
        assert (proxy.port, proxy.token) == (port, None)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        token = file.read_text().strip()
        assert httpx.get(f"{proxy.url}headers", auth=("x", token)).status_code == 200
        taken = gate.run(
            *("connect", f"https://{SITE}:{gate.https_port}", "--port", str(port)),
            *("--pin-file", gate.secrets["pin"]),
        )
        refused(taken, 2, f"Port {port}")
        listening = Path(f"/proc/{proxy.process.pid}/net/tcp").read_text()
        assert f"0100007F:{port:04X}" in listening
        assert f"00000000:{port:04X}" not in listening
        assert token not in Path(f"/proc/{proxy.process.pid}/cmdline").read_text()
    assert not file.exists()


def test_it_ends_with_the_key(gate: CardMachine) -> None:
    with gate.connected(SITE) as proxy:
        gate.table.readers[0].remove()
        try:
            assert proxy.process.wait(10) == 5
        finally:
            gate.table.readers[0].insert()
            gate.table.readers[0].await_power(10)
    assert "was pulled out" in proxy.err
    assert "Plug it in" in proxy.err


def test_a_key_put_back_at_once_was_pulled_out_too(gate: CardMachine) -> None:
    with gate.connected(SITE) as proxy:
        reader = gate.table.readers[0]
        reader.remove()
        gate.table.await_cards(0)
        reader.insert()
        reader.await_power(10)
        assert proxy.process.wait(10) == 5


def test_a_signal_ends_it(gate: CardMachine) -> None:
    with gate.connected(SITE) as proxy:
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(10) == 0


def test_the_gates_restart_is_survived(gate: CardMachine) -> None:
    with gate.connected(SITE) as proxy, proxy.client() as http:
        assert http.get("/headers").status_code == 200
        gate.good("down")
        down = http.get("/headers")
        assert (down.status_code, "Nobody answers" in down.text) == (502, True)
        gate.good("up")
        assert http.get("/headers").status_code == 200
        assert http.post("/sink", content=b"hello").json()["length"] == 5


def test_a_gate_that_speaks_tls_1_2_only(gate: CardMachine) -> None:
    with gate.home.caddyfile.open("a") as file:
        file.write(
            "\nold.localhost {\n\timport pivgate-tls everyone {\n\t\ttls {\n\t\t\tprotocols tls1.2 tls1.2\n"
            "\t\t\tissuer internal\n\t\t}\n\t\tsite {\n\t\t\trespond {http.request.tls.version}\n"
            "\t\t}\n\t}\n}\n"
        )
    gate.good("up")
    with gate.connected("old.localhost") as proxy, proxy.client() as http:
        before = signatures(gate)
        assert [http.get("/").text for _ in range(3)] == ["tls1.2"] * 3
        assert signatures(gate) == before


def test_no_proxy_for_a_site_that_is_not_behind_a_gate(gate: CardMachine) -> None:
    with gate.home.caddyfile.open("a") as file:
        file.write("\nopen.localhost {\n\trespond hello\n}\n")
    gate.good("up")
    done = gate.run(
        "connect", f"https://open.localhost:{gate.https_port}/", "--pin-file", gate.secrets["pin"]
    )
    refused(done, 1, "did not ask for a certificate")


def test_a_wrong_pin_starts_nothing(gate: CardMachine) -> None:
    wrong = gate.secret("wrong", "999999")
    done = gate.run("connect", f"https://{SITE}:{gate.https_port}", "--pin-file", wrong)
    refused(done, 4, "Wrong PIN; 2 tries are left")
    assert (
        gate.run("probe", f"https://{SITE}:{gate.https_port}", "--pin-file", gate.secrets["pin"]).status == 0
    )


def test_a_key_revoked_meanwhile_gets_the_gates_page(gate: CardMachine) -> None:
    with gate.connected(SITE) as proxy, proxy.client() as http:
        assert http.get("/headers").status_code == 200
        gate.good("key", "lost", str(ALICE))
        started = time.monotonic()
        lost = http.get("/headers")
        assert lost.status_code == 403
        assert "not in force here" in lost.text
        assert http.post("/sink", content=b"x" * MIB).status_code == 403
        gate.good("key", "found", str(ALICE), "--yes")
        assert http.get("/headers").status_code == 200
        assert time.monotonic() - started < 30
