# SPDX-License-Identifier: Apache-2.0
"""The gate as it runs: what serves, whether that was proved, and who else is on its ports and sockets."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.doctor.registry_facts import RegistryContent, RegistryFacts
from pivgate.doctor.sites_facts import CaddyFacts, Config, SitesFacts
from pivgate.errors import PivgateError
from pivgate.gate import process
from pivgate.gate.addresses import Tcp
from pivgate.gate.caddy import Caddy
from pivgate.gate.ports import Holder, holders, listening
from pivgate.gate.status import Status, read_status
from pivgate.gate.unix_http import listener
from pivgate.settings import Home

_PRIVILEGED: Final = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_CAPABILITY: Final = "security.capability"  # xattr(7); setcap writes it


@dataclass(frozen=True)
class GateFacts:
    """The running gate, or what is left of it.

    Attributes:
        status: What it does, or why that cannot be told.
        pid_file: The file of its process number.
        left_over: Whether that file is there.
        reachable: Whether both of its sockets are there.
        stranger: Process that listens on its admin socket and is not the gate; None if there is none.
        socket: The admin socket.
        others: Other processes that listen on its ports.
        forbidden: Ports that the user who looks may not listen on.
    """

    status: Status | Trouble
    pid_file: Path
    left_over: bool
    reachable: bool
    stranger: int | None
    socket: Path
    others: tuple[Holder, ...]
    forbidden: tuple[int, ...]


def gather_gate(place: Place, registry: RegistryFacts, caddy: CaddyFacts, sites: SitesFacts) -> GateFacts:
    """Look at the running gate; it is asked for its configuration and nothing else."""
    home = place.home
    wanted = registry.content.access if isinstance(registry.content, RegistryContent) else frozenset()
    serving = process.running(home)
    own = serving.pid if serving else None
    there = listener(home.admin_socket)
    addresses = sites.config.listen if isinstance(sites.config, Config) else ()
    return GateFacts(
        status=_status(home, wanted),
        pid_file=home.caddy_pid,
        left_over=home.caddy_pid.exists(),
        reachable=serving is not None and process.can_be_asked(home),
        stranger=there if there != own else None,
        socket=home.admin_socket,
        others=_others(addresses, own),
        forbidden=() if serving else _forbidden(place, addresses, caddy),
    )


def _status(home: Home, wanted: frozenset[tuple[str, str]]) -> Status | Trouble:
    try:
        return read_status(home, wanted)
    except PivgateError as error:
        return Trouble.of(error)


def _others(addresses: Sequence[Tcp], own: int | None) -> tuple[Holder, ...]:
    seen = holders(addresses)
    if own is None:
        # A process of another user is not seen by one who is not root, but that it listens is.
        taken = {where for _, where in listening()}
        hidden = {
            address.port
            for address in addresses
            for where in taken
            if where.port == address.port
            and (where.is_everywhere or address.is_everywhere or where.host == address.host)
        }
        known = {each.port for each in seen}
        seen += [Holder(port, 0, "a process of another user") for port in sorted(hidden - known)]
    return tuple(each for each in seen if each.pid != own)


def _forbidden(place: Place, addresses: Sequence[Tcp], caddy: CaddyFacts) -> tuple[int, ...]:
    if place.user == 0 or (isinstance(caddy.caddy, Caddy) and _has_capability(caddy.caddy.path)):
        return ()
    first = 1024
    with suppress(OSError, ValueError):
        first = int(_PRIVILEGED.read_text())
    return tuple(sorted({each.port for each in addresses if each.port < first}))


def _has_capability(program: Path) -> bool:
    try:
        return _CAPABILITY in os.listxattr(program)
    except OSError:
        return False
