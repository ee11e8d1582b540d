# SPDX-License-Identifier: Apache-2.0
"""``serve.py tcp|udp ADDRESS PORT NAME``: answer every message with a name. Says ready when it listens."""

import socket
import sys
import threading

kind, address, port, name = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def answer(connection: socket.socket) -> None:
    try:
        while connection.recv(100):
            connection.sendall(name.encode())
    except OSError:
        pass


if kind == "udp":
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((address, int(port)))
        tell("ready")
        while True:
            _, sender = server.recvfrom(100)
            server.sendto(name.encode(), sender)
with socket.create_server((address, int(port)), family=family, dualstack_ipv6=address == "::") as server:
    tell("ready")
    while True:
        connection, _ = server.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
