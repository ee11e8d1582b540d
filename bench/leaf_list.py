# SPDX-License-Identifier: Apache-2.0
"""What stock Caddy offers for revocation: a ``leaf`` verifier over a list, and a reload for every change."""

import http.client
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bench.place import Holder, Place, free_port, now, request_for
from bench.sites import caddy, mutual_tls
from pivgate.authority.issue import issue_client
from pivgate.authority.names import Subject
from pivgate.authority.request import parse_request


class LeafList:
    """A Caddy that admits the certificates of a list.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, folder: Path, port: int, caddyfile: str, leaves: dict[str, bytes]) -> None:
        self.port = port
        self._socket = folder / "leaf.sock"
        self._file = folder / "leaves.pem"
        self._caddyfile = caddyfile.encode()
        self._leaves = leaves
        self._write()

    @classmethod
    @contextmanager
    def serving(
        cls, there: Place, upstream: int, holders: Sequence[Holder], others: int
    ) -> Iterator["LeafList"]:
        """Serve some holders and a number of others."""
        port = free_port()
        caddyfile = mutual_tls(
            there,
            upstream,
            port,
            admin=f'"unix/{there.root / "leaf.sock"}"',
            verifier=f'verifier leaf {{\n\t\t\t\tfile "{there.root / "leaves.pem"}"\n\t\t\t}}',
        )
        leaves = {str(number): pem for number, pem in enumerate(_certificates(there, others))}
        leaves |= {holder.fingerprint: holder.certificate.public_bytes(Encoding.PEM) for holder in holders}
        listed = cls(there.root, port, caddyfile, leaves)
        with caddy(caddyfile, port):
            yield listed

    def remove(self, holder: Holder) -> None:
        """Take a certificate off the list and reload."""
        del self._leaves[holder.fingerprint]
        self._write()
        connection = _UnixConnection(self._socket)
        # Without this header Caddy does not read the list again: the configuration itself is the same.
        headers = {"Content-Type": "text/caddyfile", "Cache-Control": "must-revalidate"}
        connection.request("POST", "/load", self._caddyfile, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"Caddy does not reload: {body[:500]!r}")

    def _write(self) -> None:
        self._file.write_bytes(b"".join(self._leaves.values()))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _certificates(there: Place, number: int) -> Iterator[bytes]:
    request = parse_request(request_for(ec.generate_private_key(ec.SECP256R1())))
    for _ in range(number):
        certificate = issue_client(
            request, Subject("alice", None), there.authority, now=now(), days=365, randomness=os.urandom
        )
        yield certificate.public_bytes(Encoding.PEM)
