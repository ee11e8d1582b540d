# SPDX-License-Identifier: Apache-2.0
"""A unix socket that says one given thing to whoever connects, and keeps what it was told."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def answering(
    answer: bytes, until: bytes = b"\r\n\r\n", drops: int = 0
) -> Iterator[tuple[Path, list[bytes]]]:
    """Yield the socket's path and the list of requests it was sent.

    Args:
        answer: What is said to each.
        until: What a request has in it before it is answered.
        drops: How many of the first requests are read and get no answer.
    """
    # Not under tmp_path: a unix socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                # Who has given up waiting, or was killed, hears nothing.
                with connection, suppress(ConnectionError):
                    requests.append(_request(connection, until))
                    if len(requests) > drops:
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield folder / "s", requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            shutil.rmtree(folder)


def _request(connection: socket.socket, until: bytes) -> bytes:
    data = b""
    while until not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65536)):
        raise ConnectionAbortedError("the request has no end")
    return data


def reply(status: str, body: str = "") -> bytes:
    """Write an HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
