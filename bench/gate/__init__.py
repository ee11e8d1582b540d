# SPDX-License-Identifier: Apache-2.0
"""pivgate's gate beside what else turns people away: what a request costs, and how fast somebody is out."""

from collections.abc import Iterator

from bench.comparison import Comparison
from bench.gate import revoking, steady
from bench.options import Options


def measure(options: Options) -> Iterator[Comparison]:
    """Measure all of it."""
    yield from steady.measure(options)
    yield from revoking.measure(options)
