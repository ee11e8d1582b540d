# SPDX-License-Identifier: Apache-2.0
"""Which processes belong to the service, and what is said when systemd does not do what it is asked for."""

import os
from pathlib import Path

import pytest

from pivgate.errors import GateError
from pivgate.gate.unit import are_of_service, ask, keeps, keeps_us


@pytest.mark.parametrize(
    "groups",
    [
        "0::/system.slice/pivgate.service\n",
        "9:pids:/\n1:name=systemd:/system.slice/pivgate.service\n0::/\n",
    ],
)
def test_the_service_is_known_in_either_hierarchy(groups: str) -> None:
    assert are_of_service(groups)


@pytest.mark.parametrize(
    "groups",
    [
        "",
        "0::/\n",
        "0::/user.slice/user-0.slice/session-3.scope\n",
        "0::/system.slice/pivgate-care.service\n",
        "0::/system.slice/cron.service\n",
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/pivgate.service\n",
        "0::/system.slice/pivgate.service/below\n",
        "0::/system.slice/x.service/system.slice/pivgate.service.scope\n",
    ],
)
def test_nothing_else_is(groups: str) -> None:
    assert not are_of_service(groups)


def test_this_process_is_not_and_one_that_is_gone_is_not() -> None:
    assert not keeps_us()
    assert not keeps(os.getpid())
    assert not keeps(2**22)


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo no bus >&2; exit 1", "no bus"), ("exit 5", "exit status 5"), (None, "systemctl")],
)
def test_what_systemd_does_not_do_is_said(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    if script:
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(GateError, match=f"`systemctl reload pivgate.service` failed: .*{said}") as caught:
        ask("reload")

    assert "journalctl" in caught.value.hint
