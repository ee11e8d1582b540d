# SPDX-License-Identifier: Apache-2.0
"""A registry in a fresh folder, and certificates as an authority would issue them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pivgate.registry.store import Registry

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
_SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def _make_der(
    serial_number: int | None = None,
    *,
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=365),
) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(_SIGNER.public_key())
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(start.replace(microsecond=0))
        .not_valid_after(end.replace(microsecond=0))
    )
    return builder.sign(_SIGNER, None).public_bytes(Encoding.DER)


@pytest.fixture(scope="session")
def make_der() -> Callable[..., bytes]:
    """Makes a certificate; each call gives another one."""
    return _make_der


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry.sqlite", tmp_path / "audit.head") as opened:
        yield opened


@pytest.fixture
def enrol(make_der: Callable[..., bytes]) -> Callable[..., str]:
    """Registers a key to a user and puts a new certificate of it in force; gives the fingerprint."""

    def enrol(registry: Registry, user: str, serial: int, now: datetime = NOW) -> str:
        registry.register_key(
            serial,
            model="YubiKey 5 NFC",
            firmware="5.7.4",
            form_factor="USB-A",
            user=user,
            actor="root",
            now=now,
        )
        issued = registry.record_certificate(make_der(), serial, "client", actor="root", now=now)
        return registry.activate_certificate(issued.fingerprint, actor="root", now=now).fingerprint

    return enrol
