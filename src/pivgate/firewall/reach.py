# SPDX-License-Identifier: Apache-2.0
"""Try to reach upstreams directly, and judge what that means for the gate."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pivgate.firewall.machine import Listener, Machine, wildcard
from pivgate.firewall.plan import Found
from pivgate.firewall.targets import Address, Ports, Upstream

SECONDS: Final = 3.0
"""How long an attempt to connect may take; a lost packet is sent again after one second (RFC 6298)."""

_AT_ONCE: Final = 32

_LISTEN: Final = (
    "Let it listen on 127.0.0.1 or a unix socket, or close its port: `sudo pivgate firewall apply`."
)
_PUBLISHED: Final = f"{_LISTEN} A container's port: publish it as 127.0.0.1:{{port}}:… instead of {{port}}:…."


class Outcome(Enum):
    """What an attempt shows; the value is what a person reads."""

    OPEN = "open"
    UNKNOWN = "unknown"
    GUARDED = "guarded"
    LOCAL = "local"
    GATE = "gate"
    CLOSED = "closed"
    SILENT = "silent"

    @property
    def is_open(self) -> bool:
        """Whether it is a way around the gate, as far as can be told."""
        return self in (Outcome.OPEN, Outcome.UNKNOWN)


class Reach(Enum):
    """How an attempt to connect ended."""

    ANSWERS = "answers"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True)
class Way:
    """One way to an upstream, and what was found there.

    Attributes:
        upstream: The upstream, as it is written.
        address: The address and port that were tried, or on which something listens.
        outcome: What was found.
        says: The same in words.
        remedy: What to do about it; empty when nothing is.
    """

    upstream: str
    address: str
    outcome: Outcome
    says: str
    remedy: str = ""


@dataclass(frozen=True)
class Guard:
    """What the firewall of this machine is known to close.

    Attributes:
        known: Whether its rules could be read; only root can, and in a container not always.
        ports: The ports that are closed to everybody but the gates, by rules that nobody changed since.
        changed: Whether the rules are there, but are not what was applied, or not kept for the next boot.
    """

    known: bool
    ports: tuple[Ports, ...] = ()
    changed: bool = False

    def closes(self, port: int) -> bool:
        """Say whether a port is closed."""
        return any(port in each for each in self.ports)


def ways(found: Found, machine: Machine) -> list[Address]:
    """List the addresses to try: all of the host's; for an upstream on this machine, all of the machine's."""
    addresses = [each for each in found.addresses if not each.is_unspecified]
    if any(machine.has(each) for each in found.addresses):
        addresses += machine.addresses
    return list(dict.fromkeys(addresses))


def attempt(targets: Sequence[tuple[Address, int]], seconds: float = SECONDS) -> list[Reach]:
    """Try to connect to each target, all at once; at most that many seconds for each."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda target: _connect(target, seconds), targets))


def _connect(target: tuple[Address, int], seconds: float) -> Reach:
    try:
        socket.create_connection((str(target[0]), target[1]), seconds).close()
    except ConnectionRefusedError:
        return Reach.REFUSED
    except OSError:
        return Reach.SILENT
    return Reach.ANSWERS


def judge(
    upstream: Upstream, address: Address, reach: Reach, *, machine: Machine, guard: Guard, from_gate: bool
) -> Way:
    """Say what an attempt shows.

    Args:
        upstream: The upstream it was made for.
        address: Where it went.
        reach: How it ended.
        machine: The machine it was made from.
        guard: That machine's firewall.
        from_gate: Whether that machine is the gate, which has to reach its upstreams.
    """
    target = Upstream(str(address), upstream.port)
    if reach is not Reach.ANSWERS:
        outcome = Outcome.CLOSED if reach is Reach.REFUSED else Outcome.SILENT
        says = "refused" if reach is Reach.REFUSED else "no answer"
        return Way(str(upstream), str(target), outcome, says)
    if not machine.has(address):
        if from_gate:
            return Way(
                str(upstream),
                str(target),
                Outcome.GATE,
                "reached, as the gate must",
                f"Whether others reach it shows on their machines: pivgate firewall check {target}",
            )
        return Way(
            str(upstream),
            str(target),
            Outcome.OPEN,
            "reached from here, around the gate",
            "Close it on its own machine: `sudo pivgate firewall apply --gate ADDRESS_OF_THE_GATE "
            f"--port {upstream.port}`.",
        )
    if address.is_loopback:
        return Way(
            str(upstream),
            str(target),
            Outcome.LOCAL,
            "reached by users of this machine alone",
            "If others have accounts here: apply the firewall with --gate-user, the user who runs Caddy.",
        )
    return _on_this_machine(upstream, str(target), "reached at an address that others can call", guard)


def listening(upstream: Upstream, listeners: Sequence[Listener], guard: Guard) -> list[Way]:
    """Judge what listens for an upstream of this machine on every address."""
    return [
        _on_this_machine(upstream, str(each), "listens on every address", guard)
        for each in wildcard(listeners, upstream.port)
    ]


def _on_this_machine(upstream: Upstream, target: str, says: str, guard: Guard) -> Way:
    port = upstream.port
    if not guard.known:
        return Way(
            str(upstream),
            target,
            Outcome.UNKNOWN,
            f"{says}; whether the firewall keeps others out could not be seen",
            "Run the check as root, with sudo: nobody else can see the rules.",
        )
    if guard.closes(port):
        return Way(str(upstream), target, Outcome.GUARDED, f"{says}; the firewall keeps others out")
    if guard.changed:
        return Way(
            str(upstream),
            target,
            Outcome.OPEN,
            f"{says}; the firewall's rules are not as they were applied, or not kept for the next boot",
            "Apply them again: `sudo pivgate firewall apply`, with the same options.",
        )
    return Way(str(upstream), target, Outcome.OPEN, says, _PUBLISHED.format(port=port))
