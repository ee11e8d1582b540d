# SPDX-License-Identifier: Apache-2.0
"""Revocation: from the call to the first refused request on a connection that is open all the time.

The peer is what Caddy itself has to offer: a list of leaf certificates, written anew without the one that
is revoked, and a reload.
"""

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

from bench.comparison import Comparison
from bench.crowd import fill
from bench.leaf_list import LeafList
from bench.options import Options
from bench.place import ACTOR, Holder, Place, now, place
from bench.rounds import take_in_turn
from bench.sites import SITE, open_gate, static_upstream
from pivgate.enrolment.access import bring_tree_to_registry, revoke_certificates
from pivgate.registry.states import RevocationReason

FIGURE = "revocation"
FEW = 10

_PATIENCE = 60.0
_HANDOVER = 5.0


def measure(options: Options) -> Iterator[Comparison]:
    """Revoke one certificate after the other on both sides, with few and with many in force."""
    for size in (FEW, options.entries):
        yield _compare(size, options.rounds)


def _compare(size: int, rounds: int) -> Comparison:
    with ExitStack() as stack:
        there = stack.enter_context(place())
        upstream = stack.enter_context(static_upstream())
        holders = [there.admit() for _ in range(2 * (rounds + 1))]
        fill(there, size)
        bring_tree_to_registry(there.home, there.registry, now())
        open_gate(there, upstream)
        leaves = stack.enter_context(LeafList.serving(there, upstream, holders, size))
        turn = count()

        def ours() -> float:
            holder = holders[next(turn)]
            return until_refused(holder, there.https_port, lambda: revoke(there, holder))

        def theirs() -> float:
            holder = holders[next(turn)]
            return until_refused(holder, leaves.port, lambda: leaves.remove(holder))

        values = take_in_turn(rounds, {"gate": ours, "leaf list": theirs})
    return Comparison(
        FIGURE,
        f"revoke to first refusal, {size:,} in force",
        "leaf list and reload",
        "ms",
        values["gate"],
        values["leaf list"],
        inverse=True,
    )


def revoke(there: Place, holder: Holder) -> None:
    """Revoke as ``pivgate key revoke`` does."""
    chosen = [there.registry.certificate(holder.fingerprint)]
    revoke_certificates(
        there.home, there.registry, chosen, RevocationReason.KEY_COMPROMISE, actor=ACTOR, now=now()
    )


def until_refused(holder: Holder, port: int, withdraw: Callable[[], None]) -> float:
    """Keep asking over one connection, withdraw the certificate, and return when the first answer is no.

    Returns:
        Milliseconds from the call to the answer; a connection that is cut counts as refused.

    Raises:
        RuntimeError: The first request is refused already, or none is in the end.
    """
    with _Visitor(holder, port) as visitor:
        started = time.perf_counter()
        withdraw()
        return (visitor.refused_at() - started) * 1000


class _Visitor:
    """Asks over and over on one open connection, in a thread of its own."""

    def __init__(self, holder: Holder, port: int) -> None:
        # Who the server is does not matter here; only what it costs to be refused.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(holder.pem)
        self._connection = http.client.HTTPSConnection(SITE, port, timeout=_PATIENCE, context=context)
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self._refused_at: float | None = None
        self._deadline = time.monotonic() + _PATIENCE

    def __enter__(self) -> "_Visitor":
        # Just after a reload, Caddy's old server still takes a connection now and then, and drops it.
        patience = time.monotonic() + _HANDOVER
        while not self._is_admitted():
            if time.monotonic() > patience:
                raise RuntimeError("refused before it was revoked")
            self._connection.close()
            time.sleep(0.05)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._deadline = 0
        self._thread.join()
        self._connection.close()

    def refused_at(self) -> float:
        """Wait for the refusal and return its moment, by ``time.perf_counter``."""
        self._thread.join()
        if self._refused_at is None:
            raise RuntimeError("still admitted after it was revoked")
        return self._refused_at

    def _ask_on(self) -> None:
        while time.monotonic() < self._deadline:
            if not self._is_admitted():
                self._refused_at = time.perf_counter()
                return
            time.sleep(0.0005)  # leaves the interpreter to the revocation, which runs beside

    def _is_admitted(self) -> bool:
        try:
            self._connection.request("GET", "/", headers={"Host": f"{SITE}:{self._connection.port}"})
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return False
        return response.status == 200
