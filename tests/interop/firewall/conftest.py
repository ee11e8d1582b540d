# SPDX-License-Identifier: Apache-2.0
"""Three machines on a wire: the gate, the upstream, and a stranger."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from tests.interop.firewall.lab import Box, Lab, wired


@dataclass
class Street:
    """Who lives here.

    Attributes:
        upstream: Serves on port 8000, on every address.
        gate: May go there.
        stranger: May not.
    """

    lab: Lab
    upstream: Box
    gate: Box
    stranger: Box

    def seen(self, port: int = 8000, kind: str = "tcp") -> dict[str, bool]:
        """Ask from everywhere, over IPv4 and IPv6."""
        boxes = {"gate": self.gate, "stranger": self.stranger, "itself": self.upstream}
        addresses = {"4": self.upstream.four, "6": self.upstream.six}
        with ThreadPoolExecutor() as pool:
            asked = {
                f"{name} {version}": pool.submit(box.reaches, address, port, kind)
                for name, box in boxes.items()
                for version, address in addresses.items()
            }
        return {way: answer.result() for way, answer in asked.items()}


ALL = dict.fromkeys(
    [f"{who} {version}" for who in ("gate", "stranger", "itself") for version in (4, 6)], True
)
CLOSED = {**ALL, "stranger 4": False, "stranger 6": False}


@pytest.fixture
def street() -> Iterator[Street]:
    """The three of them."""
    with wired() as lab:
        upstream, gate, stranger = lab.box(1), lab.box(2), lab.box(3)
        upstream.serve(8000)
        yield Street(lab, upstream, gate, stranger)


@pytest.fixture
def gates(street: Street) -> tuple[str, ...]:
    """How the gate is named on the upstream's machine."""
    return ("--gate", street.gate.four, "--gate", street.gate.six)


@pytest.fixture
def upstream() -> Iterator[Box]:
    """The upstream's machine alone."""
    with wired() as lab:
        yield lab.box(1)
