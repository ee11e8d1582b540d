# SPDX-License-Identifier: Apache-2.0
"""What is said when the program nft is in no order. What it does with rules is seen with the real one."""

from pathlib import Path

import pytest

from pivgate.errors import RefusedError
from pivgate.firewall import nft
from pivgate.firewall.nft import Nft, find_nft


def program(folder: Path, script: str) -> Path:
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nft, "_FOLDERS", str(tmp_path))
    with pytest.raises(RefusedError, match="no nft") as refusal:
        find_nft()
    assert "apt install nftables" in refusal.value.hint
    path = program(tmp_path, "exit 0")
    assert find_nft() == Nft(path)


def test_none_that_runs(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="Cannot run"):
        Nft(tmp_path / "nft").check("")


def test_one_that_never_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nft, "_SECONDS", 0.2)
    with pytest.raises(RefusedError, match="does not answer"):
        Nft(program(tmp_path, "exec /bin/sleep 60")).listing()


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo; echo ' bad rule ' >&2; exit 1", "nft refuses: bad rule"), ("exit 3", "nft refuses: status 3")],
)
def test_one_that_refuses(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        Nft(program(tmp_path, script)).load("")
    assert refusal.value.message == said


def test_it_gets_the_text_on_its_input_and_none_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "1")
    path = program(
        tmp_path, 'test -z "$SECRET" || exit 9; test "$*" = "--check -f -" || exit 8; /bin/cat >&2; exit 1'
    )
    with pytest.raises(RefusedError, match="the text; flush ruleset"):
        Nft(path).check("the text; flush ruleset")
