# SPDX-License-Identifier: Apache-2.0
"""What the proxy makes of a site that misbehaves: a real TLS server that does what no gate does."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import httpx
import pytest
from tests.unit.client.conftest import Bench, Serve

from pivgate.client.loopback import Loopback
from pivgate.client.site import parse_site
from pivgate.client.upstreams import Upstreams
from pivgate.errors import GateError, SecretError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read_request(tls: Any) -> bytes:
    """Read one request, head and body by Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = tls.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        body += tls.recv(65536)
    return head


class Proxy:
    """A proxy in this process, and the requests that its site has seen."""

    def __init__(self, bench: Bench, port: int, pin: str = "123456") -> None:
        self.key = bench.key(pin)
        site = parse_site("https://site.test/", f"127.0.0.1:{port}")
        self.upstreams = Upstreams(site, self.key, [bench.authority.certificate])
        self.loopback = Loopback(0, self.upstreams, "token")
        self.loopback.start()
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.loopback.port}/", headers={"Pivgate-Token": "token"}, timeout=10
        )

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()
        self.loopback.end()


StartServer = Callable[[Serve], int]


def test_a_kept_connection_that_ends_in_the_middle(bench: Bench, tls_server: StartServer) -> None:
    """A request that may be carried out twice is sent again; another is not."""
    seen: list[tuple[int, bytes]] = []

    def serve(tls: Any, number: int) -> None:
        for turn in range(2):
            if not (head := read_request(tls)):
                return
            seen.append((number, head.split()[0]))
            if turn == 0:
                tls.sendall(OK)

    with Proxy(bench, tls_server(serve)) as proxy:
        assert proxy.http.get("/").text == "ok"
        assert proxy.http.get("/").text == "ok"  # the first connection ends on it; a second one serves
        lost = proxy.http.post("/", content=b"x")  # on the second one
        assert (lost.status_code, "before it answered" in lost.text) == (502, True)
        assert proxy.http.post("/", content=b"x").text == "ok"
    assert seen == [(1, b"GET"), (1, b"GET"), (2, b"GET"), (2, b"POST"), (3, b"POST")]
    assert proxy.key.signatures == 3
    assert bench.asked == [3]


def test_no_more_idle_connections_than_are_of_use(bench: Bench, tls_server: StartServer) -> None:
    ended: list[int] = []

    def serve(tls: Any, number: int) -> None:
        try:
            while read_request(tls):
                tls.sendall(OK)
        finally:
            ended.append(number)

    with Proxy(bench, tls_server(serve)) as proxy:
        taken = [proxy.upstreams.take() for _ in range(10)]
        for each in taken:
            proxy.upstreams.keep(each)
        deadline = time.monotonic() + 10
        while len(ended) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert sorted(ended) == [1, 2]
        assert proxy.http.get("/").text == "ok"
        assert proxy.key.signatures == 10


def test_a_kept_connection_that_has_ended_is_not_used(bench: Bench, tls_server: StartServer) -> None:
    ended = threading.Event()

    def serve(tls: Any, number: int) -> None:
        read_request(tls)
        tls.sendall(OK)
        tls.shutdown(socket.SHUT_RDWR)
        ended.set()

    with Proxy(bench, tls_server(serve)) as proxy:
        for _ in range(2):
            ended.clear()
            assert proxy.http.post("/", content=b"x").text == "ok"
            assert ended.wait(5)
    assert proxy.key.signatures == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_a_broken_answer_does_not_look_whole(bench: Bench, tls_server: StartServer, answer: bytes) -> None:
    def serve(tls: Any, number: int) -> None:
        read_request(tls)
        tls.sendall(answer)

    with Proxy(bench, tls_server(serve)) as proxy, pytest.raises(httpx.RemoteProtocolError):
        proxy.http.get("/")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_nonsense_is_an_error_of_the_site(bench: Bench, tls_server: StartServer, answer: bytes) -> None:
    def serve(tls: Any, number: int) -> None:
        read_request(tls)
        tls.sendall(answer)

    with Proxy(bench, tls_server(serve)) as proxy:
        assert proxy.http.get("/").status_code == 502


