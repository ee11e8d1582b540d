# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from tests.interop.browser_setup.holder import Holder


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    """A holder whose home is empty."""
    (tmp_path / "home").mkdir()
    return Holder(tmp_path / "home")
