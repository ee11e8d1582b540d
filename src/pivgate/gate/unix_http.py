# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange over a unix socket, the only way in which pivgate speaks to the running Caddy."""

import http.client
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import GateError


class NotRunningError(GateError):
    """Nobody listens on the socket: no gate is running, or its socket was removed."""


class BrokeOffError(GateError):
    """Caddy took the request and gave no answer that can be read."""


@dataclass(frozen=True)
class Reply:
    """What Caddy answered.

    Attributes:
        status: HTTP status code.
        body: The whole body.
    """

    status: int
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(str(self._path))
        except BaseException:
            connection.close()
            raise
        self.sock = connection


def exchange(
    path: Path,
    host: str,
    method: str,
    target: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> Reply:
    """Send one request and read the whole answer.

    Args:
        path: The unix socket.
        host: Value of the Host header.
        method: HTTP method.
        target: Path of the request.
        body: Content, if any.
        headers: Further header fields.
        timeout: Seconds for each step: connecting, sending, waiting for data.

    Raises:
        NotRunningError: There is no socket, or nobody listens on it.
        BrokeOffError: No readable answer came, in time or at all.
        GateError: The socket may not be used.
    """
    connection = _UnixConnection(path, host, timeout)
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        reply = connection.getresponse()
        return Reply(reply.status, reply.read())
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunningError(
            f"Nobody listens on {path}", "`pivgate status` says whether the gate runs."
        ) from error
    except PermissionError as error:
        raise GateError(
            f"Cannot speak to Caddy on {path}: {error.strerror}",
            "Run the command as the user who runs the gate.",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise BrokeOffError(
            f"Caddy gave no answer on {path}: {reason}",
            "Look at its log with `pivgate status`; `pivgate down` and `pivgate up` start it afresh.",
        ) from error
    finally:
        connection.close()


def listener(path: Path, timeout: float = 2.0) -> int | None:
    """Return which process listens on a unix socket (SO_PEERCRED, unix(7)); None if none does.

    0 stands for a process that cannot be seen from here, as in another container.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError:
            return None
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder, signed=True)
