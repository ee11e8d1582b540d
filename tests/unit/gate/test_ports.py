# SPDX-License-Identifier: Apache-2.0
"""Who listens on a port, and what Caddy's complaints about ports mean."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.errors import GateError
from pivgate.gate.addresses import Tcp
from pivgate.gate.ports import explain, holders, pids_that_listen, refuse_shared
from pivgate.settings import Home

CADDY = Path("/usr/bin/env")
HOME = Home(Path("/nowhere"))


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"])
def listening(request: pytest.FixtureRequest) -> Iterator[Tcp]:
    host, family = request.param
    with socket.create_server((host, 0), family=family) as server:
        yield Tcp(host, server.getsockname()[1])


def test_the_holder_of_a_port_is_found(listening: Tcp) -> None:
    for address in (
        listening,
        Tcp("", listening.port),
        Tcp("0.0.0.0", listening.port),  # noqa: S104 - asked about, not bound
        Tcp("::", listening.port),
    ):
        assert [(holder.port, holder.pid) for holder in holders([address])] == [(listening.port, os.getpid())]


def test_another_address_or_port_is_free(listening: Tcp) -> None:
    assert holders([Tcp("127.0.0.2", listening.port)]) == []
    assert holders([]) == []


def test_a_connection_is_no_listener(listening: Tcp) -> None:
    with socket.create_connection((listening.host, listening.port)) as connection:
        assert holders([Tcp("", connection.getsockname()[1])]) == []


def test_a_port_of_another_process_is_refused_and_our_own_is_not(listening: Tcp) -> None:
    refuse_shared([listening], os.getpid(), HOME)

    with pytest.raises(GateError, match=rf"Port {listening.port} .* \(process {os.getpid()}\)"):
        refuse_shared([listening], os.getpid() + 1, HOME)


def test_a_port_in_use_is_told_with_its_holder(listening: Tcp) -> None:
    found = explain(
        f"http app module: start: listen tcp {listening}: bind: address already in use",
        CADDY,
        HOME,
    )

    assert found is not None
    assert f"Port {listening.port} is already in use by" in found.message
    assert f"process {os.getpid()}" in found.message


def test_a_low_port_without_permission_is_told_with_what_to_grant() -> None:
    found = explain("start: listening on :443: listen tcp :443: bind: permission denied", CADDY, HOME)

    assert found is not None
    assert found.message == "This user may not listen on port 443"
    assert f"setcap cap_net_bind_service=+ep {CADDY.resolve()}" in found.hint


def test_an_address_of_another_machine_is_told() -> None:
    found = explain("listen tcp 192.0.2.1:443: bind: cannot assign requested address", CADDY, HOME)

    assert found is not None
    assert "192.0.2.1:443: cannot assign requested address" in found.message


def test_other_complaints_are_not_about_ports() -> None:
    assert explain("unknown module: http.handlers.bogus", CADDY, HOME) is None


def test_a_holder_that_cannot_be_seen_is_told_without_a_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    found = explain(f"listen tcp :{free}: bind: address already in use", CADDY, HOME)

    assert found is not None
    assert found.message == f"Port {free} is already in use by another user's process"


def test_who_listens_at_all_is_found(listening: Tcp) -> None:
    assert os.getpid() in pids_that_listen()


CONNECTED = """
import socket, sys
kept = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
sys.stdin.read()
"""


def test_a_process_that_only_connects_does_not_listen() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(
            [sys.executable, "-c", CONNECTED, str(server.getsockname()[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other,
    ):
        assert other.stdout is not None
        other.stdout.readline()
        assert other.pid not in pids_that_listen()
        other.communicate()
