# SPDX-License-Identifier: Apache-2.0
"""The text of the rules: as the golden files have it, and never anything but numbers in it."""

import os
import re
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import InputError
from pivgate.firewall.rules import Rules, closed_ports, merged_networks, merged_ports, removal, render
from pivgate.firewall.targets import Ports, parse_gate, parse_ports

GOLDEN = Path(__file__).parents[2] / "golden" / "firewall"

CASES = {
    "gate-elsewhere": Rules((Ports(8000, 8000),), gates=(ip_network("10.0.0.1"), ip_network("fd00::1"))),
    "gate-here": Rules((Ports(8000, 8000), Ports(8080, 8083))),
    "gate-user": Rules((Ports(8000, 8000),), users=(998,)),
    "everything": Rules(
        (Ports(8000, 8000), Ports(9000, 9010), Ports(8001, 8001)),
        (
            (ip_address("172.18.0.3"), 80),
            (ip_address("172.18.0.2"), 8080),
            (ip_address("fd00:d0c::2"), 80),
            (ip_address("172.18.0.2"), 80),
        ),
        (ip_network("10.1.0.0/16"), ip_network("10.0.0.1"), ip_network("10.1.2.3"), ip_network("fd00::/64")),
        (1000, 33),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rules_are_the_golden_ones(name: str) -> None:
    path = GOLDEN / f"{name}.nft"
    text = render(CASES[name])
    if os.environ.get("PIVGATE_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_removal_is_the_golden_one() -> None:
    path = GOLDEN / "removal.nft"
    if os.environ.get("PIVGATE_WRITE_GOLDEN"):
        path.write_text(removal())
    assert removal() == path.read_text()


def test_ports_that_touch_or_overlap_become_one() -> None:
    ports = [Ports(8003, 8005), Ports(80, 80), Ports(8000, 8004), Ports(8006, 8006), Ports(8008, 8008)]
    assert merged_ports(ports) == (Ports(80, 80), Ports(8000, 8006), Ports(8008, 8008))


def test_a_network_swallows_what_is_in_it() -> None:
    networks = map(ip_network, ("fd00::1", "10.0.0.0/8", "10.1.0.0/16", "fd00::1", "10.0.0.1"))
    assert merged_networks(networks) == (ip_network("10.0.0.0/8"), ip_network("fd00::1"))


@pytest.mark.parametrize(
    ("listing", "ports"),
    [
        (render(CASES["everything"]), (Ports(8000, 8001), Ports(9000, 9010))),
        (
            "set ports {\n\ttype inet_service\n\telements = { 80, 443,\n\t\t     9000-9001 }\n}",
            (Ports(80, 80), Ports(443, 443), Ports(9000, 9001)),
        ),
        ("set ports {\n\ttype inet_service\n}", ()),
        ("set gates4 {\n\telements = { 80 }\n}", ()),
        ("", ()),
    ],
)
def test_the_ports_that_a_listing_closes(listing: str, ports: tuple[Ports, ...]) -> None:
    assert closed_ports(listing) == ports


LOOKS_LIKE_NFT = st.text(alphabet='0123456789abcdef.:/-,; {}@"#\n\\$%drop accept', max_size=30) | st.text(
    max_size=30
)


@given(
    st.lists(LOOKS_LIKE_NFT, max_size=4),
    st.lists(LOOKS_LIKE_NFT, max_size=4),
    st.lists(st.integers(0, 2**32 - 1)),
)
def test_no_text_that_was_given_becomes_a_rule(gates: list[str], ports: list[str], users: list[int]) -> None:
    networks, closed = [], [Ports(8000, 8000)]
    for text in gates:
        with suppress(InputError):
            networks.append(parse_gate(text))
    for text in ports:
        with suppress(InputError):
            closed.append(parse_ports(text))
    found = render(Rules(tuple(closed), (), tuple(networks), tuple(users)))
    plain = render(Rules((Ports(1, 1),), (), (), (1,) if users else ()))
    assert [line for line in found.splitlines() if "elements" not in line] == [
        line for line in plain.splitlines() if "elements" not in line
    ]
    for line in found.splitlines():
        if "elements" in line:
            assert re.fullmatch(r"\t\telements = \{ [0-9a-f.:/, -]+ \}", line)
