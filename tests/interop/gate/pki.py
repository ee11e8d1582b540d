# SPDX-License-Identifier: Apache-2.0
"""Authorities and client certificates, good and bad, made with ``cryptography`` alone.

Nothing here comes from ``pivgate.authority``: a mistake there must not hide one in the gate.
"""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
DAY = datetime.timedelta(days=1)
ALGORITHMS = ("ed25519", "p256", "p384")


def generate(algorithm: str) -> Key:
    """Make a key of an algorithm."""
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[algorithm])


def _write_key(path: Path, key: Key) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def common_name(name: str) -> x509.Name:
    """Return ``CN=name``, in which any character may stand."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)])


@dataclass(frozen=True)
class Client:
    """A certificate with its key, in files that a TLS client can load."""

    certificate: x509.Certificate
    pem: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, as Caddy writes it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def context(self) -> ssl.SSLContext:
        """Return a client context that shows this certificate and trusts every server."""
        context = anonymous()
        context.load_cert_chain(self.pem, self.key)
        return context


def anonymous() -> ssl.SSLContext:
    """Return a client context without a certificate that trusts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class Authority:
    """Signs whatever it is asked for."""

    def __init__(self, folder: Path, algorithm: str = "p256", name: str = "test authority") -> None:
        self.folder = folder
        self.key = generate(algorithm)
        self.name = common_name(name)
        self.certificate = self._certificate()
        self.pem = folder / f"ca-{id(self)}.pem"
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def client(
        self,
        subject: x509.Name | str,
        *,
        days: tuple[int, int] = (-1, 30),
        names: Sequence[x509.GeneralName] = (),
    ) -> Client:
        """Issue a client certificate.

        Args:
            subject: A name, or the common name alone.
            days: Start and end, in days from now.
            names: Subject alternative names.
        """
        key = generate("p256")
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(common_name(subject) if isinstance(subject, str) else subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, self._hash())
        stem = self.folder / f"client-{certificate.serial_number:x}"
        pem, key_file = stem.with_suffix(".pem"), stem.with_suffix(".key")
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(key_file, key)
        return Client(certificate, pem, key_file)

    def _certificate(self) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 100 * DAY)
            .not_valid_after(now + 100 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, self._hash())
        )

    def _hash(self) -> hashes.HashAlgorithm | None:
        return None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA384()


def server_pair(names: Sequence[str], certificate: Path, key_file: Path) -> None:
    """Write a server's own certificate for some names, which nobody signed, and its key."""
    key = generate("p256")
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(common_name("server"))
        .issuer_name(common_name("server"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 30 * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    _write_key(key_file, key)
