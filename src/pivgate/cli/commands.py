# SPDX-License-Identifier: Apache-2.0
"""The command ``pivgate``: its table of commands, and the only place that prints errors."""

import errno
import os
from pathlib import Path
from typing import Any

import click

from pivgate import __version__
from pivgate.cli.lazy import LazyGroup
from pivgate.cli.main import INTERRUPTED
from pivgate.errors import PivgateError, StorageError

# Name → (module, function, one line of help). Modules are imported only when their command runs:
# `pivgate --help` must not pay for cryptography, SQLAlchemy or yubikit.
COMMANDS = {
    "init": ("pivgate.cli.init", "init", "Create a home: authority, registry, Caddyfile."),
    "demo": ("pivgate.cli.demo", "demo", "Show the whole story here, with an emulated YubiKey."),
    "up": ("pivgate.cli.gate", "up", "Start the gate, or bring a running one to the Caddyfile."),
    "down": ("pivgate.cli.gate", "down", "Stop the gate."),
    "status": ("pivgate.cli.gate", "status", "Show what runs, which sites, and whether anything is off."),
    "doctor": ("pivgate.cli.doctor", "doctor", "Say what is wrong, why, and what to do."),
    "site": ("pivgate.cli.site", "site", "Sites behind the gate."),
    "user": ("pivgate.cli.user", "user", "People who may hold keys."),
    "group": ("pivgate.cli.group", "group", "Groups of people, which sites admit."),
    "key": ("pivgate.cli.key", "key", "YubiKeys: provision, look at, revoke, find again."),
    "browser": ("pivgate.cli.browser", "browser", "Make Firefox and Chromium use the key; check; undo."),
    "probe": ("pivgate.cli.probe", "probe", "Log in to a site with the key here, and show what happens."),
    "connect": ("pivgate.cli.connect", "connect", "Log in for programs that cannot: a loopback proxy."),
    "curl-args": ("pivgate.cli.curl_args", "curl_args", "The flags with which curl logs in with the key."),
    "firewall": ("pivgate.cli.firewall", "firewall", "Close the way around the gate; check; undo."),
    "ca": ("pivgate.cli.ca", "ca", "The certificate authority."),
    "audit": ("pivgate.cli.audit", "audit", "What happened, and proof that nothing was changed."),
    "emulate": ("pivgate.cli.emulate", "emulate", "Emulated YubiKeys, for tests and for learning."),
}


class _HomePath(click.Path):
    """The path of a home. An empty one, as from an unset shell variable, would be the folder we are in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty path, else do as click does."""
        if not str(value):
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


@click.group(
    cls=LazyGroup,
    commands_table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--home",
    type=_HomePath(path_type=Path, file_okay=False),
    help="The folder that holds everything.  [default: $PIVGATE_HOME, /var/lib/pivgate for root, "
    "else ~/.local/share/pivgate]",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def pivgate(context: click.Context, home: Path | None) -> None:
    """Put web sites behind hardware keys.

    Start with `pivgate demo`, which needs no hardware, or with `pivgate init`.
    """
    context.obj = home


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run() -> int:
    """Run the command line; print errors as what happened and what to do next.

    Returns:
        The exit code.
    """
    try:
        code = pivgate.main(standalone_mode=False)
    except PivgateError as error:
        _print_error(error.message, error.hint)
        return error.exit_code
    except click.exceptions.Abort:
        _print_error("Interrupted", "If something was begun, the same command completes it.")
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        # Files are named where they are read and written; what is left is the output, on a full disk.
        if error.filename is not None or error.errno not in _DISK_FULL:
            raise
        _discard_output()
        _print_error(
            f"Cannot write the output: {error.strerror or error}",
            "Check where the output goes; `pivgate audit log` shows what was done.",
        )
        return StorageError.exit_code
    return code if isinstance(code, int) else 0


def _discard_output() -> None:
    # Else Python tries once more to write it when it ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _print_error(message: str, hint: str) -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True, color=_colour())
    if hint:
        click.echo(f"{click.style('What to do:', bold=True)} {hint}", err=True, color=_colour())


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None
