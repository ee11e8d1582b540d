# SPDX-License-Identifier: Apache-2.0
"""One GET over HTTP/2, just enough to see how the gate answers there: the status and the body.

RFC 9113 (frames) and RFC 7541 (HPACK). Of the answer's header fields only the first is read, which must be
``:status`` since pseudo-header fields come first (RFC 9113, section 8.3) and a response has no other.
"""

import struct
from contextlib import suppress
from typing import Protocol

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_STREAM = 1
# What a peer may send unless it was told of another limit (RFC 9113, section 4.2).
_LARGEST_FRAME = 16384
_LARGEST_BODY = 65535

# RFC 7541, appendix A: :status in the static table, with and without a value.
_STATUS_NAMES = range(8, 15)
_STATUSES = dict(zip(_STATUS_NAMES, (200, 204, 206, 304, 400, 404, 500), strict=True))
# RFC 7541, appendix B: the codes of the digits, most significant bit first.
_DIGITS = {
    "00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4",
    "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9",
}  # fmt: skip


class Http2Error(Exception):
    """The peer does not speak HTTP/2 as expected."""


class Connection(Protocol):
    """What this module needs of a socket."""

    def sendall(self, data: bytes, /) -> None:
        """Send everything."""

    def recv(self, size: int, /) -> bytes:
        """Receive up to so many bytes; none at the end."""


def get(connection: Connection, authority: str) -> tuple[int, bytes]:
    """Ask for ``/`` and return the status and the body.

    Args:
        connection: Fresh, over TLS, with ``h2`` agreed upon by ALPN.
        authority: Host and port as in a URL.

    Raises:
        Http2Error: The answer cannot be read, or the stream was refused.
        OSError: The connection broke.
    """
    block = b"\x82\x87\x84" + _literal(1, authority.encode("ascii", "strict"))
    block += _literal(19, b"text/plain") + _literal(58, b"pivgate-probe")
    _send(
        connection,
        _PREFACE + _frame(_SETTINGS, 0, 0) + _frame(_HEADERS, _END_STREAM | _END_HEADERS, _STREAM, block),
    )
    status: int | None = None
    body = b""
    while True:
        kind, flags, stream, payload = _receive(connection)
        if kind == _SETTINGS and not flags & _ACK:
            _send(connection, _frame(_SETTINGS, _ACK, 0))
        elif kind == _GOAWAY or (kind == _RST_STREAM and stream == _STREAM):
            raise Http2Error("the request was turned away below HTTP")
        elif stream == _STREAM and kind == _HEADERS:
            # Fields that continue in other frames, and trailers, come after the status.
            status = decode_status(_content(payload, flags)) if status is None else status
        elif stream == _STREAM and kind == _DATA:
            body += _content(payload, flags)
        if stream == _STREAM and status is not None and _ends(kind, flags, len(body)):
            return status, body


def _send(connection: Connection, data: bytes) -> None:
    # A server that turns us away may have closed already; what it said before that is still to be read.
    with suppress(OSError):
        connection.sendall(data)


def _ends(kind: int, flags: int, length: int) -> bool:
    return length >= _LARGEST_BODY or (kind in (_DATA, _HEADERS) and bool(flags & _END_STREAM))


def decode_status(block: bytes) -> int:
    """Read the status at the head of a header block (RFC 7541, section 6).

    Raises:
        Http2Error: There is none.
    """
    while block and block[0] & 0xE0 == 0x20:
        block = _after_integer(block, 5)  # dynamic table size update
    if not block:
        raise Http2Error("an answer without fields")
    first = block[0]
    if first & 0x80:
        if first & 0x7F in _STATUSES:
            return _STATUSES[first & 0x7F]
        raise Http2Error("an answer that does not begin with its status")
    name = first & 0x3F if first & 0x40 else first & 0x0F
    if name not in _STATUS_NAMES or len(block) < 2:
        raise Http2Error("an answer that does not begin with its status")
    length = block[1] & 0x7F
    value = block[2 : 2 + length]
    text = _huffman_digits(value) if block[1] & 0x80 else value.decode("latin-1")
    if not (len(text) == 3 and text.isascii() and text.isdigit()):
        raise Http2Error("an answer whose status is no number")
    return int(text)


def _huffman_digits(data: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in data)
    text = ""
    while bits.strip("1"):
        code = next((code for code in _DIGITS if bits.startswith(code)), None)
        if code is None:
            raise Http2Error("an answer whose status is no number")
        text += _DIGITS[code]
        bits = bits[len(code) :]
    return text


def _literal(name: int, value: bytes) -> bytes:
    """Write a field that is not to be remembered, its name from the static table (section 6.2.2)."""
    return _integer(name, 4) + _integer(len(value), 7) + value


def _integer(value: int, bits: int) -> bytes:
    """Write an integer that begins in the low bits of a byte (RFC 7541, section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    value -= limit
    encoded = bytearray([limit])
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _after_integer(block: bytes, bits: int) -> bytes:
    limit = (1 << bits) - 1
    end = 1
    if block[0] & limit == limit:
        while end < len(block) and block[end] & 0x80:
            end += 1
        end += 1
    return block[end:]


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _receive(connection: Connection) -> tuple[int, int, int, bytes]:
    header = _exactly(connection, 9)
    length = int.from_bytes(header[:3])
    if length > _LARGEST_FRAME:
        raise Http2Error("a frame that is too large")
    kind, flags, stream = struct.unpack(">BBI", header[3:])
    return kind, flags, stream & 0x7FFFFFFF, _exactly(connection, length)


def _exactly(connection: Connection, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the connection ended in the middle of an answer")
        data += part
    return data


def _content(payload: bytes, flags: int) -> bytes:
    """Take padding and priority off (RFC 9113, sections 6.1 and 6.2)."""
    padding = 0
    if flags & _PADDED:
        padding, payload = (payload[0] if payload else 0), payload[1:]
    if flags & _PRIORITY:
        payload = payload[5:]
    return payload[: len(payload) - padding] if padding <= len(payload) else b""
