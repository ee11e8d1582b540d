# SPDX-License-Identifier: Apache-2.0
"""How much is measured: everything, or a quick look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Sizes of a run.

    Attributes:
        rounds: Rounds of each comparison.
        certificates: How many are issued beside ``openssl ca``.
        rows: Rows of the large registry.
        entries: Active certificates of the large access tree.
        requests: Requests of one turn of ``ab``.
        sizes: Certificates in force, and as many revoked, that the gate is measured with, from few to many.
        handshakes: Handshakes of one turn.
        patience: Seconds after a revocation, after which what still gets through counts as never ending.
    """

    rounds: int = 9
    certificates: int = 10_000
    rows: int = 1_000_000
    entries: int = 100_000
    requests: int = 4_000
    sizes: tuple[int, ...] = (10, 1_000, 100_000)
    handshakes: int = 300
    patience: float = 5.0


FULL = Options()
QUICK = Options(
    rounds=3,
    certificates=300,
    rows=50_000,
    entries=10_000,
    requests=1_000,
    sizes=(10, 1_000),
    handshakes=60,
    patience=3.0,
)
