# SPDX-License-Identifier: Apache-2.0
"""``connect.py tcp|udp|fragments ADDRESS PORT``: ask for an answer; exit 0 when there is one.

``connect.py hold ADDRESS PORT``: connect, say ready, then ask again for each line on standard input.
"""

import socket
import sys

kind, address, port = sys.argv[1:]
PATIENCE = 1.0
# One datagram that no packet has room for goes out in fragments, of which only the first has the port.
QUESTION = b"?" * 4000 if kind == "fragments" else b"?\n"


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def ask(connection: socket.socket) -> bool:
    try:
        connection.sendall(QUESTION)
        return bool(connection.recv(100))
    except OSError:
        return False


family = socket.AF_INET6 if ":" in address else socket.AF_INET
connection = socket.socket(family, socket.SOCK_STREAM if kind in ("tcp", "hold") else socket.SOCK_DGRAM)
connection.settimeout(PATIENCE)
try:
    # Looked up, so that the interface in an address of a link is not lost.
    connection.connect(socket.getaddrinfo(address, int(port), family)[0][4])
except OSError:
    sys.exit(1)
if kind == "hold":
    tell("ready" if ask(connection) else "mute")
    for _ in sys.stdin:
        tell("answer" if ask(connection) else "silence")
else:
    sys.exit(0 if ask(connection) else 1)
