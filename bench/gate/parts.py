# SPDX-License-Identifier: Apache-2.0
"""Where the time goes: the parts of the gate put in front of a site, one after the other."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from bench.comparison import Comparison
from bench.gate.cost import cpu_seconds
from bench.gate.load import keep_alive
from bench.options import Options
from bench.place import ACTOR, Place, free_port, now, place
from bench.sites import add_gated, caddy, static_upstream
from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.gate.apply import prepare
from pivgate.gate.caddy import find_caddy

FIGURE = "gate.parts"
NOTHING = "client auth only"

_MICROSECONDS = 1_000_000

Route = dict[str, Any]

# In the order of the snippet, each with what its routes have in them and no others.
_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("the tree", ('"file"',)),
    ("Connection, Upgrade, CONNECT", ("header.Connection}", "header.Upgrade}", '"method"')),
    ("the subject", ('client.subject}": {"name"',)),
    ("deletions", ('"delete"',)),
    ("our headers", ('"X-Client-Serial"', '"X-Client-Email"')),
)


def measure(options: Options) -> Iterator[Comparison]:
    """Send the same requests through none of the parts, the first, the first two, and so on."""
    with place() as there, static_upstream() as upstream:
        holder = there.admit()
        bring_tree_to_registry(there.home, there.registry, actor=ACTOR, now=now())
        add_gated(there, upstream)
        ports = {NOTHING: free_port()} | {f"+ {name}": free_port() for name, _ in _PARTS}
        rates: dict[str, list[float]] = {name: [] for name in ports}
        costs: dict[str, list[float]] = {name: [] for name in ports}
        with caddy(json.dumps(_sites(there, list(ports.values()))), ports[NOTHING], adapter="") as pid:
            for turn in range(1 + options.rounds):  # the first is to warm up
                for name, port in ports.items():
                    before = cpu_seconds(pid)
                    rate = keep_alive(options.requests, holder.pem, port).rate
                    if turn:
                        rates[name].append(rate)
                        costs[name].append((cpu_seconds(pid) - before) / options.requests * _MICROSECONDS)
    for what, unit, values in (("requests", "/s", rates), ("CPU of a request", "µs", costs)):
        for name in ports:
            if name != NOTHING:
                yield Comparison(FIGURE, f"{what}: {name}", NOTHING, unit, values[name], values[NOTHING])


def _sites(there: Place, ports: list[int]) -> dict[str, Any]:
    """Make one configuration with a site for each number of parts, from none to all."""
    config = prepare(there.home, find_caddy()).config
    servers = config["apps"]["http"]["servers"]
    gated = next(server for server in servers.values() if f"127.0.0.1:{there.https_port}" in server["listen"])
    made = {}
    for number, port in enumerate(ports):
        server = copy.deepcopy(gated)
        server |= {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable_redirects": True}}
        _cut(server["routes"], number)
        made[f"with{number}"] = server
    config["apps"]["http"]["servers"] = made
    return {**config, "admin": {"disabled": True}}


def _cut(routes: list[Route], number: int) -> None:
    """Leave a number of parts in the gate, wherever it is in these routes."""
    marks = [mark for _, part in _PARTS[number:] for mark in part]
    gate = _routes_with(routes, lambda route: '"file"' in json.dumps(route.get("match", [])))
    if gate is None:
        raise RuntimeError("there is no gate in the configuration")
    kept = []
    for route in gate:
        if any(mark in json.dumps(route.get("match", [])) for mark in marks):
            continue
        handlers = [handler for handler in route["handle"] if not _is_one_of(handler, marks)]
        if handlers:
            kept.append({**route, "handle": handlers})
    gate[:] = kept


def _is_one_of(handler: Route, marks: list[str]) -> bool:
    return handler["handler"] == "headers" and any(mark in json.dumps(handler) for mark in marks)


def _routes_with(routes: list[Route], wanted: Callable[[Route], bool]) -> list[Route] | None:
    """Find the list of routes that has such a route itself."""
    if any(wanted(route) for route in routes):
        return routes
    below = (handler["routes"] for route in routes for handler in route["handle"] if "routes" in handler)
    return next((found for inner in below if (found := _routes_with(inner, wanted)) is not None), None)
