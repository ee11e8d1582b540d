# SPDX-License-Identifier: Apache-2.0
"""A machine with a container behind a published port, with rules of the shape that Docker makes.

Two shapes: with iptables, as Docker Engine 28 does, and with nftables, as Docker Engine 29 can. Source: the
rules that the engine documents at https://docs.docker.com/engine/network/packet-filtering-firewalls/ and in
its own repository under integration/network/bridge.
"""

import secrets

from tests.interop.firewall.lab import Box, Lab, address, run

BRIDGE = "docker0"
FOUR, SIX = "172.17.0.2", "fd00:d0c::2"
PUBLISHED = 8080
INSIDE = 80

IPTABLES = """
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {subnet} ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination {target}
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d {container} ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
"""

NFTABLES = """
table {family} docker-bridges {{
	chain filter-FORWARD {{
		type filter hook forward priority filter; policy accept;
		oifname "docker0" jump filter-forward-in__docker0
		iifname "docker0" accept
	}}
	chain filter-forward-in__docker0 {{
		ct state established,related accept
		{family} daddr {container} tcp dport 80 accept
		drop
	}}
	chain nat-PREROUTING {{
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump nat-prerouting-and-output
	}}
	chain nat-OUTPUT {{
		type nat hook output priority -100; policy accept;
		{family} daddr != {loopback} fib daddr type local jump nat-prerouting-and-output
	}}
	chain nat-POSTROUTING {{
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "docker0" {family} saddr {subnet} masquerade
	}}
	chain nat-prerouting-and-output {{
		iifname != "docker0" tcp dport 8080 dnat to {target}
	}}
}}
"""

VALUES = {
    4: {
        "loopback": "127.0.0.0/8",
        "subnet": "172.17.0.0/16",
        "target": f"{FOUR}:{INSIDE}",
        "container": FOUR,
        "family": "ip",
    },
    6: {
        "loopback": "::1",
        "subnet": "fd00:d0c::/64",
        "target": f"[{SIX}]:{INSIDE}",
        "container": SIX,
        "family": "ip6",
    },
}


def container(lab: Lab, host: Box) -> Box:
    """Put a container on a machine's bridge, with a server on port 80."""
    space = f"{host.space}-c{secrets.token_hex(1)}"
    inside = Box(space, 0, host.root)
    run("ip", "netns", "add", space)
    lab.boxes.append(inside)
    run("ip", "-n", host.space, "link", "add", BRIDGE, "type", "bridge")
    run("ip", "-n", host.space, "link", "add", "veth1", "type", "veth", "peer", "eth0", "netns", space)
    run("ip", "-n", host.space, "link", "set", "veth1", "master", BRIDGE, "up")
    address(host, BRIDGE, "172.17.0.1/16", "fd00:d0c::1/64")
    address(inside, "lo")
    address(inside, "eth0", f"{FOUR}/16", f"{SIX}/64")
    run("ip", "-n", space, "route", "add", "default", "via", "172.17.0.1")
    run("ip", "-n", space, "route", "add", "default", "via", "fd00:d0c::1")
    for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
        host.run("sysctl", "-q", "-w", setting)
    inside.serve(INSIDE)
    # A bridge takes a moment until packets of IPv6 find their neighbours on it.
    assert any(host.reaches(SIX, INSIDE) and inside.reaches("fd00:d0c::1", 8000) for _ in range(20))
    return inside


def publish(host: Box, how: str) -> None:
    """Publish the container's port 80 as port 8080 of the machine, as Docker does with that backend."""
    if how == "nftables":
        host.run("nft", "-f", "-", given="".join(NFTABLES.format(**VALUES[version]) for version in (4, 6)))
        return
    host.run("iptables-restore", given=IPTABLES.format(**VALUES[4]))
    host.run("ip6tables-restore", given=IPTABLES.format(**VALUES[6]))


def by_the_bridge(box: Box, host: Box) -> None:
    """Let a machine send packets for containers straight to the host, without asking for a published port."""
    run("ip", "-n", box.space, "route", "add", "172.17.0.0/16", "via", host.four)
    run("ip", "-n", box.space, "route", "add", "fd00:d0c::/64", "via", host.six)
