# SPDX-License-Identifier: Apache-2.0
"""Names that cannot be, things that are not there, and a yes that was not given."""

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Machine, refused

CONTROL, LONG, RTL = "al\nice", "a" * 300, "al\u202eice"


@pytest.mark.parametrize("name", [CONTROL, LONG, RTL, "", "../x", "-rf", "al ice", "a,CN=root", "{env.HOME}"])
def test_names_that_cannot_be(founded: Machine, name: str) -> None:
    for command in (["user", "add"], ["group", "add"]):
        result = founded.run(*command, "--", name)
        refused(result, 2)
        assert "\u202e" not in result.err
        assert len(result.err) < 600
    assert [row["user"] for row in founded.good("user", "list", "--json").json()] == ["alice"]


@pytest.mark.parametrize("address", [CONTROL, RTL, "a b", "x{y}", "app.localhost {\n}\nopen.localhost", ""])
def test_sites_that_cannot_be(founded: Machine, address: str) -> None:
    before = founded.home.caddyfile.read_bytes()
    refused(founded.run("site", "add", "--", address, "127.0.0.1:9"), 2)
    refused(founded.run("site", "add", "--", "app.localhost", address), 2)
    assert founded.home.caddyfile.read_bytes() == before


@pytest.mark.parametrize("option", ["--display-name", "--email"])
@pytest.mark.parametrize("text", [CONTROL, LONG, RTL])
def test_what_people_are_called(founded: Machine, option: str, text: str) -> None:
    refused(founded.run("user", "add", "bob", option, text), 2)


def test_who_and_what_is_not_there(founded: Machine) -> None:
    for command in (
        ["user", "show", "nobody"],
        ["user", "remove", "nobody", "--yes"],
        ["group", "join", "nothing", "alice"],
        ["group", "members", "nothing"],
        ["key", "show", "1"],
        ["key", "verify", "1"],
        ["key", "lost", "1"],
        ["key", "revoke", "nobody", "--yes"],
    ):
        refused(founded.run(*command), 3)


def test_nothing_is_destroyed_without_a_yes(provisioned: Machine) -> None:
    for command in (["key", "revoke", "alice"], ["user", "remove", "alice"]):
        refused(provisioned.run(*command), 2, "--yes")
    assert list(provisioned.home.access.glob("*/*"))


def test_an_unknown_command_is_a_usage_error(machine: Machine) -> None:
    result = machine.run("frobnicate")
    assert result.status == 2
    assert "frobnicate" in result.err
    assert machine.run("user", "frobnicate").status == 2


def test_output_to_a_reader_that_has_gone(founded: Machine) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pivgate", "--home", str(founded.home.root), "audit", "log"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1
