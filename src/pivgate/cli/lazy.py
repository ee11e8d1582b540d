# SPDX-License-Identifier: Apache-2.0
"""A click group whose commands are imported when they are run, not when help is shown."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by name and help line only, until one of them is needed.

    Args:
        commands_table: Name → (module, attribute, one line of help).
    """

    def __init__(self, *args: Any, commands_table: Mapping[str, tuple[str, str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands_table = commands_table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(self.commands_table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, or None when there is none of that name."""
        if cmd_name not in self.commands_table:
            return None
        module, attribute, _ = self.commands_table[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands from the table, without importing any."""
        rows = [(name, line) for name, (_, _, line) in self.commands_table.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
