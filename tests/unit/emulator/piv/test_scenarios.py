# SPDX-License-Identifier: Apache-2.0
"""Raw commands against the status words they must get, as data in ``scenarios.toml``."""

import tomllib
from pathlib import Path

import pytest

SCENARIOS = tomllib.loads((Path(__file__).parent / "scenarios.toml").read_text())["scenario"]
NEWEST = ["5.7.4"]
CASES = [
    pytest.param(version, scenario["script"], id=f"{version}: {scenario['name']}")
    for scenario in SCENARIOS
    for version in scenario.get("firmware", NEWEST)
]


@pytest.mark.parametrize(("version", "script"), CASES)
def test_scenario(new_terminal, version, script):
    terminal = new_terminal(version)
    exchanges = {
        "@manage": lambda: terminal.authenticate() == 0x9000,
        "@pin": lambda: terminal.verify() == 0x9000,
        "@power": lambda: terminal.power_cycle() is None,
    }
    for line in filter(None, script.splitlines()):
        if line.startswith("@"):
            assert exchanges[line](), line
            continue
        command, expected = (part.replace(" ", "") for part in line.split("->"))
        status = terminal.raw(command)
        answer = f"{terminal.reply.hex()}{status:04x}".upper()
        assert matches(answer, expected), f"{line}, but came {answer}"


def matches(answer: str, expected: str) -> bool:
    if expected.startswith("*"):
        return answer.endswith(expected[1:]) and len(answer) > len(expected) - 1
    return answer == expected
