# SPDX-License-Identifier: Apache-2.0
"""What this machine is: its addresses, what listens on it, what names mean to it.

Read from ``/proc/net``, which shows the network namespace of whoever reads, and needs no program.
"""

import ipaddress
import re
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from pivgate.files import read_file
from pivgate.firewall.targets import Address, Upstream, plain

_PROC = Path("/proc/net")
_LISTEN: Final = "0A"  # TCP_LISTEN, include/net/tcp_states.h of Linux
_LEAF = re.compile(r"\s*\|-- (?P<address>[0-9.]+)")


@dataclass(frozen=True)
class Listener:
    """A TCP socket that takes connections.

    Attributes:
        address: Where; ``0.0.0.0`` and ``::`` are every address of the machine.
        port: Its port.
    """

    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Machine:
    """What is to be known of the machine that a command runs on.

    Attributes:
        addresses: Every address of its interfaces, loopback included.
        listeners: What takes TCP connections.
    """

    addresses: tuple[Address, ...]
    listeners: tuple[Listener, ...] = ()

    def has(self, address: Address) -> bool:
        """Say whether a connection to an address stays on this machine."""
        return address in self.addresses or address.is_loopback or address.is_unspecified


def this_machine() -> Machine:
    """Look at the machine.

    Raises:
        StorageError: ``/proc`` is not there.
    """
    addresses = (*parse_fib_trie(_read("fib_trie")), *parse_if_inet6(_read("if_inet6", optional=True)))
    listeners = (*parse_tcp(_read("tcp")), *parse_tcp(_read("tcp6", optional=True)))
    return Machine(addresses, listeners)


def _read(name: str, *, optional: bool = False) -> str:
    # A kernel without IPv6 does not have its files.
    path = _PROC / name
    if optional and not path.exists():
        return ""
    return read_file(path).decode(errors="replace")


def parse_fib_trie(text: str) -> list[Address]:
    """Return the machine's IPv4 addresses from ``/proc/net/fib_trie``, in order."""
    found = set()
    address = ""
    for line in text.splitlines():
        if match := _LEAF.fullmatch(line):
            address = match["address"]
        elif line.strip() == "/32 host LOCAL":
            found.add(IPv4Address(address))
    return sorted(found)


def parse_if_inet6(text: str) -> list[Address]:
    """Return the machine's IPv6 addresses from ``/proc/net/if_inet6``.

    Those of the link scope are left out: they mean nothing without the name of an interface.
    """
    addresses = [IPv6Address(int(line.split()[0], 16)) for line in text.splitlines() if line.strip()]
    return sorted({each for each in addresses if not each.is_link_local})


def parse_tcp(text: str) -> list[Listener]:
    """Return the listening sockets from ``/proc/net/tcp`` or ``tcp6`` (proc(5))."""
    found = []
    for line in text.splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == _LISTEN:
            address, port = local.split(":")
            found.append(Listener(_address(address), int(port, 16)))
    return found


def _address(words: str) -> Address:
    # Each 32 bits are printed as a number in the machine's own byte order.
    packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    return plain(ipaddress.ip_address(packed))


def resolve(upstream: Upstream) -> tuple[Address, ...]:
    """Return every address of an upstream's host, as this machine looks it up; none when it has none."""
    if (address := upstream.address) is not None:
        return (address,)
    try:
        answers = socket.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    texts = [str(answer[4][0]).partition("%")[0] for answer in answers]
    return tuple(dict.fromkeys(plain(ipaddress.ip_address(text)) for text in texts))


def source_address(destination: Address) -> Address | None:
    """Return the address with which this machine would call another; None when no route leads there."""
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: connecting a datagram socket only chooses a route (udp(7)).
            probe.connect((str(destination), 9))
            return plain(ipaddress.ip_address(str(probe.getsockname()[0]).partition("%")[0]))
    except OSError:
        return None


def wildcard(listeners: Iterable[Listener], port: int) -> list[Listener]:
    """Return what listens on a port on every address of the machine."""
    return [each for each in listeners if each.port == port and each.address.is_unspecified]


def ssh_session(pid: int) -> str:
    """Return ``SSH_CONNECTION`` (ssh(1)) of a process or the nearest above it that has one, else nothing.

    ``sudo`` takes it out of the environment, so the processes above are asked, as far as they may be read.
    """
    while pid > 1:
        folder = Path("/proc", str(pid))
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            parent = re.search(r"^PPid:\s*(\d+)$", (folder / "status").read_text(), re.MULTILINE)
        except OSError:
            return ""
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                return variable.partition(b"=")[2].decode(errors="replace")
        pid = int(parent[1]) if parent else 0
    return ""
