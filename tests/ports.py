# SPDX-License-Identifier: Apache-2.0
"""Ports for servers that have to be told theirs beforehand.

None of those that the kernel gives out by itself (``ip_local_port_range``, from 32768 on): between the choice
and the use, another test's upstream could be given it. Each worker of pytest-xdist has a range of its own.
"""

import os
import secrets
import socket
from itertools import count

_FIRST = 12_000
_PER_WORKER = 2_000
_WORKERS = 10

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
# Two runs on one machine begin in different places.
_steps = count(secrets.randbelow(_PER_WORKER))


def free_ports(number: int) -> list[int]:
    """Return TCP ports of the loopback that nobody listens on."""
    return [free_port() for _ in range(number)]


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    for _ in range(_PER_WORKER):
        port = _FIRST + _PER_WORKER * _worker + next(_steps) % _PER_WORKER
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("every port is taken")
