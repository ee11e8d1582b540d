# SPDX-License-Identifier: Apache-2.0
"""One attempt to get in: connect, shake hands, ask for ``/``, and say how it ended.

The server's certificate is not verified. The probes connect to this machine by address, the certificate may
be of Caddy's internal authority that nobody here trusts, and nothing is confided to whoever answers: the
question is only whom the server refuses, and an impostor who refuses everybody serves nobody.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pivgate.errors import StorageError
from pivgate.gate.addresses import Tcp
from pivgate.gate.attempts import Attempt, Way
from pivgate.gate.http2 import Http2Error
from pivgate.gate.http2 import get as get_over_http2
from pivgate.gate.pages import Reason

_TIMEOUT = 5.0
_TRIES = 3
_LARGEST_BODY = 65536

# What Go's HTTP server says to a client that does not encrypt (net/http/server.go).
_WANTS_TLS = b"Client sent an HTTP request to an HTTPS server."

# How OpenSSL names a first record that is no TLS, such as the beginning of an HTTP answer.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


class Outcome(StrEnum):
    """How an attempt ended, as it is shown."""

    HANDSHAKE = "refused in the handshake"
    FORBIDDEN = "refused by the gate (403)"
    MISDIRECTED = "refused as misdirected (421)"
    WANTS_TLS = "refused without encryption"
    NO_TLS = "no TLS spoken there"
    NOT_READY = "refused: no server certificate yet"
    UNREACHABLE = "no answer"
    OPEN = "let in"

    @property
    def keeps_out(self) -> bool:
        """Whether it proves that nobody got in."""
        return self not in (Outcome.UNREACHABLE, Outcome.OPEN)


Credentials = Mapping[Way, ssl.SSLContext]
"""A TLS client for each way."""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    location: str = ""


class _CutOffError(Exception):
    """The connection ended before an answer, without a word why."""


def load_credentials(probes: Path) -> Credentials:
    """Read the certificates to try.

    Raises:
        StorageError: One is missing or damaged.
    """
    contexts: dict[Way, ssl.SSLContext] = {}
    for way in Way:
        contexts[way] = _context(way)
        name = way.certificate
        if name is None:
            continue
        try:
            contexts[way].load_cert_chain(probes / f"{name}.pem", probes / f"{name}.key", password="")
        except OSError as error:  # ssl.SSLError is one too
            raise StorageError(
                f"Cannot use {probes / name}.pem and .key, with which the gate is tried: {error.strerror}",
                "Restore the folder from a backup of the home.",
            ) from error
    return contexts


def _context(way: Way) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(list(way.protocols))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def knock(attempt: Attempt, credentials: Credentials) -> tuple[Outcome, str]:
    """Try once to get in.

    Returns:
        The outcome, and for those that are no refusal what came or why nothing came.
    """
    for _ in range(_TRIES):
        try:
            return _judge(attempt, _ask(attempt, credentials))
        except (_CutOffError, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # A server that refuses closes with our request unread, and then the kernel may throw away what
            # it said before (RFC 1122, section 4.2.2.13). Another try hears it.
            continue
        except ssl.SSLError as error:
            return _judge_tls(attempt, error)
        except (OSError, ValueError, Http2Error, http.client.HTTPException) as error:
            return Outcome.UNREACHABLE, f"{type(error).__name__}: {error}"
    return Outcome.UNREACHABLE, "the connection is cut off without an answer"


def _ask(attempt: Attempt, credentials: Credentials) -> _Answer:
    with _connect(attempt) as connection:
        if attempt.way is Way.PLAIN:
            return _get(connection, attempt)
        with credentials[attempt.way].wrap_socket(
            connection, server_hostname=attempt.server_name
        ) as encrypted:
            if encrypted.selected_alpn_protocol() == "h2":
                return _Answer(*get_over_http2(encrypted, _authority(attempt)))
            return _get(encrypted, attempt)


def _connect(attempt: Attempt) -> socket.socket:
    endpoint = attempt.endpoint
    if isinstance(endpoint, Tcp):
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT)
        # Else the request waits 40 ms for the handshake's last acknowledgement (RFC 9293, section 3.7.4).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_TIMEOUT)
    try:
        connection.connect(str(endpoint.path))
    except BaseException:
        connection.close()
        raise
    return connection


def _authority(attempt: Attempt) -> str:
    return f"{attempt.host}:{attempt.port}"


def _get(connection: socket.socket, attempt: Attempt) -> _Answer:
    request = (
        f"GET / HTTP/1.1\r\nHost: {_authority(attempt)}\r\nUser-Agent: pivgate-probe\r\n"
        "Accept: text/plain\r\nConnection: close\r\n\r\n"
    )
    # In TLS 1.3 the server judges our certificate after our side of the handshake is done, so it may have
    # closed by now; its alert is still to be read.
    with suppress(ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):
        connection.sendall(request.encode("ascii"))
    reply = http.client.HTTPResponse(connection)
    try:
        reply.begin()
        return _Answer(reply.status, reply.read(_LARGEST_BODY), reply.getheader("Location", ""))
    except http.client.RemoteDisconnected as error:
        raise _CutOffError from error
    finally:
        reply.close()


def _judge(attempt: Attempt, answer: _Answer) -> tuple[Outcome, str]:
    """Tell the gate's own refusals from all other answers; an upstream's 403 is one of the others."""
    if answer.status == http.HTTPStatus.FORBIDDEN and Reason.NOT_IN_FORCE.encode() in answer.body:
        return Outcome.FORBIDDEN, ""
    if answer.status == http.HTTPStatus.MISDIRECTED_REQUEST and not answer.body:
        return Outcome.MISDIRECTED, ""
    if attempt.way is Way.PLAIN:
        wants_tls = answer.status == http.HTTPStatus.BAD_REQUEST and _WANTS_TLS in answer.body
        redirects = answer.status in (301, 302, 307, 308) and answer.location.startswith("https://")
        if wants_tls or redirects:
            return Outcome.WANTS_TLS, ""
    return Outcome.OPEN, f"answered {answer.status}"


def _judge_tls(attempt: Attempt, error: ssl.SSLError) -> tuple[Outcome, str]:
    reason = error.reason or ""
    if reason in _NOT_TLS:
        # Whom a server without encryption lets in is what Way.PLAIN finds out.
        return Outcome.NO_TLS, ""
    if "ALERT" not in reason:
        return Outcome.UNREACHABLE, f"{reason or error}"
    # Go's answer when there is no certificate for the name, yet or ever (RFC 8446, section 6.2).
    if "INTERNAL_ERROR" in reason and not attempt.way.certainly_nameless:
        return Outcome.NOT_READY, ""
    return Outcome.HANDSHAKE, ""
