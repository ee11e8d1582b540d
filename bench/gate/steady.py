# SPDX-License-Identifier: Apache-2.0
"""What the gate and its peers cost while nothing changes, beside Caddy with client authentication only."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields

from bench.comparison import Aim, Comparison
from bench.crowd import fill
from bench.gate import peers
from bench.gate.cost import cpu_seconds, memory
from bench.gate.lists import RevocationList
from bench.gate.load import handshakes, keep_alive
from bench.gate.peers import Peer
from bench.options import Options
from bench.place import ACTOR, Holder, Place, now, place
from bench.sites import open_gate, static_upstream
from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.gate.process import running
from pivgate.registry.states import CertificateState

FIGURE = "gate"
OURS = "pivgate"
PLAIN = "client auth only"

_MICROSECONDS = 1_000_000
_UNITS = {
    "rate": ("requests", "/s"),
    "p99": ("99th percentile", "ms"),
    "cpu": ("CPU of a request", "µs"),
    "handshakes": ("handshakes", "/s"),
    "handshake_cpu": ("CPU of a handshake", "µs"),
    "memory": ("memory", "MB"),
}
_AIM = Aim(0.9, at_most=False)


@dataclass(frozen=True)
class Reading:
    """One round of one side; the units are those of ``_UNITS``."""

    rate: float
    p99: float
    cpu: float
    handshakes: float
    handshake_cpu: float
    memory: float


Readings = Mapping[str, list[Reading]]


def measure(options: Options) -> Iterator[Comparison]:
    """Measure with few and with many certificates in force, and as many revoked."""
    taken: dict[int, Readings] = {}
    with place() as there, static_upstream() as upstream:
        holder = there.admit()
        bring_tree_to_registry(there.home, there.registry, actor=ACTOR, now=now())
        open_gate(there, upstream)
        before = 0
        for size in options.sizes:
            fill(there, size - before)
            fill(there, size - before, CertificateState.REVOKED)
            bring_tree_to_registry(there.home, there.registry, actor=ACTOR, now=now())
            before = size
            taken[size] = _readings(options, there, holder, upstream, size)
            yield from _beside_plain(taken[size], size)
    yield from _flat(taken, min(taken), max(taken))


def _readings(options: Options, there: Place, holder: Holder, upstream: int, size: int) -> Readings:
    crl = RevocationList(there, size).with_revoked()
    with ExitStack() as stack:
        sides = {
            PLAIN: stack.enter_context(peers.plain(there, upstream)),
            OURS: our_gate(there),
            "auth sub-request": stack.enter_context(
                peers.asking(there, upstream, there.home.access / "everyone")
            ),
            "nginx with CRL": stack.enter_context(peers.nginx(there, upstream, crl)).peer,
            "HAProxy with CRL": stack.enter_context(peers.haproxy(there, upstream, crl)).peer,
        }
        found: dict[str, list[Reading]] = {name: [] for name in sides}
        for turn in range(1 + options.rounds):  # the first is to warm up
            for name, side in sides.items():
                reading = _read(options, side, holder)
                if turn:
                    found[name].append(reading)
    return found


def our_gate(there: Place) -> Peer:
    """Return the gate of a home, which runs."""
    gate = running(there.home)
    if gate is None:
        raise RuntimeError("the gate has ended")
    return Peer(there.https_port, (gate.pid,))


def _read(options: Options, side: Peer, holder: Holder) -> Reading:
    start = _cpu(side)
    pace = keep_alive(options.requests, holder.pem, side.port)
    middle = _cpu(side)
    rate = handshakes(options.handshakes, holder.pem, side.port)
    end = _cpu(side)
    return Reading(
        rate=pace.rate,
        p99=pace.p99,
        cpu=(middle - start) / options.requests * _MICROSECONDS,
        handshakes=rate,
        handshake_cpu=(end - middle) / options.handshakes * _MICROSECONDS,
        memory=sum(memory(pid) for pid in side.pids),
    )


def _cpu(side: Peer) -> float:
    return sum(cpu_seconds(pid) for pid in side.pids)


def _beside_plain(found: Readings, size: int) -> Iterator[Comparison]:
    for field in fields(Reading):
        what, unit = _UNITS[field.name]
        of_plain = [getattr(reading, field.name) for reading in found[PLAIN]]
        for name in found:
            if name != PLAIN:
                aim = _AIM if (name, field.name) == (OURS, "rate") else None
                values = [getattr(reading, field.name) for reading in found[name]]
                yield Comparison(FIGURE, f"{what}: {name}, {size:,}", PLAIN, unit, values, of_plain, aim)


def _flat(taken: Mapping[int, Readings], few: int, many: int) -> Iterator[Comparison]:
    """Hold the ratio to plain Caddy with many certificates against that with few."""
    for field, ours in (("rate", OURS), ("cpu", OURS)):
        what, _ = _UNITS[field]
        large, small = (_ratios(taken[size], field, ours) for size in (many, few))
        aim = _AIM if field == "rate" else None
        yield Comparison(FIGURE, f"{what} beside {PLAIN}: {many:,}", f"{few:,}", "", large, small, aim)


def _ratios(found: Readings, field: str, ours: str) -> list[float]:
    pairs = zip(found[ours], found[PLAIN], strict=True)
    return [getattr(one, field) / getattr(other, field) for one, other in pairs]
