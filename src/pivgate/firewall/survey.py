# SPDX-License-Identifier: Apache-2.0
"""All ways to several upstreams, tried from this machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import InputError, RefusedError
from pivgate.firewall.boot import Places
from pivgate.firewall.install import state
from pivgate.firewall.machine import resolve, this_machine
from pivgate.firewall.nft import find_nft
from pivgate.firewall.plan import Found
from pivgate.firewall.reach import SECONDS, Guard, Outcome, Way, attempt, judge, listening, ways
from pivgate.firewall.rules import closed_ports
from pivgate.firewall.targets import Socket, parse_upstream
from pivgate.firewall.unix_socket import PUT_AWAY, is_open_to_all, way_to


@dataclass(frozen=True)
class Targets:
    """Upstreams, sorted by what can be done about them.

    Attributes:
        found: TCP addresses.
        sockets: Unix sockets.
        unclear: What only Caddy can follow, such as placeholders, and why.
        own_ports: Ports on which the gate serves.
    """

    found: tuple[Found, ...]
    sockets: tuple[Socket, ...] = ()
    unclear: tuple[tuple[str, str], ...] = ()
    own_ports: frozenset[int] = frozenset()


def sort_targets(texts: Sequence[str], own_ports: frozenset[int] = frozenset()) -> Targets:
    """Sort upstreams, as Caddy dials them, by what can be done about them; names are looked up."""
    found: list[Found] = []
    sockets: list[Socket] = []
    unclear: list[tuple[str, str]] = []
    for text in dict.fromkeys(texts):
        try:
            upstream = parse_upstream(text)
        except InputError as error:
            unclear.append((text, error.message))
            continue
        if isinstance(upstream, Socket):
            sockets.append(upstream)
        else:
            found.append(Found(upstream, resolve(upstream)))
    return Targets(tuple(found), tuple(sockets), tuple(unclear), own_ports)


def try_ways(targets: Targets, *, from_gate: bool, seconds: float = SECONDS) -> list[Way]:
    """Try every way to the upstreams, and look at what listens here.

    Args:
        targets: The upstreams.
        from_gate: Whether this machine is the gate, which has to reach them.
        seconds: How long one attempt may take.
    """
    machine, guard = this_machine(), known_guard()
    tries = [(each.upstream, address) for each in targets.found for address in ways(each, machine)]
    reached = attempt([(address, upstream.port) for upstream, address in tries], seconds)
    found = [
        Way(text, "-", Outcome.UNKNOWN, reason, "Name its address: `pivgate firewall check ADDRESS:PORT`.")
        for text, reason in targets.unclear
    ]
    found += [_socket_way(each) for each in targets.sockets]
    for each in targets.found:
        if not each.addresses:
            found.append(
                Way(str(each.upstream), "-", Outcome.UNKNOWN, "its name has no address", "Look up its name.")
            )
        found += [
            judge(upstream, address, reach, machine=machine, guard=guard, from_gate=from_gate)
            for (upstream, address), reach in zip(tries, reached, strict=True)
            if upstream == each.upstream
        ]
        if any(machine.has(address) for address in each.addresses):
            found += listening(each.upstream, machine.listeners, guard)
    return found


def _socket_way(upstream: Socket) -> Way:
    """Say that a unix socket is closed by nature, to all but perhaps the other users of this machine."""
    try:
        exposed = is_open_to_all(way_to(Path(upstream.path)))
    except (InputError, OSError):
        exposed = False
    if exposed:
        return Way(
            str(upstream),
            "-",
            Outcome.LOCAL,
            "a unix socket, on no network; every user of this machine may connect",
            f"If others have accounts here: {PUT_AWAY}.",
        )
    return Way(str(upstream), "-", Outcome.CLOSED, "a unix socket, on no network")


def known_guard() -> Guard:
    """Look at what this machine's firewall closes, as far as this user may see it."""
    if os.geteuid() != 0:
        return Guard(known=False)
    try:
        nft = find_nft()
    except RefusedError:
        # Where there is no nft, nothing was applied.
        return Guard(known=True)
    try:
        there = state(nft, Places())
        ports = closed_ports(nft.listing() or "")
    except RefusedError:
        return Guard(known=False)
    if there.loaded and there.intact and there.recorded:
        return Guard(known=True, ports=ports)
    return Guard(known=True, changed=there.loaded or there.recorded)
