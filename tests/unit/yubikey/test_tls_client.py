# SPDX-License-Identifier: Apache-2.0
"""Requests with a key, to a server that says no more than it must."""

import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests.unit.client.conftest import Authority

from pivgate.yubikey import tls_client
from pivgate.yubikey.tls_client import HttpsConnection


@pytest.mark.parametrize("answer", [b"200 OK\r\nContent-Length: 0", b"204 No Content"])
def test_an_answer_without_a_body_has_ended_before_the_connection_does(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_client, "_TIMEOUT", 5.0)
    authority, read = Authority(), threading.Event()
    context = authority.server_context(tmp_path, "site.test")
    context.verify_mode = ssl.CERT_NONE
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as server:
                server.recv(65536)
                server.sendall(b"HTTP/1.1 " + answer + b"\r\n\r\n")
                read.wait(20)

        listener.settimeout(20)
        thread = threading.Thread(target=serve)
        thread.start()
        connection = HttpsConnection(listener.getsockname(), "site.test", [authority.certificate])
        try:
            assert connection.ask("GET", "/") == (int(answer[:3]), b"")
        finally:
            read.set()
            connection.close()
            thread.join()
