# SPDX-License-Identifier: Apache-2.0
"""From revoking to the last thing that got through, by each one's own way of revoking."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

from bench.comparison import Aim, Comparison
from bench.crowd import fill
from bench.gate import peers
from bench.gate.lists import RevocationList
from bench.gate.peers import WithList
from bench.gate.steady import FIGURE
from bench.leaf_list import LeafList
from bench.options import Options
from bench.place import ACTOR, Holder, Place, free_port, now, place
from bench.sites import await_port, open_gate
from pivgate.enrolment.access import bring_tree_to_registry, narrow_tree, revoke_certificates
from pivgate.gate.sever import sever
from pivgate.registry.states import RevocationReason

OURS = "revoke --sever"

_AIM = Aim(10, at_most=False)
_WATCH_START = 60
_SHORTEST = 1.0
_WAYS = 6

Ends = dict[str, float]


def measure(options: Options) -> Iterator[Comparison]:
    """Revoke one certificate after the other in every way, with few and with many in force."""
    for size in (min(options.sizes), max(options.sizes)):
        taken = _taken(options, size)
        for way in taken:
            if way == OURS:
                continue
            for kind in taken[OURS][0]:
                ours, theirs = ([ends[kind] for ends in taken[name]] for name in (OURS, way))
                aim = None if way == "revoke" else _AIM
                yield Comparison(
                    FIGURE, f"{kind}: {OURS}, {size:,}", way, "ms", ours, theirs, aim, inverse=True
                )


def _taken(options: Options, size: int) -> dict[str, list[Ends]]:
    with ExitStack() as stack:
        there = stack.enter_context(place())
        upstream = stack.enter_context(_endless_upstream())
        holders = [there.admit() for _ in range(_WAYS * (options.rounds + 1))]
        fill(there, size)
        bring_tree_to_registry(there.home, there.registry, actor=ACTOR, now=now())
        open_gate(there, upstream)
        tree = there.root / "asked"
        tree.mkdir()
        for entry in (there.home.access / "everyone").iterdir():
            (tree / entry.name).touch()
        revocations = RevocationList(there, size)
        crl = revocations.with_revoked()
        asked = stack.enter_context(peers.asking(there, upstream, tree))
        leaves = stack.enter_context(LeafList.serving(there, upstream, holders, size))
        turn = count()

        def end(port: int, withdraw: Callable[[Holder], None]) -> Ends:
            return _ends(options, holders[next(turn)], port, withdraw)

        def by_list(server: WithList) -> Ends:
            # Its authority has signed the list already when the clock starts.
            holder = holders[next(turn)]
            fresh = revocations.with_revoked([holder])
            return _ends(options, holder, server.port, lambda _: server.read(fresh))

        nginx = stack.enter_context(peers.nginx(there, upstream, crl))
        haproxy = stack.enter_context(peers.haproxy(there, upstream, crl))
        sides: dict[str, Callable[[], Ends]] = {
            OURS: lambda: end(there.https_port, lambda holder: _revoke(there, holder, severing=True)),
            "revoke": lambda: end(there.https_port, lambda holder: _revoke(there, holder)),
            "auth sub-request, file removed": lambda: end(
                asked.port, lambda holder: (tree / holder.fingerprint).unlink()
            ),
            "leaf list, reload": lambda: end(leaves.port, leaves.remove),
            "nginx, CRL, reload": lambda: by_list(nginx),
            "HAProxy, CRL, reload": lambda: by_list(haproxy),
        }
        found: dict[str, list[Ends]] = {name: [] for name in sides}
        for round_ in range(1 + options.rounds):  # the first is to warm up
            for name, side in sides.items():
                ends = side()
                if round_:
                    found[name].append(ends)
    return found


def _revoke(there: Place, holder: Holder, *, severing: bool = False) -> None:
    """Revoke as ``pivgate key revoke`` does."""
    begun = time.monotonic()
    chosen = [there.registry.certificate(holder.fingerprint)]
    revoke_certificates(
        there.home, there.registry, chosen, RevocationReason.KEY_COMPROMISE, actor=ACTOR, now=now()
    )
    if severing:
        sever(there.home, begun)
    narrow_tree(there.home, there.registry, actor=ACTOR, now=now())


def _ends(options: Options, holder: Holder, port: int, withdraw: Callable[[Holder], None]) -> Ends:
    """Let somebody in, revoke, and see how long each way in lasts: milliseconds, infinite for "on and on"."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "bench.gate.watching", str(holder.pem), str(port), str(options.patience)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if watching.stdout is None or watching.stdout.readline() != "ready\n":
            raise RuntimeError(f"nobody was let in on port {port}")
        started = time.monotonic()
        withdraw(holder)
        told, _ = watching.communicate("revoked\n", timeout=_WATCH_START + options.patience)
    finally:
        watching.kill()
        watching.wait()
    last: dict[str, float | None] = json.loads(told)
    # They try every few milliseconds: less than one cannot be told.
    return {
        kind: math.inf if moment is None else max(_SHORTEST, (moment - started) * 1000)
        for kind, moment in last.items()
    }


@contextmanager
def _endless_upstream() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.gate.endless", str(port)])
    try:
        await_port(port, process)
        yield port
    finally:
        process.kill()
        process.wait()
