# SPDX-License-Identifier: Apache-2.0
"""A click group whose list of commands is not cut off."""

import click


class CommandGroup(click.Group):
    """A group that lists each command with its whole first sentence; click's own ends it with the line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, command.get_short_help_str(limit=1000)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