def test_an_upload_that_breaks_off_is_not_whole_for_the_site(bench: Bench, tls_server: StartServer) -> None:
    got: list[bytes] = []
    ended = threading.Event()

    def serve(tls: Any, number: int) -> None:
        data = b""
        try:
            while piece := tls.recv(65536):
                data += piece
        finally:
            got.append(data)
            ended.set()

    with Proxy(bench, tls_server(serve)) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.loopback.port)) as sock:
            sock.sendall(
                f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{proxy.loopback.port}\r\nPivgate-Token: token\r\n"
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".encode()
            )
        assert ended.wait(10)
    assert got[0].endswith(b"3\r\nabc\r\n")  # and no 0 after it


def test_a_program_that_goes_away_frees_the_connection(bench: Bench, tls_server: StartServer) -> None:
    ended = threading.Event()

    def serve(tls: Any, number: int) -> None:
        read_request(tls)
        try:
            tls.recv(1)  # never answers
        finally:
            ended.set()

    with Proxy(bench, tls_server(serve)) as proxy:
        with pytest.raises(httpx.ReadTimeout):
            proxy.http.get("/", timeout=0.5)
        assert ended.wait(10)


def test_a_wrong_pin_ends_the_proxy(bench: Bench, tls_server: StartServer) -> None:
    with Proxy(bench, tls_server(lambda *_: None), pin="999999") as proxy:
        told = proxy.http.get("/")
        assert (told.status_code, "Wrong PIN" in told.text) == (502, True)
        with pytest.raises(SecretError, match="Wrong PIN"):
            proxy.loopback.wait()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{proxy.loopback.port}/")
    assert bench.asked == [3]


def test_proof_of_a_login(bench: Bench, tls_server: StartServer) -> None:
    def answer(text: bytes) -> Serve:
        def serve(tls: Any, number: int) -> None:
            assert read_request(tls).startswith(b"OPTIONS * HTTP/1.1")
            tls.sendall(text)

        return serve

    for text in (OK, b"HTTP/1.1 405 No\r\nConnection: close\r\n\r\n"):
        with Proxy(bench, tls_server(answer(text))) as proxy:
            proxy.upstreams.prove()
    with Proxy(bench, tls_server(answer(b"220 mail.test ESMTP\r\n"))) as proxy:
        with pytest.raises(GateError, match="does not answer as a web site"):
            proxy.upstreams.prove()


def test_many_sockets_end_with_the_proxy(bench: Bench, tls_server: StartServer) -> None:
    def serve(tls: Any, number: int) -> None:
        read_request(tls)
        tls.recv(1)

    with Proxy(bench, tls_server(serve)) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.loopback.port), timeout=10) as sock:
            sock.sendall(
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{proxy.loopback.port}\r\n"
                "Pivgate-Token: token\r\n\r\n".encode()
            )
            threading.Timer(0.3, proxy.loopback.end).start()
            told = b""
            with suppress(ConnectionResetError):
                while piece := sock.recv(4096):
                    told += piece
            assert told == b"" or told.startswith(b"HTTP/1.1 502 ")
        with pytest.raises(GateError, match="has ended"):
            proxy.upstreams.take()


def test_h11_is_what_parses() -> None:
    """Both sides are read by one parser; what it lets through in a request is refused by the gatekeeper."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert {name for name, _ in event.headers} >= {b"content-length", b"transfer-encoding"}


def test_the_server_is_judged_before_it_learns_who_we_are(bench: Bench, tls_server: StartServer) -> None:
    with Proxy(bench, tls_server(lambda *_: None)) as proxy:
        proxy.upstreams._trust = []
        answer = proxy.http.get("/")
        assert (answer.status_code, "not good for site.test" in answer.text) == (502, True)
    assert proxy.key.signatures == 0
    assert bench.asked == []
