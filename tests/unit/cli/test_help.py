# SPDX-License-Identifier: Apache-2.0
"""What help looks like in a narrow terminal."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from pivgate.cli.commands import pivgate


def groups(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield the words that lead to a group and to each one in it."""
    yield words
    context = click.Context(group)
    for name in group.list_commands(context):
        if isinstance(command := group.get_command(context, name), click.Group):
            yield from groups(command, *words, name)


@pytest.mark.parametrize("words", tuple(groups(pivgate)), ids=" ".join)
def test_no_command_in_a_list_is_told_of_by_half_a_sentence(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(pivgate, [*words, "--help"], terminal_width=60).output
    commands = shown.partition("\nCommands:\n")[2]
    assert commands
    assert "..." not in commands
