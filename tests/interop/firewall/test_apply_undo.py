# SPDX-License-Identifier: Apache-2.0
"""Before, after, undone: who reaches an upstream's machine."""

import json

import pytest
from tests.interop.firewall.conftest import ALL, CLOSED, Street
from tests.interop.firewall.lab import CONNECT

pytestmark = pytest.mark.interop

OTHERS = """
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		tcp dport { 22, 8000 } accept
	}
}
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
	}
}
"""


def test_only_the_gate_reaches_the_upstream_until_it_is_undone(
    street: Street, gates: tuple[str, ...]
) -> None:
    street.upstream.run("nft", "-f", "-", given=OTHERS)
    before = street.upstream.ruleset()
    assert street.seen() == ALL

    assert "Closed to all but 10.77.0.2, fd77::2, this machine: port 8000." in street.upstream.good(
        "firewall", "apply", "--port", "8000", *gates
    )

    assert street.seen() == CLOSED

    street.upstream.good("firewall", "undo", "--yes")

    assert street.seen() == ALL
    assert street.upstream.ruleset() == before


def test_udp_is_closed_too(street: Street, gates: tuple[str, ...]) -> None:
    for address in (street.upstream.four, street.upstream.six):
        street.upstream.serve(8000, address, "udp")
    assert street.seen(kind="udp") == ALL
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert street.seen(kind="udp") == CLOSED


def test_what_comes_in_fragments_is_closed_too(street: Street, gates: tuple[str, ...]) -> None:
    for address in (street.upstream.four, street.upstream.six):
        street.upstream.serve(8000, address, "udp")
    assert street.seen(kind="fragments") == ALL
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert street.seen(kind="fragments") == CLOSED


def test_a_neighbour_by_the_address_of_the_link(street: Street, gates: tuple[str, ...]) -> None:
    (device,) = json.loads(street.upstream.run("ip", "-j", "-6", "address", "show", "eth0", "scope", "link"))
    (address,) = [each["local"] for each in device["addr_info"] if "local" in each]
    assert any(street.stranger.reaches(f"{address}%eth0", 8000) for _ in range(20))
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert not street.stranger.reaches(f"{address}%eth0", 8000)
    # The gate is known by the addresses that were named, and by no other.
    assert not street.gate.reaches(f"{address}%eth0", 8000)


def test_other_ports_stay_as_they_were(street: Street, gates: tuple[str, ...]) -> None:
    for port in (8001, 8004, 22):
        street.upstream.serve(port)
    street.upstream.good("firewall", "apply", "--port", "8002-8003", "--port", "8000", *gates)
    assert [street.seen(port) for port in (8001, 8004, 22)] == [ALL, ALL, ALL]


def test_a_range_is_closed_to_its_ends(street: Street, gates: tuple[str, ...]) -> None:
    for port in (8002, 8003):
        street.upstream.serve(port)
    street.upstream.good("firewall", "apply", "--port", "8002-8003", *gates)
    assert [street.seen(port) for port in (8000, 8002, 8003)] == [ALL, CLOSED, CLOSED]


def test_a_network_of_gates(street: Street) -> None:
    street.upstream.good(
        "firewall", "apply", "--port", "8000", "--gate", "10.77.0.2/31", "--gate", "fd77::2/127"
    )
    assert street.seen() == ALL
    street.upstream.good(
        "firewall", "apply", "--port", "8000", "--gate", "10.77.0.0/31", "--gate", "fd77::/127"
    )
    assert street.seen() == {**CLOSED, "gate 4": False, "gate 6": False}


def test_a_gate_on_the_same_machine(street: Street) -> None:
    street.upstream.good("firewall", "apply", "--port", "8000", "--gate", "127.0.0.1")
    assert street.seen() == {**CLOSED, "gate 4": False, "gate 6": False}
    assert [street.upstream.reaches(each, 8000) for each in ("127.0.0.1", "::1")] == [True, True]


@pytest.mark.parametrize("version", ["four", "six"])
@pytest.mark.parametrize("known", [True, False], ids=["known to the kernel", "older than its records"])
def test_what_a_stranger_has_open_ends_and_what_the_gate_has_goes_on(
    street: Street, gates: tuple[str, ...], version: str, known: bool
) -> None:
    if known:
        street.upstream.run("nft", "-f", "-", given=OTHERS)
    held = {}
    for box in (street.gate, street.stranger):
        address = getattr(street.upstream, version)
        held[box.space] = box.start("python3", "-I", "-S", CONNECT, "hold", address, "8000")
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    answers = {}
    for space, process in held.items():
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("again\n")
        process.stdin.flush()
        answers[space] = process.stdout.readline().strip()
    assert answers == {street.gate.space: "answer", street.stranger.space: "silence"}


def test_the_upstream_itself_still_calls_others(street: Street, gates: tuple[str, ...]) -> None:
    street.stranger.serve(8000)
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert street.upstream.reaches(street.stranger.four, 8000)
    assert street.upstream.reaches(street.stranger.six, 8000)


def test_a_second_apply_takes_the_place_of_the_first(street: Street, gates: tuple[str, ...]) -> None:
    before = street.upstream.ruleset()
    street.upstream.serve(8001)
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    street.upstream.good("firewall", "apply", "--port", "8001", *gates)
    assert (street.seen(8000), street.seen(8001)) == (ALL, CLOSED)
    street.upstream.good("firewall", "undo", "--yes")
    assert street.upstream.ruleset() == before
    assert "nothing to undo" in street.upstream.good("firewall", "undo", "--yes")


def test_a_port_that_is_redirected_inside(street: Street, gates: tuple[str, ...]) -> None:
    chain = "chain p { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :8000; };"
    street.upstream.run("nft", f"table inet other {{ {chain} }}")
    assert street.seen(80) == {**ALL, "itself 4": False, "itself 6": False}
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert street.seen(80) == {**CLOSED, "itself 4": False, "itself 6": False}
    # By the port that is called, too, whatever listens behind it.
    street.upstream.good("firewall", "apply", "--port", "80", *gates)
    assert street.seen(80) == {**CLOSED, "itself 4": False, "itself 6": False}
    assert street.seen(8000) == ALL
