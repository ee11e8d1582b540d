# SPDX-License-Identifier: Apache-2.0
"""What an attempt to reach an upstream shows."""

import socket
from ipaddress import ip_address

import pytest

from pivgate.firewall.machine import Listener, Machine
from pivgate.firewall.plan import Found
from pivgate.firewall.reach import Guard, Outcome, Reach, attempt, judge, listening, ways
from pivgate.firewall.targets import Ports, Upstream

HERE, THERE, LOOPBACK = ip_address("192.0.2.7"), ip_address("10.0.0.5"), ip_address("127.0.0.1")
MACHINE = Machine((LOOPBACK, HERE))
UPSTREAM = Upstream("app.test", 8000)
UNKNOWN, NONE = Guard(known=False), Guard(known=True)
CLOSES, OTHER = Guard(known=True, ports=(Ports(7999, 8000),)), Guard(known=True, ports=(Ports(8001, 8009),))
CHANGED = Guard(known=True, changed=True)


@pytest.mark.parametrize(
    ("address", "reach", "guard", "from_gate", "outcome"),
    [
        (THERE, Reach.ANSWERS, NONE, False, Outcome.OPEN),
        (THERE, Reach.ANSWERS, CLOSES, False, Outcome.OPEN),
        (THERE, Reach.ANSWERS, NONE, True, Outcome.GATE),
        (THERE, Reach.REFUSED, NONE, True, Outcome.CLOSED),
        (THERE, Reach.SILENT, NONE, False, Outcome.SILENT),
        (HERE, Reach.ANSWERS, NONE, True, Outcome.OPEN),
        (HERE, Reach.ANSWERS, OTHER, True, Outcome.OPEN),
        (HERE, Reach.ANSWERS, CHANGED, True, Outcome.OPEN),
        (HERE, Reach.ANSWERS, CLOSES, True, Outcome.GUARDED),
        (HERE, Reach.ANSWERS, CLOSES, False, Outcome.GUARDED),
        (HERE, Reach.ANSWERS, UNKNOWN, True, Outcome.UNKNOWN),
        (HERE, Reach.REFUSED, NONE, True, Outcome.CLOSED),
        (LOOPBACK, Reach.ANSWERS, NONE, True, Outcome.LOCAL),
        (LOOPBACK, Reach.ANSWERS, UNKNOWN, False, Outcome.LOCAL),
        (LOOPBACK, Reach.REFUSED, UNKNOWN, False, Outcome.CLOSED),
    ],
)
def test_what_an_attempt_shows(
    address: object, reach: Reach, guard: Guard, from_gate: bool, outcome: Outcome
) -> None:
    way = judge(UPSTREAM, address, reach, machine=MACHINE, guard=guard, from_gate=from_gate)  # type: ignore[arg-type]
    assert way.outcome is outcome
    assert way.address == f"{address}:8000"
    assert bool(way.remedy) == (outcome in (Outcome.OPEN, Outcome.UNKNOWN, Outcome.GATE, Outcome.LOCAL))


def test_only_what_is_open_or_not_known_is_a_way_around() -> None:
    assert [each for each in Outcome if each.is_open] == [Outcome.OPEN, Outcome.UNKNOWN]


@pytest.mark.parametrize(
    ("guard", "outcome"), [(NONE, Outcome.OPEN), (CLOSES, Outcome.GUARDED), (UNKNOWN, Outcome.UNKNOWN)]
)
def test_what_listens_on_every_address(guard: Guard, outcome: Outcome) -> None:
    everywhere = Listener(ip_address("::"), 8000)
    listeners = [everywhere, Listener(LOOPBACK, 8000), Listener(ip_address("::"), 8001)]
    (way,) = listening(UPSTREAM, listeners, guard)
    assert (way.address, way.outcome) == ("[::]:8000", outcome)


def test_of_this_machine_every_address_is_tried() -> None:
    assert ways(Found(UPSTREAM, (LOOPBACK,)), MACHINE) == [LOOPBACK, HERE]
    assert ways(Found(UPSTREAM, (ip_address("0.0.0.0"),)), MACHINE) == [LOOPBACK, HERE]  # noqa: S104
    assert ways(Found(UPSTREAM, (THERE,)), MACHINE) == [THERE]
    assert ways(Found(UPSTREAM, (THERE, HERE)), MACHINE) == [THERE, HERE, LOOPBACK]
    assert ways(Found(UPSTREAM, ()), MACHINE) == []


def test_attempts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert attempt([(LOOPBACK, port), (ip_address("127.0.0.2"), port)]) == [Reach.ANSWERS, Reach.REFUSED]
    assert attempt([(LOOPBACK, port)]) == [Reach.REFUSED]
    assert attempt([]) == []
