# SPDX-License-Identifier: Apache-2.0
"""From upstreams to rules."""

from ipaddress import ip_address, ip_network

import pytest

from pivgate.errors import InputError
from pivgate.firewall.machine import Machine
from pivgate.firewall.plan import Found, Plan, Request, check_lock_out, plan
from pivgate.firewall.rules import Rules
from pivgate.firewall.targets import Address, Ports, Socket, Upstream

MACHINE = Machine((ip_address("127.0.0.1"), ip_address("192.0.2.7"), ip_address("fd77::7")))


def found(host: str, port: int, *addresses: str) -> Found:
    return Found(Upstream(host, port), tuple(map(ip_address, addresses)))


def source(destination: Address) -> Address | None:
    return ip_address("192.0.2.7" if destination.version == 4 else "fd77::7")


def planned(*upstreams: Found, **more: object) -> Plan:
    return plan(Request(found=upstreams, **more), MACHINE, source)  # type: ignore[arg-type]


def test_upstreams_of_this_machine_are_closed_by_port() -> None:
    upstreams = (
        found("localhost", 8000, "::1", "127.0.0.1"),
        found("192.0.2.7", 8001, "192.0.2.7"),
        found("app", 8003, "fd77::7"),
    )
    assert planned(*upstreams) == Plan(Rules((Ports(8000, 8001), Ports(8003, 8003))), ())


def test_upstreams_elsewhere_are_closed_by_address_and_a_remark_says_what_to_do_there() -> None:
    there = planned(found("app.test", 8000, "10.0.0.5", "fd00::5"))
    assert there.rules == Rules((), ((ip_address("10.0.0.5"), 8000), (ip_address("fd00::5"), 8000)))
    (remark,) = there.remarks
    assert remark.startswith("10.0.0.5, fd00::5, port 8000: not this machine")
    assert remark.endswith("pivgate firewall apply --gate 192.0.2.7 --gate fd77::7 --port 8000")


def test_one_machine_gets_one_command_for_all_its_names_and_ports() -> None:
    there = planned(
        found("a.test", 8000, "10.0.0.5"),
        found("b.test", 8001, "fd00::5"),
        found("other.test", 80, "10.0.0.6"),
        found("c.test", 9000, "10.0.0.5", "fd00::5"),
        found("c.test", 9000, "10.0.0.5", "fd00::5"),
    )
    other, one = there.remarks
    assert other.endswith("run there: pivgate firewall apply --gate 192.0.2.7 --port 80")
    assert one.endswith("apply --gate 192.0.2.7 --gate fd77::7 --port 8000-8001 --port 9000")


def test_where_no_route_leads_is_told() -> None:
    request = Request(found=(found("far.test", 80, "10.0.0.5"),))
    (remark,) = plan(request, MACHINE, lambda _: None).remarks
    assert remark == "10.0.0.5, port 80: not this machine, and no route leads there."


def test_a_name_without_addresses_is_told() -> None:
    there = planned(found("gone.test", 80), found("127.0.0.1", 8000, "127.0.0.1"))
    assert there.rules.ports == (Ports(8000, 8000),)
    assert "gone.test:80 has no address now" in there.remarks[0]


def test_a_socket_needs_nothing() -> None:
    there = planned(found("127.0.0.1", 8000, "127.0.0.1"), sockets=(Socket("/run/app.sock"),))
    assert "unix//run/app.sock cannot be reached over a network" in there.remarks[0]


@pytest.mark.parametrize(
    "request_",
    [
        Request(),
        Request(gates=(ip_network("10.0.0.1"),), users=(1,)),
        Request(sockets=(Socket("/run/app.sock"),)),
        Request(found=(found("gone.test", 80),)),
    ],
)
def test_nothing_to_close_is_refused(request_: Request) -> None:
    with pytest.raises(InputError, match="no upstream to close") as refusal:
        plan(request_, MACHINE, source)
    assert "--port" in refusal.value.hint


def test_the_gate_is_not_shut_out() -> None:
    with pytest.raises(InputError, match="serves on port 8443"):
        planned(found("127.0.0.1", 8443, "127.0.0.1"), own_ports=frozenset({443, 8443}))
    with pytest.raises(InputError, match="serves on port 443"):
        planned(ports=(Ports(400, 500),), own_ports=frozenset({443, 8443}))
    # The port of the same number on another machine is another port.
    assert planned(found("10.0.0.5", 8443, "10.0.0.5"), own_ports=frozenset({8443})).rules.ports == ()


def test_a_gate_here_needs_no_rule() -> None:
    gates = tuple(map(ip_network, ("127.0.0.1", "::1", "10.0.0.1")))
    assert planned(ports=(Ports(80, 80),), gates=gates).rules.gates == (ip_network("10.0.0.1"),)


@pytest.mark.parametrize(
    "session", ["", "10.0.0.9 50000 10.0.0.1 2222", "nonsense", "10.0.0.9 8000 10.0.0.1 22"]
)
def test_other_ports_than_the_sessions_may_be_closed(session: str) -> None:
    check_lock_out((Ports(8000, 8003), Ports(80, 80)), session)


@pytest.mark.parametrize("port", [8000, 8002, 80])
def test_the_sessions_own_port_may_not(port: int) -> None:
    with pytest.raises(InputError, match="lock you out"):
        check_lock_out((Ports(8000, 8003), Ports(80, 80)), f"fd00::9 50000 fd00::1 {port}")
