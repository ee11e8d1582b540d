# SPDX-License-Identifier: Apache-2.0
"""An authority, a clock that stands still, randomness that repeats, and the request vectors."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509

from pivgate.authority.issue import Authority, issue_authority
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import common_name
from pivgate.authority.request import Request, parse_request

VECTORS = Path(__file__).parents[2] / "vectors" / "authority"

NewAuthority = Callable[..., Authority]


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def randomness() -> Callable[[int], bytes]:
    counter = count()
    return lambda size: hashlib.shake_128(next(counter).to_bytes(8, "big")).digest(size)


@pytest.fixture(scope="session")
def new_authority(now: datetime) -> NewAuthority:
    def build(
        algorithm: KeyAlgorithm = KeyAlgorithm.ED25519,
        *,
        name: x509.Name | None = None,
        days: int = 3650,
        start: datetime = now,
    ) -> Authority:
        signer = generate(algorithm)
        name = name or common_name("Example Access")
        return Authority(
            issue_authority(name, signer, now=start, days=days, serial_number=2**126 + 7), signer
        )

    return build


@pytest.fixture(scope="session")
def authority(new_authority: NewAuthority) -> Authority:
    return new_authority()


@pytest.fixture(scope="session")
def vector() -> Callable[[str], bytes]:
    """Read a request vector, for example ``good/p384.pem``."""
    return lambda name: (VECTORS / "requests" / name).read_bytes()


@pytest.fixture(scope="session")
def request_of(vector: Callable[[str], bytes]) -> Callable[[str], Request]:
    """Parse one of the good requests by its kind of key, for example ``p384``."""
    return lambda kind: parse_request(vector(f"good/{kind}.pem"))
