# SPDX-License-Identifier: Apache-2.0
"""An upstream that keeps every byte it was sent, and a strict reader that says what is wrong with them."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import h11
from tests.interop.gate.accepting import accepting

# RFC 9112, sections 3, 5 and 6: what follows this has one meaning to every server, so it smuggles nothing.
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.1")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\x00-\x08\x0a-\x1f\x7f]*")
_SIZE = re.compile(rb"[0-9a-f]{1,8}")
_LENGTH = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True)
class Request:
    """One request that reached the upstream."""

    target: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return all values of a header, given in small letters."""
        return [value for key, value in self.fields if key == name]


@dataclass
class Recorder:
    """What reached the upstream: the bytes of each connection, and the requests read from them."""

    port: int = 0
    connections: list[bytearray] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self.requests.clear()
            self.faults.clear()

    def forget(self, requests: list[Request]) -> None:
        """Leave out requests that were judged already."""
        with self._lock:
            self.requests[:] = [one for one in self.requests if one not in requests]

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        raw = bytearray()
        self.connections.append(raw)
        parser = h11.Connection(h11.SERVER)
        with connection, suppress(OSError):
            try:
                while self._one(connection, parser, raw):
                    parser.start_next_cycle()
            except h11.RemoteProtocolError as error:
                self.fault(f"{error}: {bytes(raw[-300:])!r}")

    def fault(self, text: str) -> None:
        """Keep what is wrong with what came."""
        with self._lock:
            self.faults.append(text)

    def _one(self, connection: socket.socket, parser: h11.Connection, raw: bytearray) -> bool:
        method = b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                if not (data := connection.recv(65536)):
                    return False
                raw += data
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                self._take(event)
                method = event.method
            elif isinstance(event, h11.EndOfMessage):
                self._check_trailers(event)
                break
            elif not isinstance(event, h11.Data):
                # ConnectionClosed, or PAUSED by an upgrade that nobody here agrees to.
                return False
        # A web application opens no tunnel, and goes on with what comes next.
        status = 405 if method == b"CONNECT" else 200
        reply = h11.Response(status_code=status, headers=[("Content-Length", "8")])
        body = [] if method == b"HEAD" else [h11.Data(data=b"upstream")]
        parts = [reply, *body, h11.EndOfMessage()]
        connection.sendall(b"".join(parser.send(part) or b"" for part in parts))
        return bool(parser.our_state is h11.DONE)

    def _take(self, event: h11.Request) -> None:
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        with self._lock:
            self.requests.append(Request(event.target.decode("latin-1"), fields))

    def _check_trailers(self, event: h11.EndOfMessage) -> None:
        for name, _ in event.headers:
            if name.startswith(b"x-client"):
                self.fault(f"a trailer {name!r}")

    def wire_faults(self) -> list[str]:
        """Say what on the wire two servers could read differently."""
        return [*self.faults, *(fault for raw in self.connections for fault in _ambiguities(bytes(raw)))]


def _ambiguities(raw: bytes) -> Iterator[str]:
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        if not end:
            # A request whose client went away in its middle ends its connection.
            return
        if not _REQUEST_LINE.fullmatch(line):
            yield f"request line {line!r}"
            return
        yield from (f"field {one!r} of {line!r}" for one in fields if not _FIELD.fullmatch(one))
        named = [one.partition(b":") for one in fields]
        lengths = [value.strip() for name, _, value in named if name.lower() == b"content-length"]
        codings = [value.strip() for name, _, value in named if name.lower() == b"transfer-encoding"]
        hosts = [value for name, _, value in named if name.lower() == b"host"]
        if len(lengths) + len(codings) > 1 or len(hosts) != 1:
            yield f"{lengths} {codings} {hosts} of {line!r}"
            return
        if codings:
            if codings != [b"chunked"]:
                yield f"coding {codings} of {line!r}"
                return
            try:
                raw = _after_chunks(raw)
            except ValueError as error:
                yield f"{error} of {line!r}"
                return
        elif lengths:
            if not _LENGTH.fullmatch(lengths[0]):
                yield f"length {lengths} of {line!r}"
                return
            raw = raw[int(lengths[0]) :]


def _after_chunks(raw: bytes) -> bytes:
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        if not _SIZE.fullmatch(size):
            raise ValueError(f"chunk size {size!r}")
        if int(size, 16) == 0:
            return raw.partition(b"\r\n")[2]
        raw = raw[int(size, 16) + 2 :]
    return raw


@contextmanager
def recording() -> Iterator[Recorder]:
    """Run the upstream."""
    recorder = Recorder()
    with accepting(recorder.serve) as recorder.port:
        yield recorder
