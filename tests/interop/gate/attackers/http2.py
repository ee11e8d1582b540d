# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 connections on which anything can be written, right or wrong."""

import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from hpack import Encoder
from hyperframe.frame import Frame, HeadersFrame, SettingsFrame
from tests.interop.gate.attackers.conftest import Siege

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def exchange(siege: Siege, context: ssl.SSLContext, site: str, fields: Sequence[tuple[str, str]]) -> bytes:
    """Make one request of exactly these fields; return the body of the answer, empty without one."""
    block = Encoder().encode([(name.encode(), value.encode()) for name, value in fields])
    headers = HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"])
    body = b""
    h2 = H2Connection(H2Configuration(header_encoding=None))
    h2.initiate_connection()
    request = {":method": "GET", ":scheme": "https", ":authority": site, ":path": "/"}
    h2.send_headers(1, list(request.items()), end_stream=True)
    with suppress(OSError, ProtocolError), siege.gate.connect(context, site, "h2") as connection:
        connection.settimeout(10)
        connection.sendall(PREFACE + SettingsFrame(0).serialize() + headers.serialize())
        while data := connection.recv(65536):
            for event in h2.receive_data(data):
                if isinstance(event, DataReceived):
                    body += event.data
                elif isinstance(event, StreamEnded | StreamReset):
                    return body
    return body


def flood(connection: ssl.SSLSocket, frames: Iterable[Frame | bytes]) -> int:
    """Send frames until the gate has had enough of them; return the bytes that it took."""
    taken = 0
    with suppress(OSError):
        for frame in frames:
            data = frame if isinstance(frame, bytes) else frame.serialize()
            connection.sendall(data)
            taken += len(data)
    return taken
