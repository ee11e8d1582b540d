# SPDX-License-Identifier: Apache-2.0
"""Connections to the site, logged in with the key; kept for the next request."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import h11
from cryptography import x509
from tlslite.errors import TLSError, TLSRemoteAlert

from pivgate.client.key import CardKey
from pivgate.client.site import Site
from pivgate.client.wire import Wire
from pivgate.errors import GateError, RefusedError
from pivgate.yubikey.tls_connection import AlertError, KeyConnection, open_connection

_KEEP = 60.0
"""Seconds for which an idle connection is kept; Caddy keeps it for 5 minutes."""

_MOST_IDLE = 8
"""Idle connections that are kept; a program that opens more at once pays with signatures."""

_HINT = "Check the name and the port, and whether the gate is up."


class BrokenSiteError(Exception):
    """The connection to the site broke."""


class _TlsStream:
    """A TLS connection whose failures cannot be taken for those of a program's connection."""

    def __init__(self, tls: KeyConnection) -> None:
        self._tls = tls
        self.before_reading: Callable[[], None] = lambda: None

    def recv(self, size: int) -> bytes:
        """Read what is there; nothing at the end."""
        try:
            while True:
                self.before_reading()
                # One message at a time: it may be a ticket, after which there is nothing yet.
                if (data := self._tls.read(size, 0)) or self._tls.closed:
                    return bytes(data)
        except TLSRemoteAlert as alert:
            raise AlertError(alert) from alert
        except (TLSError, OSError, ValueError) as error:
            raise BrokenSiteError(str(error) or "it broke off without a word") from error

    def sendall(self, data: bytes) -> None:
        """Write all; what nobody reads any more is dropped, reading tells why."""
        try:
            self._tls.sendall(data)
        except (TLSError, OSError, ValueError) as error:
            raise BrokenSiteError(str(error) or "it broke off without a word") from error


class Upstream:
    """One connection to the site."""

    def __init__(self, tls: KeyConnection, raw: socket.socket) -> None:
        self.tls = tls
        self.raw = raw
        self.stream = _TlsStream(tls)
        self.wire = Wire(self.stream, h11.CLIENT)
        self.used = False
        self.idle_since = 0.0

    @property
    def alive(self) -> bool:
        """Whether a request may be tried on it: what comes on an idle connection is its end, or a ticket."""
        if time.monotonic() - self.idle_since > _KEEP:
            return False
        with suppress(TLSError, OSError, ValueError):
            while self.tls.waiting:
                if self.tls.read(1, 0) or self.tls.closed:
                    return False
            return True
        return False


class Upstreams:
    """Opens connections to a site, and keeps them.

    Args:
        site: The site.
        key: Signs each handshake.
        trust: Authorities that may vouch for the site.
    """

    def __init__(self, site: Site, key: CardKey, trust: Sequence[x509.Certificate]) -> None:
        self.site = site
        self.key = key
        self._trust = trust
        self._idle: list[Upstream] = []
        self._all: set[Upstream] = set()
        self._lock = threading.Lock()
        self._ended = False

    def take(self, *, fresh: bool = False) -> Upstream:
        """Return a connection: a kept one that lives, or a new one, for which the key signs.

        Raises:
            GateError: The site cannot be reached, or does not speak TLS.
            RefusedError: The gate refused, or the site asks for no certificate.
            SecretError: The PIN is wrong or blocked.
            DeviceError: The key was pulled out.
        """
        while not fresh:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                break
            if kept.alive:
                return kept
            self.drop(kept)
        return self._open()

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection on which a request has ended."""
        upstream.used, upstream.idle_since = True, time.monotonic()
        with self._lock:
            if self._ended:
                surplus = upstream
            else:
                self._idle.append(upstream)
                if len(self._idle) <= _MOST_IDLE:
                    return
                surplus = self._idle.pop(0)
        self.drop(surplus)

    def drop(self, upstream: Upstream) -> None:
        """End a connection."""
        with self._lock:
            self._all.discard(upstream)
        upstream.tls.cut()

    def end(self) -> None:
        """End all connections; threads that wait on one wake up."""
        with self._lock:
            self._ended, ending = True, list(self._all)
            self._all.clear()
            self._idle.clear()
        for each in ending:
            each.tls.cut()

    def prove(self) -> None:
        """Log in once. In TLS 1.3 the gate's verdict comes with its first answer, so there has to be one.

        ``OPTIONS *`` is answered by the server itself (RFC 9110, section 9.3.7); the site does not see it.

        Raises:
            As ``take``.
        """
        upstream = self.take(fresh=True)
        wire = upstream.wire
        try:
            wire.send(h11.Request(method="OPTIONS", target="*", headers=[("Host", self.site.authority)]))
            wire.send(h11.EndOfMessage())
            while not isinstance(wire.receive(), h11.Response):
                pass
            # Any answer is a proof; only its end decides whether the connection can be kept.
            with suppress(h11.RemoteProtocolError, BrokenSiteError):
                while isinstance(wire.receive(), h11.Data):
                    pass
        except (h11.RemoteProtocolError, BrokenSiteError) as error:
            self.drop(upstream)
            raise GateError(
                f"{self.site.host} does not answer as a web site does: {error}", "Check the URL and its port."
            ) from error
        except RefusedError:
            self.drop(upstream)
            raise
        if wire.complete:
            wire.next_cycle()
            self.keep(upstream)
        else:
            self.drop(upstream)

    def _open(self) -> Upstream:
        raw = open_connection(self.site.address, hint=_HINT)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tls = KeyConnection(raw, self.site.host, self._trust, self.key.login)
        upstream = Upstream(tls, raw)
        with self._lock:
            if self._ended:
                raw.close()
                raise GateError("The proxy has ended", "Start it again.")
            self._all.add(upstream)
        try:
            tls.shake_hands()
            if tls.authorities is None:
                raise RefusedError(
                    f"{self.site.origin} did not ask for a certificate: the site is not behind a gate",
                    "Use it without `pivgate connect`, or put it behind the gate with `pivgate site add`.",
                )
        except BaseException:
            self.drop(upstream)
            raise
        # From here on an answer takes as long as it takes.
        raw.settimeout(None)
        return upstream
