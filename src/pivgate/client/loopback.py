# SPDX-License-Identifier: Apache-2.0
"""A proxy on the loopback interface that logs in with the key, for programs that cannot."""

import secrets
import socket
import threading
from contextlib import suppress

from pivgate.client.gatekeeper import Gatekeeper
from pivgate.client.upstreams import Upstreams
from pivgate.client.visit import Visit
from pivgate.client.wire import cut
from pivgate.errors import InputError, PivgateError

_AT_ONCE = 100
"""Connections of programs; more wait until one has ended."""

_TOKEN_BYTES = 32


def new_token() -> str:
    """Return 256 random bits, in characters that need no escape in a URL."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Loopback:
    """Listens on 127.0.0.1 and serves each program in a thread of its own.

    Args:
        port: Where to listen; 0 for any free port.
        upstreams: Connections to the site.
        token: What programs have to present.

    Attributes:
        port: Where it listens.

    Raises:
        InputError: Nobody can listen on that port.
    """

    def __init__(self, port: int, upstreams: Upstreams, token: str) -> None:
        try:
            self._listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"Port {port} of 127.0.0.1 cannot be used: {error.strerror or error}",
                "Choose another with --port, or leave it away for a free one.",
            ) from error
        self.port: int = self._listener.getsockname()[1]
        self._gatekeeper = Gatekeeper(self.port, token)
        self._upstreams = upstreams
        self._programs: set[socket.socket] = set()
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._error: PivgateError | None = None

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._accept, daemon=True).start()

    def wait(self) -> None:
        """Wait until it has ended.

        Raises:
            PivgateError: Why it ended.
        """
        self._ended.wait()
        if self._error is not None:
            raise self._error

    def end(self, error: PivgateError | None = None) -> None:
        """End it and every connection.

        Args:
            error: Why, if not because somebody wanted it.
        """
        with self._lock:
            if self._ended.is_set():
                return
            self._error = error
            self._ended.set()
            programs = list(self._programs)
        cut(self._listener)
        self._upstreams.end()
        for each in programs:
            cut(each)

    def _accept(self) -> None:
        while not self._ended.is_set():
            self._room.acquire()
            try:
                sock, _ = self._listener.accept()
            except OSError:
                self._room.release()
                if self._ended.wait(0.05):
                    return
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._programs.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if not self._ended.is_set():
                Visit(sock, self._upstreams, self._gatekeeper, self.end).run()
        finally:
            with self._lock:
                self._programs.discard(sock)
            with suppress(OSError):
                sock.close()
            self._room.release()
