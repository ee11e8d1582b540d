# SPDX-License-Identifier: Apache-2.0
"""One sound home for all tests of a process, and a copy for each."""

from collections.abc import Iterator

import pytest
from tests.interop.doctor.patient import Patient, copied, sound_patient
from tests.interop.gate.standing_gate import upstream


@pytest.fixture(scope="session")
def sound() -> Iterator[Patient]:
    """A home with nothing wrong, and an upstream that answers. It is only copied."""
    with upstream() as port, sound_patient(port) as patient:
        yield patient


@pytest.fixture
def patient(sound: Patient) -> Iterator[Patient]:
    """A copy, to plant a fault in."""
    with copied(sound) as patient:
        yield patient
