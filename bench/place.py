# SPDX-License-Identifier: Apache-2.0
"""A home of its own for each figure, with people in it; gone afterwards, its gate too."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pivgate.authority.issue import Authority, issue_client
from pivgate.authority.names import Subject
from pivgate.authority.request import parse_request
from pivgate.enrolment.authority import unlock
from pivgate.enrolment.founding import Founding, found
from pivgate.gate.process import stop
from pivgate.registry.store import Registry
from pivgate.settings import Home

ACTOR = "bench"
PROFILE = "client"
FIRST_SERIAL = 10_000_000


@dataclass(frozen=True)
class Holder:
    """A certificate in force, with its private key in software.

    Attributes:
        certificate: The certificate.
        pem: A file with both.
    """

    certificate: x509.Certificate
    pem: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as the access tree has it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


@dataclass
class Place:
    """A home for measuring.

    Attributes:
        root: Everything is below it.
        home: The home.
        https_port: Where its gate may listen.
        authority: Unlocked.
        registry: Opened.
    """

    root: Path
    home: Home
    https_port: int
    authority: Authority
    registry: Registry
    _serials: Iterator[int] = field(default_factory=lambda: count(FIRST_SERIAL))

    def admit(self, user: str = "alice") -> Holder:
        """Give somebody a key with a certificate in force; the access tree is the caller's affair."""
        private_key = ec.generate_private_key(ec.SECP256R1())
        serial = next(self._serials)
        certificate = issue_client(
            parse_request(request_for(private_key)),
            Subject(user, None),
            self.authority,
            now=now(),
            days=365,
            randomness=os.urandom,
        )
        register_key(self.registry, serial, user)
        recorded = self.registry.record_certificate(
            certificate.public_bytes(Encoding.DER), serial, PROFILE, actor=ACTOR, now=now()
        )
        self.registry.activate_certificate(recorded.fingerprint, actor=ACTOR, now=now())
        pem = self.root / f"{serial}.pem"
        pem.write_bytes(
            certificate.public_bytes(Encoding.PEM)
            + private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return Holder(certificate, pem)


@contextmanager
def place(parent: Path | None = None) -> Iterator[Place]:
    """Make a home, with ``alice`` in its registry, and remove it afterwards; its gate is stopped.

    Args:
        parent: Where; the system's folder for temporary files by default.
    """
    # A short path: unix sockets allow no more than 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="pgb", dir=parent))
    home = Home(root / "home")
    try:
        https_port, http_port = free_port(), free_port()
        plan = Founding(
            algorithm="ed25519",
            days=3650,
            subject="CN=pivgate bench authority",
            contact="nobody",
            https_port=https_port,
            http_port=http_port,
            listen="127.0.0.1",
            unprotected=True,
        )
        found(home, plan, b"", actor=ACTOR, now=now())
        authority = unlock(home, lambda: "", now())
        with Registry.open(home.registry, home.audit_head) as registry:
            registry.add_user("alice", display_name="Alice", email=None, actor=ACTOR, now=now())
            yield Place(root, home, https_port, authority, registry)
    finally:
        if home.settings.exists():
            stop(home)
        shutil.rmtree(root)


def register_key(registry: Registry, serial: int, user: str) -> None:
    """Enter a key as provisioning does."""
    registry.register_key(
        serial,
        model="YubiKey 5C NFC",
        firmware="5.7.4",
        form_factor="USB-C keychain",
        user=user,
        actor=ACTOR,
        now=now(),
    )


def request_for(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Make a certificate request, as the key would; DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "request")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(private_key, hashes.SHA256()).public_bytes(Encoding.DER)


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
