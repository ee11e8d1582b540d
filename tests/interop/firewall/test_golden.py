# SPDX-License-Identifier: Apache-2.0
"""nft and the kernel take every golden file, show what is in it, and the removal undoes it."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interop.firewall.lab import Box

from pivgate.firewall.rules import Rules, closed_ports, merged_ports, render
from pivgate.firewall.targets import Ports

pytestmark = pytest.mark.interop

GOLDEN = Path(__file__).parents[2] / "golden" / "firewall"
FILES = sorted(path for path in GOLDEN.glob("*.nft") if path.name != "removal.nft")


def parts(text: str) -> tuple[list[str], list[str]]:
    """Return the words of the sets, which nft puts into an order of its own, and those of the chains."""
    words = text.replace(",", " ").split()
    first = words.index("chain")
    # nft also says with what it rejects; those words are its own.
    reject = ("with", "icmp", "icmpv6", "port-unreachable")
    return sorted(words[:first]), [word for word in words[first:] if word not in reject]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_loaded_is_what_the_file_says(upstream: Box, path: Path) -> None:
    upstream.run("nft", "--check", "-f", path)
    assert upstream.ruleset() == ""
    for _ in range(2):
        upstream.run("nft", "-f", path)
        written = path.read_text().partition("delete table inet pivgate\n")[2]
        assert parts(upstream.ruleset()) == parts(written)
    upstream.run("nft", "-f", GOLDEN / "removal.nft")
    assert upstream.ruleset() == ""
    upstream.run("nft", "-f", GOLDEN / "removal.nft")


PORT = st.integers(1, 65535)
PORTS = st.tuples(PORT, PORT).map(lambda pair: Ports(min(pair), max(pair)))
RULES = st.builds(
    Rules,
    ports=st.lists(PORTS, max_size=30).map(tuple),
    upstreams=st.lists(st.tuples(st.ip_addresses(), PORT), max_size=5).map(tuple),
    gates=st.lists(
        st.tuples(st.ip_addresses(v=4), st.integers(1, 32)).map(lambda pair: _network(*pair))
        | st.tuples(st.ip_addresses(v=6), st.integers(1, 128)).map(lambda pair: _network(*pair)),
        max_size=20,
    ).map(tuple),
    users=st.lists(st.integers(0, 2**32 - 2), max_size=5).map(tuple),
)


def _network(address: object, prefix: int) -> object:
    from ipaddress import ip_network

    return ip_network(f"{address}/{prefix}", strict=False)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=RULES)
def test_nft_takes_any_rules(upstream: Box, rules: Rules) -> None:
    upstream.run("nft", "-f", "-", given=render(rules))
    listing = upstream.run("nft", "--stateless", "list", "table", "inet", "pivgate")
    assert merged_ports(closed_ports(listing)) == merged_ports(rules.ports)
