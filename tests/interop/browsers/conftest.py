# SPDX-License-Identifier: Apache-2.0
"""What all stories of one process share: a gate, and the folder for pictures."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.browsers.firefox_desk import Desk, desk
from tests.interop.browsers.stage import Stage, stage


@pytest.fixture(scope="session")
def shared_stage() -> Iterator[Stage]:
    """A gate for tests that each bring their own people and keys."""
    with stage() as made:
        yield made


@pytest.fixture(scope="session")
def other_stage() -> Iterator[Stage]:
    """A gate with an authority that the first one knows nothing of; its key is P-384."""
    with stage("p384", "Other authority") as made:
        yield made


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where pictures are kept: $PIVGATE_ARTEFACTS, by default ``artefacts`` at the root."""
    folder = Path(os.environ.get("PIVGATE_ARTEFACTS") or Path(__file__).parents[3] / "artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def holder(request: pytest.FixtureRequest, shared_stage: Stage, artefacts: Path) -> Iterator[Desk]:
    """A holder with a provisioned key, at a Firefox that is set up; the parameter is their name."""
    with desk(shared_stage, artefacts, user=getattr(request, "param", "")) as made:
        made.enrol()
        made.set_up()
        yield made
