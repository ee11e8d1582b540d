# SPDX-License-Identifier: Apache-2.0
"""``pivgate browser``: make Firefox and Chromium use the key, see whether they do, and take it back."""

import click

from pivgate.cli.lazy import LazyGroup

COMMANDS = {
    "setup": ("pivgate.cli.browser_setup", "setup", "Make the browsers on this machine use the key."),
    "check": ("pivgate.cli.browser_check", "check", "See whether key, module and browsers are ready."),
    "undo": ("pivgate.cli.browser_setup", "undo", "Put back what was there before the setup."),
}


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def browser() -> None:
    """Make browsers use the key, see whether they do, and take it back."""
