# SPDX-License-Identifier: Apache-2.0
"""Thousands who connect and then say nothing, or too slowly: a holder gets through all the same."""

import resource
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tests.interop.gate.attackers.conftest import Siege
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import anonymous

from pivgate.gate.apply import up

pytestmark = pytest.mark.interop

WANTED = 10_000
# What the tests, their upstream and the gate need of files beside those connections.
SPARE = 1_000


@contextmanager
def files_for(count: int) -> Iterator[int]:
    """Raise the limit of open files; yield how many connections it has room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    raised = max(soft, count + SPARE if unlimited else min(hard, count + SPARE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    try:
        yield min(count, raised - SPARE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def hello(server_name: str) -> bytes:
    """Return the first message of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = anonymous().wrap_bio(incoming, outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def half_open(port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(sent)
    return connection


def test_ten_thousand_half_open_connections(
    siege: Siege, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Six of ten only connect, two send a piece of a handshake, two begin one and leave it there."""
    greeting = hello("a.test")
    stages = [b""] * 6 + [greeting[:20], greeting[:-1]] + [greeting] * 2
    before = siege.served["during"]
    with files_for(WANTED) as room, ExitStack() as held:
        connections = [
            held.enter_context(half_open(siege.gate.port, stages[number % len(stages)]))
            for number in range(room)
        ]
        record_testsuite_property("half-open connections", len(connections))
        served = siege.served["during"]
        siege.visit()
        record_testsuite_property("bytes of memory meanwhile", siege.memory())
        siege.judge()
        deadline = time.monotonic() + 60
        while siege.served["during"] < served + 3:
            assert time.monotonic() < deadline, "no holder gets through"
            time.sleep(0.01)
        # They are still there: it is beside them that the holder got through.
        poll = select.poll()
        for connection in connections[:: len(stages)]:
            poll.register(connection, select.POLLIN | select.POLLHUP)
        assert poll.poll(0) == []
    assert siege.served["during"] > before


WHERE = [("anonymous", "open.test"), ("mallory", "a.test"), ("bob", "b.test")]
BEGUN = (
    b"G",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ",
    b"POST / HTTP/1.1\r\nHost: {site}\r\nContent-Length: 1000000\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: {site}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM",
)


def test_slow_requests_of_those_who_can_shake_hands(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext]
) -> None:
    served = siege.served["during"]
    with ExitStack() as held:
        slow = []
        for who, site in WHERE:
            context = contexts(who)
            for number in range(60):
                connection = held.enter_context(siege.gate.connect(context, site))
                host = f"{site}:{siege.gate.port}".encode()
                connection.sendall(BEGUN[number % len(BEGUN)].replace(b"{site}", host))
                slow.append(connection)
        for _ in range(3):
            for connection in slow:
                try:
                    connection.sendall(b"x")
                except (ssl.SSLError, OSError):
                    continue
            siege.visit()
    assert siege.served["during"] > served


def test_whoever_does_not_read_keeps_nobody_waiting(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext]
) -> None:
    with ExitStack() as held:
        for who, site in WHERE:
            connection = held.enter_context(siege.gate.connect(contexts(who), site))
            connection.settimeout(0.3)
            request = f"GET / HTTP/1.1\r\nHost: {site}:{siege.gate.port}\r\n\r\n".encode()
            try:
                for _ in range(200):
                    connection.sendall(request * 50)
            except (ssl.SSLError, OSError):
                pass
        siege.visit()


def test_a_limit_ends_what_is_half_open(place: Place) -> None:
    """What the page on attackers recommends; without it Caddy takes a minute."""
    limited = "\tservers {\n\t\ttimeouts {\n\t\t\tread_header 1s\n\t\t}\n"
    place.home.caddyfile.write_text(place.home.caddyfile.read_text().replace("\tservers {\n", limited, 1))
    up(place.home)
    greeting = hello("a.test")
    mallory = place.authority.client("mallory").context()
    with ExitStack() as held:
        waiting = [
            held.enter_context(half_open(place.port, stage)) for stage in [b"", greeting[:20], greeting] * 100
        ]
        secured = mallory.wrap_socket(
            socket.create_connection(("127.0.0.1", place.port), timeout=30), server_hostname="a.test"
        )
        held.enter_context(secured)
        secured.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")
        for connection in [*waiting, secured]:
            connection.settimeout(30)
            # The server's greeting where there is one, then the end.
            while _read(connection):
                pass


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""
