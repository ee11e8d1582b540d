# SPDX-License-Identifier: Apache-2.0
"""A key that can log in, the authority that issued its certificate, and a server that asks for it."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, PIN_POLICY, SLOT

from pivgate.client.key import CardKey
from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.yubikey.session import open_piv

FACTORY_PIN = "123456"


class Authority:
    """Issues certificates for both sides."""

    def __init__(self, name: str = "authority") -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.issue(
            name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None)
        )

    def issue(
        self, name: str, public_key: Any, *extensions: x509.ExtensionType, days: float = 1
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def server_context(self, folder: Path, *names: str) -> ssl.SSLContext:
        """Return the TLS settings of a server that demands a certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self.issue(
            "server", key.public_key(), x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        )
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + leaf.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.certificate.public_bytes(Encoding.PEM).decode())
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass
class Bench:
    """A key and its authority."""

    authority: Authority
    device: EmulatedDevice
    asked: list[int]

    def key(self, pin: str = FACTORY_PIN, **more: Any) -> CardKey:
        def ask(tries: int) -> str:
            self.asked.append(tries)
            return pin

        return CardKey(self.device, ask_pin=ask, **more)


@pytest.fixture
def bench() -> Bench:
    """A key with a certificate for alice; its PIN is the factory's."""
    authority = Authority()
    device = EmulatedDevice(EmulatedYubiKey(FIRMWARE["5.4.3"], 31000001))
    with device.open() as connection:
        piv = open_piv(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        public_key = piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE)
        piv.put_certificate(SLOT.AUTHENTICATION, authority.issue("alice", public_key))
    return Bench(authority, device, [])


Serve = Callable[[Any, int], None]


@pytest.fixture
def tls_server(bench: Bench, tmp_path: Path) -> Iterator[Callable[[Serve], int]]:
    """Starts a server for ``site.test``; each connection is given to a function, with its number."""
    servers = []

    def start(serve: Serve, context: ssl.SSLContext | None = None) -> int:
        context = context or bench.authority.server_context(tmp_path, "site.test")
        listener = socket.create_server(("127.0.0.1", 0))
        servers.append(listener)

        def accept() -> None:
            number = 0
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                number += 1
                threading.Thread(target=one, args=(sock, number), daemon=True).start()

        def one(sock: socket.socket, number: int) -> None:
            try:
                with context.wrap_socket(sock, server_side=True) as tls:
                    serve(tls, number)
            except OSError:
                sock.close()

        threading.Thread(target=accept, daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for listener in servers:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
