# SPDX-License-Identifier: Apache-2.0
"""What is said when systemd does not do what it is asked for."""

from pathlib import Path

import pytest

from pivgate.errors import RefusedError
from pivgate.systemctl import call


def test_a_program_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(RefusedError, match="`systemctl daemon-reload` failed: it is broken"):
        call("systemctl", "daemon-reload")
    with pytest.raises(RefusedError, match="`systemd-not-there` failed"):
        call("systemd-not-there")
