# SPDX-License-Identifier: Apache-2.0
"""The nftables rules, from typed values to text. Pure.

One table of our own, ``inet pivgate``, for IPv4 and IPv6. An ``accept`` in it ends nothing in other tables,
and no ``accept`` in other tables can undo a ``drop`` in it (nft(8), "Base chains"): so nothing of anybody
else's has to be read, changed or put in order, be it Docker's chains, ufw's or firewalld's.

Packets are judged by where they come from, not by whether their connection is known: what a stranger has
open when the rules are loaded ends. A connection that this machine opens is not met, because the kernel
takes no port as its source on which something listens.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pivgate.firewall.targets import Address, Network, Ports

FAMILY: Final = "inet"
TABLE: Final = "pivgate"

_BY_PROTOCOL: Final = "meta l4proto { tcp, udp }"
# Published ports of containers: their packets bear the container's address and port when they come to a
# filter chain; the connection's record still has those that were called. Replies go the other way.
_PUBLISHED: Final = f"{_BY_PROTOCOL} ct direction original ct status dnat ct original proto-dst @ports"

_PORTS_SET: Final = re.compile(r"set ports \{[^{}]*elements = \{(?P<elements>[0-9, \t\n-]*)\}")


@dataclass(frozen=True)
class Rules:
    """What is closed, and to whom it stays open.

    Attributes:
        ports: Ports of this machine, and ports that it publishes for containers.
        upstreams: Addresses beyond this machine, such as containers', that it forwards packets to.
        gates: Who may go there from outside.
        users: Of this machine's own users, those who may; none means that all may.
    """

    ports: tuple[Ports, ...]
    upstreams: tuple[tuple[Address, int], ...] = ()
    gates: tuple[Network, ...] = ()
    users: tuple[int, ...] = ()


def render(rules: Rules) -> str:
    """Write the rules as a file that ``nft -f`` loads in one step, in the place of an older version."""
    parts = [_sets(rules), _input(), _forward()]
    if rules.users:
        parts.append(_output())
    body = "\n\n".join(parts)
    return (
        "# Written by `pivgate firewall apply`, removed by `pivgate firewall undo`. Do not edit.\n"
        f"table {FAMILY} {TABLE}\n"
        f"delete table {FAMILY} {TABLE}\n\n"
        f"table {FAMILY} {TABLE} {{\n{body}\n}}\n"
    )


def removal() -> str:
    """Write what removes the table, whether it is there or not, and leaves everything else."""
    return f"table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n"


def closed_ports(listing: str) -> tuple[Ports, ...]:
    """Read from our table, as nft shows it, which ports of this machine it closes."""
    match = _PORTS_SET.search(listing)
    words = match["elements"].replace(",", " ").split() if match else []
    ends = [(word.partition("-")[0], word.rpartition("-")[2]) for word in words]
    return tuple(Ports(int(low), int(high)) for low, high in ends)


def written(network: Network) -> str:
    """Return a network as nft shows it: one address without its prefix."""
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def merged_ports(ports: Iterable[Ports]) -> tuple[Ports, ...]:
    """Return the same ports in order, without overlaps, which nft would refuse."""
    found: list[Ports] = []
    for each in sorted(ports):
        if found and each.low <= found[-1].high + 1:
            found[-1] = Ports(found[-1].low, max(found[-1].high, each.high))
        else:
            found.append(each)
    return tuple(found)


def merged_networks(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return the same networks in order, IPv4 first, without overlaps."""
    several = list(networks)
    four = [each for each in several if isinstance(each, IPv4Network)]
    six = [each for each in several if isinstance(each, IPv6Network)]
    return (*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six))


def _sets(rules: Rules) -> str:
    gates = merged_networks(rules.gates)
    upstreams = sorted(set(rules.upstreams), key=lambda each: (each[0].version, int(each[0]), each[1]))
    sets = [_set("ports", "inet_service", map(str, merged_ports(rules.ports)), interval=True)]
    for version, name in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        allowed = [written(each) for each in gates if each.version == version]
        closed = [f"{address} . {port}" for address, port in upstreams if address.version == version]
        sets.append(_set(f"gates{version}", name, allowed, interval=True))
        sets.append(_set(f"upstreams{version}", f"{name} . inet_service", closed))
    if rules.users:
        sets.append(_set("users", "uid", map(str, sorted(set(rules.users)))))
    return "\n\n".join(sets)


def _set(name: str, kind: str, elements: Iterable[str], *, interval: bool = False) -> str:
    lines = [f"set {name} {{", f"\ttype {kind}"]
    if interval:
        lines.append("\tflags interval")
    if listed := ", ".join(elements):
        lines.append(f"\telements = {{ {listed} }}")
    return _indented([*lines, "}"])


def _chain(name: str, *lines: str) -> str:
    hook = f"type filter hook {name} priority filter - 10; policy accept;"
    return _indented([f"chain {name} {{", *(f"\t{line}" for line in (hook, *lines)), "}"])


def _indented(lines: list[str]) -> str:
    return "\n".join(f"\t{line}" for line in lines)


def _input() -> str:
    # What arrives by the loopback interface was sent by this machine: the output chain is for that.
    return _chain(
        "input",
        'iifname "lo" accept',
        "ip saddr @gates4 accept",
        "ip6 saddr @gates6 accept",
        f"{_BY_PROTOCOL} th dport @ports drop",
        f"{_PUBLISHED} drop",
    )


def _forward() -> str:
    return _chain(
        "forward",
        "ip saddr @gates4 accept",
        "ip6 saddr @gates6 accept",
        f"{_PUBLISHED} drop",
        f"{_BY_PROTOCOL} ip daddr . th dport @upstreams4 drop",
        f"{_BY_PROTOCOL} ip6 daddr . th dport @upstreams6 drop",
    )


def _output() -> str:
    # `!=` is false for packets without a socket, which the kernel sends for connections that ended.
    user = "meta skuid != @users"
    return _chain(
        "output",
        f'oifname "lo" tcp dport @ports {user} reject with tcp reset',
        f'oifname "lo" udp dport @ports {user} reject',
        f"{_PUBLISHED} {user} reject",
        f"{_BY_PROTOCOL} ip daddr . th dport @upstreams4 {user} reject",
        f"{_BY_PROTOCOL} ip6 daddr . th dport @upstreams6 {user} reject",
    )
