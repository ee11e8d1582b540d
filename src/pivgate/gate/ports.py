# SPDX-License-Identifier: Apache-2.0
"""Who else listens on a port: Linux tells in /proc/net/tcp and in the descriptors of each process."""

import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import GateError
from pivgate.gate.addresses import Tcp
from pivgate.gate.own_process import identify
from pivgate.settings import Home

# State of a listening socket in /proc/net/tcp: TCP_LISTEN of the kernel's include/net/tcp_states.h.
_LISTEN = "0A"

_BIND_FAILURE = re.compile(
    r"listen (?:tcp|udp)[46]? (?P<address>\S*:(?P<port>\d+)): bind: (?P<reason>[a-z ]+)"
)


@dataclass(frozen=True)
class Holder:
    """A process that listens on a TCP port.

    Attributes:
        port: The port.
        pid: Its process id; 0 when it cannot be seen.
        name: Its name, as ``ps`` shows it.
    """

    port: int
    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})" if self.pid else self.name


def holders(addresses: Iterable[Tcp]) -> list[Holder]:
    """Find the processes that listen on any of these addresses.

    Only processes whose descriptors this user may read are found: one's own, or all for root.
    """
    wanted = list(addresses)
    inodes = {
        inode: host_port.port
        for inode, host_port in listening()
        if any(_overlap(host_port, address) for address in wanted)
    }
    if not inodes:
        return []
    return [Holder(inodes[inode], pid, _name(pid)) for pid, inode in _sockets() if inode in inodes]


def pids_that_listen() -> frozenset[int]:
    """Return the processes that listen on any TCP port, of those whose descriptors this user may read."""
    inodes = {inode for inode, _ in listening()}
    return frozenset(pid for pid, inode in _sockets() if inode in inodes)


def refuse_shared(addresses: Iterable[Tcp], own_pid: int, home: Home) -> None:
    """Refuse ports on which another process listens, before Caddy binds them.

    Caddy binds with SO_REUSEPORT (socket(7)). When a second Caddy of the same user does too, both binds
    succeed, and the kernel hands each connection to one or the other: the gate would be passed by every
    second visitor, and no probe could be sure whom it met.

    Args:
        addresses: Where the gate is to listen.
        own_pid: The gate's own process.
        home: The gate's home.

    Raises:
        GateError: Another process is there; it is named.
    """
    for holder in holders(addresses):
        if holder.pid != own_pid:
            raise _in_use(holder, home)


def explain(reason: str, program: Path, home: Home) -> GateError | None:
    """Turn Caddy's complaint about a port into one that says who has it or what to grant; None for others.

    Args:
        reason: What Caddy said.
        program: The Caddy that said it.
        home: The home of that Caddy.
    """
    match = _BIND_FAILURE.search(reason)
    if not match:
        return None
    port = int(match["port"])
    if match["reason"].startswith("address already in use"):
        found = holders([Tcp("", port)])
        return _in_use(found[0] if found else Holder(port, 0, "another user's process"), home)
    if match["reason"].startswith("permission denied"):
        return GateError(
            f"This user may not listen on port {port}",
            f"Run `sudo setcap cap_net_bind_service=+ep {program.resolve()}`, or run pivgate as root, or set "
            "http_port and https_port above 1023 in the Caddyfile.",
        )
    return GateError(
        f"Caddy cannot listen on {match['address']}: {match['reason'].strip()}",
        "Is that address one of this machine's? `ip addr` shows them.",
    )


def _in_use(holder: Holder, home: Home) -> GateError:
    if identify(holder.pid, home):
        return GateError(
            f"Port {holder.port} is held by another Caddy of this home (process {holder.pid})",
            "`pivgate down` stops it; `pivgate up` starts the gate afresh.",
        )
    return GateError(
        f"Port {holder.port} is already in use by {holder}",
        "Stop that program, or give the site another port: `site.example:8443 { … }`, http_port, https_port.",
    )


def _overlap(one: Tcp, other: Tcp) -> bool:
    return one.port == other.port and (one.is_everywhere or other.is_everywhere or one.host == other.host)


def listening() -> Iterator[tuple[str, Tcp]]:
    """Yield socket number and address of each TCP socket of this machine that listens."""
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        lines: list[str] = []
        with suppress(OSError):
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTEN:
                yield columns[9], _address(columns[1], family)


def _address(text: str, family: socket.AddressFamily) -> Tcp:
    host, port = text.split(":")
    # The kernel prints the address as 32-bit words in its own byte order, each as eight digits.
    words = [int(host[index : index + 8], 16).to_bytes(4, sys.byteorder) for index in range(0, len(host), 8)]
    return Tcp(socket.inet_ntop(family, b"".join(words)), int(port, 16))


def _sockets() -> Iterator[tuple[int, str]]:
    """Yield process id and socket number for each open socket that this user may see."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        # A process may end, or belong to somebody else.
        with suppress(OSError):
            for descriptor in os.scandir(process / "fd"):
                with suppress(OSError):
                    target = str(Path(descriptor.path).readlink())
                    if target.startswith("socket:["):
                        yield int(process.name), target[8:-1]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "a process"
