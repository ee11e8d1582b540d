# SPDX-License-Identifier: Apache-2.0
"""From upstreams to rules: what can be closed on this machine, and what must be closed on another. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pivgate.errors import InputError
from pivgate.firewall.machine import Machine
from pivgate.firewall.rules import Rules, merged_ports
from pivgate.firewall.targets import Address, Network, Ports, Socket, Upstream

_SEVERAL: Final = "Name what is to be closed with --port and --gate; `pivgate firewall show --help` explains."


@dataclass(frozen=True)
class Found:
    """An upstream and the addresses its host has.

    Attributes:
        upstream: Where a site's requests go.
        addresses: All addresses of its host, as this machine looks it up.
    """

    upstream: Upstream
    addresses: tuple[Address, ...]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        gates: Addresses of gates elsewhere, as they were given.
        ports: Ports of this machine, as they were given.
        users: Numbers of those users of this machine who alone may call the upstreams.
        found: Upstreams of this home's sites on TCP.
        sockets: Those on unix sockets.
        own_ports: Ports on which the gate itself serves.
    """

    gates: tuple[Network, ...] = ()
    ports: tuple[Ports, ...] = ()
    users: tuple[int, ...] = ()
    found: tuple[Found, ...] = ()
    sockets: tuple[Socket, ...] = ()
    own_ports: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What to load, and what to tell.

    Attributes:
        rules: The rules for this machine.
        remarks: What the rules leave open, each with what to do about it.
    """

    rules: Rules
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _There:
    addresses: frozenset[Address]
    ports: frozenset[int]


def plan(request: Request, machine: Machine, source: Callable[[Address], Address | None]) -> Plan:
    """Decide what to close.

    Args:
        request: What was asked for.
        machine: This machine.
        source: The address with which this machine calls another.

    Raises:
        InputError: There is nothing to close, or closing it would shut out the gate's own visitors.
    """
    ports = list(request.ports)
    beyond: list[tuple[Address, int]] = []
    remarks = [f"{socket} cannot be reached over a network: nothing to close." for socket in request.sockets]
    for found in request.found:
        port = found.upstream.port
        if not found.addresses:
            remarks.append(
                f"{found.upstream} has no address now, so nothing is closed for it: "
                "look its name up, then run the command again."
            )
        ports += [Ports(port, port) for address in found.addresses if machine.has(address)]
        beyond += [(address, port) for address in found.addresses if not machine.has(address)]
    remarks += [_elsewhere(there, source) for there in _machines(request.found, machine)]
    if not ports and not beyond:
        raise InputError(
            "There is no upstream to close the way to" + (": " + remarks[0] if remarks else ""), _SEVERAL
        )
    for closed in ports:
        if taken := sorted(port for port in request.own_ports if port in closed):
            raise InputError(
                f"The gate itself serves on port {taken[0]}: closing that would shut out everybody",
                "Give the upstream a port of its own, or let it listen on a unix socket.",
            )
    gates = tuple(gate for gate in request.gates if not gate.is_loopback)
    rules = Rules(merged_ports(ports), tuple(dict.fromkeys(beyond)), gates, request.users)
    return Plan(rules, tuple(dict.fromkeys(remarks)))


def _machines(several: Iterable[Found], here: Machine) -> list[_There]:
    """Sort upstreams into other machines: those that share an address are on the same."""
    machines: list[_There] = []
    for found in several:
        addresses = frozenset(each for each in found.addresses if not here.has(each))
        ports = frozenset({found.upstream.port})
        for known in [each for each in machines if each.addresses & addresses]:
            machines.remove(known)
            addresses, ports = addresses | known.addresses, ports | known.ports
        if addresses:
            machines.append(_There(addresses, ports))
    return machines


def _elsewhere(there: _There, source: Callable[[Address], Address | None]) -> str:
    addresses = sorted(there.addresses, key=lambda each: (each.version, int(each)))
    ports = merged_ports(Ports(port, port) for port in there.ports)
    named = f"{', '.join(map(str, addresses))}, port {', '.join(map(str, ports))}"
    gates = dict.fromkeys(each for each in map(source, addresses) if each is not None)
    if not gates:
        return f"{named}: not this machine, and no route leads there."
    # One command for all: the rules of a second one would take the place of the first one's.
    words = [*(f"--gate {gate}" for gate in gates), *(f"--port {port}" for port in ports)]
    return (
        f"{named}: not this machine, so only what is forwarded here can be stopped here. "
        f"If it is another machine, run there: pivgate firewall apply {' '.join(words)}"
    )


def check_lock_out(ports: Iterable[Ports], session: str) -> None:
    """Refuse to close the port by which whoever runs the command came in.

    Args:
        ports: What is to be closed.
        session: ``SSH_CONNECTION`` of the environment (ssh(1)); empty outside of SSH.

    Raises:
        InputError: It is one of the ports.
    """
    *_, port = session.split() or [""]
    if port.isdigit() and any(int(port) in each for each in ports):
        raise InputError(
            f"You came in by port {port}: closing it would lock you out", "Name only the ports of upstreams."
        )
