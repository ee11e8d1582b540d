# SPDX-License-Identifier: Apache-2.0
"""Load on one port: requests over connections that stay open, and handshakes one after the other."""

import re
import socket
import ssl
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.sites import SITE

_CONNECTIONS = 16
_HANDSHAKES_AT_ONCE = 4
_PATIENCE = 300
_RATE = re.compile(r"^Requests per second:\s+([0-9.]+)", re.MULTILINE)
_FAULT = re.compile(r"^(?:Failed requests:\s+[1-9]|Non-2xx responses:).*", re.MULTILINE)
# What a browser sends with each request to a page: the gate looks at every header's name.
_HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br",
    "Referer: https://localhost/",
    "Cookie: session=0123456789abcdef0123456789abcdef",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
)


@dataclass(frozen=True)
class Pace:
    """How fast requests were answered.

    Attributes:
        rate: Requests a second.
        p99: Of a hundred requests, 99 were answered within that many milliseconds.
    """

    rate: float
    p99: float


def keep_alive(requests: int, login: Path, port: int) -> Pace:
    """Send requests over a few connections that stay open."""
    with tempfile.NamedTemporaryFile("r") as percentiles:
        command = ["ab", "-q", "-k", "-c", str(_CONNECTIONS), "-n", str(requests), "-E", str(login)]
        command += ["-e", percentiles.name, *(part for line in _HEADERS for part in ("-H", line))]
        done = subprocess.run(
            [*command, f"https://{SITE}:{port}/"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        rate, fault = _RATE.search(done.stdout), _FAULT.search(done.stdout)
        if rate is None or fault is not None:
            raise RuntimeError(f"ab: {fault[0] if fault else done.stderr.strip()[-500:]}")
        rows = dict(line.split(",") for line in percentiles.read().splitlines()[1:])
        return Pace(float(rate[1]), float(rows["99"]))


def handshakes(number: int, login: Path, port: int) -> float:
    """Open connections, each for one request; return how many a second.

    Nagle's algorithm is off: with it, each would wait 40 ms for an acknowledgement.
    """
    context = visitor(login)
    started = time.perf_counter()
    with ThreadPoolExecutor(_HANDSHAKES_AT_ONCE) as pool:
        for answer in pool.map(lambda _: ask_once(context, port), range(number)):
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"port {port} answered {answer[:100]!r}")
    return number / (time.perf_counter() - started)


def visitor(login: Path) -> ssl.SSLContext:
    """Return a client with a certificate, that trusts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(login)
    return context


def connect(context: ssl.SSLContext, port: int, patience: float = 20.0) -> ssl.SSLSocket:
    """Open a connection and shake hands."""
    plain = socket.create_connection(("127.0.0.1", port), patience)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=SITE)
    except BaseException:
        plain.close()
        raise


def ask_once(context: ssl.SSLContext, port: int) -> bytes:
    """Make one request on a connection of its own; return the whole answer."""
    with connect(context, port) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {SITE}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while received := connection.recv(65536):
            answer += received
        return answer
