# SPDX-License-Identifier: Apache-2.0
"""One side of the proxy: a connection on which HTTP/1.1 is spoken. The parser is h11, on both sides.

One thread may read while another writes; h11's state is locked, the connection is not.
"""

import socket
import threading
from contextlib import suppress
from typing import Any, Protocol

import h11

_HEAD_LIMIT = 65536
"""Bytes that a head may have."""

_PIECE = 65536


class Stream(Protocol):
    """A socket, or a TLS connection with the same face."""

    def recv(self, size: int, /) -> bytes:
        """Read what is there; nothing at the end."""

    def sendall(self, data: bytes, /) -> Any:
        """Write all."""


class Wire:
    """HTTP/1.1 over a stream.

    Args:
        stream: The connection.
        role: ``h11.SERVER`` towards the program, ``h11.CLIENT`` towards the site.

    Attributes:
        heard: Whether anything was read since ``next_cycle``.
    """

    def __init__(self, stream: Stream, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.stream = stream
        self.heard = False
        self._http = h11.Connection(role, max_incomplete_event_size=_HEAD_LIMIT)
        self._lock = threading.Lock()

    def receive(self) -> Any:
        """Return the next event (h11's "events"), or ``h11.PAUSED`` between two messages.

        Raises:
            h11.RemoteProtocolError: What came is not HTTP/1.1.
            OSError: The connection broke.
        """
        while True:
            with self._lock:
                event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = self.stream.recv(_PIECE)
            self.heard = self.heard or bool(data)
            with self._lock:
                self._http.receive_data(data)

    def send(self, event: Any) -> None:
        """Write an event.

        Raises:
            h11.LocalProtocolError: It may not be sent now, or has characters that may not be sent.
            OSError: The connection broke.
        """
        with self._lock:
            data = self._http.send(event)
        if data:
            self.stream.sendall(data)

    @property
    def awaits_go_ahead(self) -> bool:
        """Whether the other side waits for "100 Continue" before it sends its body."""
        with self._lock:
            return bool(self._http.they_are_waiting_for_100_continue)

    @property
    def complete(self) -> bool:
        """Whether request and answer have both ended, so that the next may follow."""
        with self._lock:
            return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    @property
    def answer_begun(self) -> bool:
        """Whether a server's final answer has begun; an error can no longer be said then."""
        with self._lock:
            return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    def next_cycle(self) -> None:
        """Get ready for the next request."""
        with self._lock:
            self._http.start_next_cycle()
        self.heard = False

    def left_over(self) -> bytes:
        """Return what was read beyond an upgrade."""
        with self._lock:
            return bytes(self._http.trailing_data[0])


def cut(sock: socket.socket) -> None:
    """End a connection at once; a thread that waits on it wakes up."""
    with suppress(OSError):  # it has ended already
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
