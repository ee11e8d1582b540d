# SPDX-License-Identifier: Apache-2.0
"""One program's connection to the loopback proxy: its requests, one after the other."""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import h11

from pivgate.client.findings import begin, explain_alert
from pivgate.client.forwarding import (
    request_headers,
    response_headers,
    switching_headers,
)
from pivgate.client.gatekeeper import Gatekeeper, RequestRefusedError
from pivgate.client.upstreams import BrokenSiteError, Upstream, Upstreams
from pivgate.client.wire import Wire, cut
from pivgate.errors import GateError, PivgateError, SecretError
from pivgate.yubikey.tls_connection import AlertError

_IDLE = 300.0
"""Seconds that a program may take for its next request."""

_LINGER = 2.0
"""Seconds for a program to read why its upload was not wanted."""

_PIECE = 65536

# May be sent again when a kept connection turns out to have ended (RFC 9110, section 9.2.2).
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class _UnansweredError(Exception):
    """The site closed the connection before it said a word."""


class Visit:
    """Serves one program.

    Args:
        sock: The program's connection.
        upstreams: Connections to the site.
        gatekeeper: Decides which requests are forwarded.
        on_fatal: Told of an error after which the key can sign nothing more.
    """

    def __init__(
        self,
        sock: socket.socket,
        upstreams: Upstreams,
        gatekeeper: Gatekeeper,
        on_fatal: Callable[[PivgateError], None],
    ) -> None:
        self._sock = sock
        self._upstreams = upstreams
        self._gatekeeper = gatekeeper
        self._on_fatal = on_fatal
        self._wire = Wire(sock, h11.SERVER)

    def run(self) -> None:
        """Serve until the program or the proxy ends the connection."""
        try:
            # What goes wrong on the program's own connection is nobody else's to know.
            with suppress(OSError, h11.LocalProtocolError):
                while self._serve_next():
                    pass
        finally:
            cut(self._sock)

    def _serve_next(self) -> bool:
        self._sock.settimeout(_IDLE)
        try:
            request = self._wire.receive()
        except h11.RemoteProtocolError as error:
            self._answer(RequestRefusedError(error.error_status_hint, f"That is not a request: {error}."))
            return self._linger()
        if not isinstance(request, h11.Request):
            return False
        self._sock.settimeout(None)
        has_body = _has_body(request)
        try:
            self._gatekeeper.admit(request.method, request.target, request.headers)
            self._forward(request, has_body=has_body)
        except RequestRefusedError as refusal:
            self._answer(refusal)
            if not has_body:
                self._wire.receive()  # the end of a request without a body
        except PivgateError as error:
            if self._wire.answer_begun:
                return False  # a broken answer must not look like a whole one
            self._answer(RequestRefusedError(502, f"{error.message}. {error.hint}"))
            if isinstance(error, SecretError):
                self._on_fatal(error)
        if not self._wire.complete:
            return self._linger() if has_body else False
        self._wire.next_cycle()
        return True

    def _forward(self, request: h11.Request, *, has_body: bool) -> None:
        head = h11.Request(
            method=request.method,
            target=request.target,
            headers=request_headers(
                request.headers.raw_items(), self._upstreams.site, self._gatekeeper.carries_token
            ),
        )
        if not has_body:
            self._wire.receive()  # the end of the request: nothing more of it has to be read
        try:
            upstream = self._upstreams.take()
            try:
                self._exchange(upstream, request, head, has_body=has_body)
            except _UnansweredError as error:
                if not (upstream.used and not has_body and request.method in _IDEMPOTENT):
                    raise self._broken(error) from error
                self._exchange(self._upstreams.take(fresh=True), request, head, has_body=False)
        except _UnansweredError as error:
            raise self._broken(error) from error
        except AlertError as error:
            known = begin(self._upstreams.site, self._upstreams.key.certificate)
            raise explain_alert(error, known, datetime.now(UTC)) from error

    def _broken(self, error: Exception) -> GateError:
        return GateError(
            f"{self._upstreams.site.host} closed the connection before it answered: {error}",
            "Send the request again if it may be carried out twice.",
        )

    def _exchange(
        self, upstream: Upstream, request: h11.Request, head: h11.Request, *, has_body: bool
    ) -> None:
        """Send a request and pass the answer on; the connection is kept afterwards, or ended."""
        upload: threading.Thread | None = None
        try:
            upstream.wire.send(head)
            if has_body:
                upstream.stream.before_reading = lambda: None
                upload = threading.Thread(target=self._upload, args=(upstream,), daemon=True)
                upload.start()
            else:
                upstream.stream.before_reading = lambda: self._await(upstream)
                upstream.wire.send(h11.EndOfMessage())
            self._download(upstream, request)
        except (BrokenSiteError, h11.RemoteProtocolError) as error:
            if not upstream.wire.heard:
                raise _UnansweredError(error) from error
            raise GateError(
                f"{self._upstreams.site.host} broke off its answer: {error}", "Send the request again."
            ) from error
        finally:
            if upload is not None:
                # It has ended, unless the answer came before all was read: then nobody wants the rest.
                upload.join(0.2)
            if upstream.wire.complete:
                upstream.wire.next_cycle()
                self._upstreams.keep(upstream)
            else:
                self._upstreams.drop(upstream)

    def _upload(self, upstream: Upstream) -> None:
        """Pass the body of a request on; what the site does not want any more is read and dropped."""
        wanted = True
        try:
            while True:
                event = self._wire.receive()
                if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                    return
                if wanted:
                    try:
                        upstream.wire.send(event if isinstance(event, h11.Data) else h11.EndOfMessage())
                    except (BrokenSiteError, h11.LocalProtocolError):
                        wanted = False
                if isinstance(event, h11.EndOfMessage):
                    return
        except (OSError, h11.RemoteProtocolError):
            # The program has gone, or sends what is no body: the site must not take it for a whole request.
            upstream.tls.cut()

    def _download(self, upstream: Upstream, request: h11.Request) -> None:
        local = next(f"http://{value.decode()}" for name, value in request.headers if name == b"host")
        site = self._upstreams.site
        while True:
            event: Any = upstream.wire.receive()
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    # h11 takes it only where one was asked for, and only WebSockets are asked for.
                    return self._switch(upstream, event)
                if event.status_code == 100 and self._wire.awaits_go_ahead:
                    self._wire.send(
                        h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                    )
            elif isinstance(event, h11.Response):
                headers = response_headers(event.headers.raw_items(), site, local)
                self._wire.send(
                    h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
                )
            elif isinstance(event, h11.Data):
                self._wire.send(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                return self._wire.send(h11.EndOfMessage())
            else:
                raise BrokenSiteError("it closed the connection")

    def _switch(self, upstream: Upstream, event: h11.InformationalResponse) -> None:
        """Copy bytes both ways once a WebSocket is open."""
        self._wire.send(
            h11.InformationalResponse(
                status_code=101, headers=switching_headers(event.headers.raw_items()), reason=event.reason
            )
        )
        upwards = threading.Thread(target=self._copy_up, args=(upstream,), daemon=True)
        upwards.start()
        upstream.stream.before_reading = lambda: None  # the other thread reads from the program
        try:
            data = upstream.wire.left_over() or upstream.wire.stream.recv(_PIECE)
            while data:
                self._sock.sendall(data)
                data = upstream.wire.stream.recv(_PIECE)
        except (BrokenSiteError, OSError):
            pass  # either side may end it, in any way
        finally:
            upstream.tls.cut()
            cut(self._sock)
            upwards.join()

    def _copy_up(self, upstream: Upstream) -> None:
        with suppress(BrokenSiteError, OSError):
            data = self._wire.left_over() or self._sock.recv(_PIECE)
            while data:
                upstream.wire.stream.sendall(data)
                data = self._sock.recv(_PIECE)
        upstream.tls.cut()

    def _await(self, upstream: Upstream) -> None:
        """Wait for the site; stop when the program has gone and nobody wants the answer any more."""
        if upstream.tls.waiting:
            return
        readable, _, _ = select.select([upstream.raw, self._sock], [], [])
        if upstream.raw not in readable and not self._sock.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError

    def _answer(self, refusal: RequestRefusedError) -> None:
        body = f"pivgate connect: {refusal.words}\n".encode()
        headers = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Cache-Control", b"no-store"),
            *refusal.headers,
        ]
        phrase = HTTPStatus(refusal.status).phrase.encode()
        self._wire.send(h11.Response(status_code=refusal.status, headers=headers, reason=phrase))
        self._wire.send(h11.Data(data=body))
        self._wire.send(h11.EndOfMessage())

    def _linger(self) -> bool:
        """Let the program read an answer that came early: a reset would take it away."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(_LINGER)
            for _ in range(1024):
                if not self._sock.recv(_PIECE):
                    break
        return False


def _has_body(request: h11.Request) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and int(value) > 0)
        for name, value in request.headers
    )
