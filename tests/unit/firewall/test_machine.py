# SPDX-License-Identifier: Apache-2.0
"""What Linux says of the machine, read from /proc."""

import os
import socket
import subprocess
import sys
from ipaddress import ip_address

import pytest

from pivgate.firewall.machine import (
    Listener,
    Machine,
    parse_fib_trie,
    parse_if_inet6,
    parse_tcp,
    resolve,
    source_address,
    ssh_session,
    this_machine,
    wildcard,
)
from pivgate.firewall.targets import Upstream

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.7
           /32 link UNICAST
           /32 host LOCAL
        |-- 192.0.2.9
           /32 link UNICAST
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.7
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe800000000000000000000000000001 02 40 20 80     eth0
fd770000000000000000000000000002 02 40 00 80     eth0
"""
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def test_ipv4_addresses() -> None:
    assert parse_fib_trie(FIB_TRIE) == [ip_address("127.0.0.1"), ip_address("192.0.2.7")]


def test_ipv6_addresses_but_those_of_a_link() -> None:
    assert parse_if_inet6(IF_INET6) == [ip_address("::1"), ip_address("fd77::2")]


def test_nothing_in_empty_files() -> None:
    assert parse_fib_trie("") == parse_if_inet6("") == parse_tcp("") == parse_tcp(HEAD) == []


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"]
)
def test_this_machine_has_its_addresses_and_what_listens(host: str, family: socket.AddressFamily) -> None:
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        machine = this_machine()
        assert Listener(ip_address(host), port) in machine.listeners
        assert ip_address(host) in machine.addresses
    assert Listener(ip_address(host), port) not in this_machine().listeners


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            ports = [each.port for each in this_machine().listeners]
            assert server.getsockname()[1] in ports
            assert client.getsockname()[1] not in ports


def test_every_address_of_ipv4_and_of_ipv6() -> None:
    listeners = [
        Listener(ip_address(each), port)
        for each, port in (("0.0.0.0", 80), ("::", 80), ("127.0.0.1", 80), ("::", 81))  # noqa: S104
    ]
    assert [str(each) for each in wildcard(listeners, 80)] == ["0.0.0.0:80", "[::]:80"]


def test_an_address_in_ipv6_form_is_its_ipv4_address() -> None:
    line = "   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0 0 0\n"
    assert parse_tcp(HEAD + line) == [Listener(ip_address("127.0.0.1"), 8080)]


def test_what_stays_on_the_machine() -> None:
    machine = Machine((ip_address("192.0.2.7"),))
    here = ("192.0.2.7", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::")  # noqa: S104
    assert all(machine.has(ip_address(each)) for each in here)
    assert not any(machine.has(ip_address(each)) for each in ("192.0.2.8", "fd00::1", "10.0.0.1"))


def test_names() -> None:
    assert ip_address("127.0.0.1") in resolve(Upstream("localhost", 80))
    assert resolve(Upstream("::ffff:10.0.0.1", 80)) == (ip_address("10.0.0.1"),)
    assert resolve(Upstream("no-such-name.invalid", 80)) == ()


def test_the_address_with_which_we_call() -> None:
    assert source_address(ip_address("127.0.0.1")) == ip_address("127.0.0.1")
    assert source_address(ip_address("::1")) == ip_address("::1")


def test_the_session_is_found_above_a_process_that_does_not_know_it() -> None:
    sleeper = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    shell = [
        "sh",
        "-c",
        'env -u SSH_CONNECTION "$@"; true',
        "-",
        "sh",
        "-c",
        'echo $$; exec "$@"',
        "-",
        *sleeper,
    ]
    environment = {"PATH": os.environ["PATH"], "SSH_CONNECTION": "10.0.0.9 50000 10.0.0.1 22"}
    with subprocess.Popen(shell, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        process.stdout.readline()
        assert inner != process.pid
        assert ssh_session(inner) == ssh_session(process.pid) == "10.0.0.9 50000 10.0.0.1 22"
        process.stdin.close()
    assert ssh_session(inner) == ""
    assert ssh_session(1) == ""
