# SPDX-License-Identifier: Apache-2.0
"""One request and its reply on an open connection, with nothing added to what the attacker writes."""

import http.client
import socket
import ssl

from tests.interop.gate.standing_gate import Headers, Http2, Reply


def talk(
    connection: socket.socket,
    host: str,
    path: str = "/",
    headers: Headers = (),
    *,
    protocol: str = "h1",
    method: str = "GET",
) -> Reply:
    """Send one request, and read the reply; status 0 when none comes."""
    if protocol == "h2":
        assert isinstance(connection, ssl.SSLSocket)
        return Http2(connection).ask(host, path, headers)
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return read_reply(connection, method)


def read_reply(connection: socket.socket, method: str = "GET") -> Reply:
    """Read one reply; of a switch to another protocol, its head."""
    reply = http.client.HTTPResponse(connection, method=method)
    try:
        reply.begin()
        body = b"" if reply.status == 101 else reply.read()
        return Reply(reply.status, reply.getheaders(), body.decode(errors="replace"))
    except http.client.HTTPException:
        return Reply(0)
    finally:
        reply.close()
