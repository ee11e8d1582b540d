# SPDX-License-Identifier: Apache-2.0
"""Whether an upstream lets in the gate's certificate and no other: asked with it, with another, with none."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pivgate.errors import InputError
from pivgate.files import storage_error
from pivgate.firewall.reach import SECONDS, Outcome, Way
from pivgate.firewall.targets import Upstream, parse_upstream

Pair = tuple[Path, Path]
"""A certificate and its key, PEM files."""

# What servers answer that refuse a certificate after the handshake: nginx (400, and 495 and 496 before it is
# hidden in that), Caddy when the name is another's (421), and anything in front that says no (403).
_REFUSALS: Final = frozenset({400, 403, 421, 495, 496})
_GUIDE: Final = (
    "docs/guides/upstream-mtls.md shows how nginx, Caddy and uvicorn demand the gate's certificate."
)


@dataclass(frozen=True)
class Demand:
    """What an upstream is to demand.

    Attributes:
        server_name: The name by which it is asked; empty for none.
        gate: The gate's certificate for it.
        holder: A certificate of the holders' authority, which it must not let in.
    """

    server_name: str
    gate: Pair
    holder: Pair


def prove(ways: Sequence[Way], demands: Mapping[str, Demand], seconds: float = SECONDS) -> list[Way]:
    """Ask upstreams that are to demand a certificate, wherever something answers; leave all others.

    Args:
        ways: What connecting has shown.
        demands: What is demanded, by upstream as Caddy dials it; what only Caddy can follow is not asked.
        seconds: How long one step of a question may take.

    Raises:
        StorageError: A certificate to ask with cannot be read.
    """
    texts = {str(found): demand for dial, demand in demands.items() if (found := _upstream(dial))}
    with ThreadPoolExecutor(max(len(ways), 1)) as pool:
        return list(pool.map(lambda way: _proved(way, texts.get(way.upstream), seconds), ways))


def _proved(way: Way, demand: Demand | None, seconds: float) -> Way:
    found = _upstream(way.address)
    if demand is None or found is None or way.outcome in (Outcome.CLOSED, Outcome.SILENT):
        return way
    # Linux takes 0.0.0.0 and :: for this machine's loopback, where one who listens on every address is, too.
    place, name = (found.host, found.port), demand.server_name
    with ThreadPoolExecutor(4) as pool:
        asked_by_gate = pool.submit(_over_tls, place, name, demand.gate, seconds)
        others = {
            "anybody, without TLS": pool.submit(_in_the_clear, place, seconds),
            "anybody, without a certificate": pool.submit(_over_tls, place, name, None, seconds),
            "holders, around the gate": pool.submit(_over_tls, place, name, demand.holder, seconds),
        }
    gate = asked_by_gate.result()
    for whom, attempt in others.items():
        answer = attempt.result()
        if answer is not None and (answer not in _REFUSALS or answer == gate):
            return replace(way, outcome=Outcome.OPEN, says=f"lets in {whom}", remedy=_GUIDE)
    if gate is None or gate in _REFUSALS:
        # A server that refuses everything may still let in whoever asks in another way.
        says = "does not let in the gate: its site answers 502"
        remedy = f"Give it its files: `pivgate site upstream-files {demand.server_name or 'SITE'} FOLDER`. "
        return replace(way, outcome=Outcome.UNKNOWN, says=says, remedy=remedy + _GUIDE)
    return replace(
        way, outcome=Outcome.GUARDED, says="lets in the gate's certificate, and no other", remedy=""
    )


def _upstream(text: str) -> Upstream | None:
    try:
        found = parse_upstream(text)
    except InputError:
        return None
    return found if isinstance(found, Upstream) else None


def _over_tls(place: tuple[str, int], name: str, pair: Pair | None, seconds: float) -> int | None:
    """Make a request by TLS; return the status of its answer, None when there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Who it is does not matter here: nothing is told to it.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    if pair is not None:
        try:
            context.load_cert_chain(*pair)
        except OSError as error:
            raise storage_error("read", pair[0], error) from error
    try:
        with (
            socket.create_connection(place, seconds) as plain,
            context.wrap_socket(plain, server_hostname=name or None) as secured,
        ):
            return _status(secured, name or place[0])
    except OSError:
        return None


def _in_the_clear(place: tuple[str, int], seconds: float) -> int | None:
    """Make a request without TLS; return the status of its answer, None when there is none."""
    try:
        with socket.create_connection(place, seconds) as plain:
            return _status(plain, place[0])
    except OSError:
        return None


def _status(connection: socket.socket, host: str) -> int | None:
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    line = connection.recv(4096).split(b"\r\n")[0].split(b" ")
    return int(line[1]) if line[0].startswith(b"HTTP/") and len(line) > 1 and line[1].isdigit() else None
