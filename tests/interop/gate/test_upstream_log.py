# SPDX-License-Identifier: Apache-2.0
"""What is in the gate's log when an upstream fails: the upstream in one line, the request in the server's."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.ports import free_port

from pivgate.gate.apply import up

pytestmark = pytest.mark.interop

BROKEN_OFF = "aborting with incomplete response"
SITE = "\nc.test {{\n\timport pivgate admins internal {{\n\t\treverse_proxy 127.0.0.1:{port}\n\t}}\n}}\n"


@contextmanager
def breaking_off() -> Iterator[int]:
    """Run an upstream that promises more than it sends."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def line(log: Path, wanted: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = log.read_text().splitlines()
        if found := next((json.loads(each) for each in lines if wanted in each), None):
            return found
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def test_the_line_about_an_upstream_is_there_without_the_request(place: Place, alice: Client) -> None:
    with breaking_off() as port:
        place.write(SITE.format(port=port))
        up(place.home)
        with pytest.raises(AssertionError, match="the reply was cut off"):
            place.ask(alice, "c")

    told = line(place.home.run / "caddy.log", BROKEN_OFF)

    assert (told["logger"], told["upstream"]) == ("http.handlers.reverse_proxy", f"127.0.0.1:{port}")
    assert "request" not in told
    assert "EOF" in told["error"]


def test_the_request_is_in_the_line_about_the_error(place: Place, alice: Client) -> None:
    port = free_port()
    place.write(SITE.format(port=port))
    up(place.home)

    assert place.ask(alice, "c").startswith("502")

    told = line(place.home.run / "caddy.log", "connection refused")
    assert (told["logger"], told["request"]["host"]) == ("http.log.error", f"c.test:{place.port}")
