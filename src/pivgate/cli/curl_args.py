# SPDX-License-Identifier: Apache-2.0
"""``pivgate curl-args``: the flags with which the curl of this machine logs in with the key."""

import re
import shlex
import sys
from pathlib import Path

import click

from pivgate.cli.key_provision import serial_option
from pivgate.cli.output import is_terminal
from pivgate.cli.workplace import current_home
from pivgate.errors import InputError

# Words that a shell leaves as they are when it splits the output of a command.
_PLAIN = re.compile(r"[A-Za-z0-9._/:;=%@+,?&~#-]+")


@click.command(name="curl-args")
@click.argument("url")
@serial_option
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="PEM file with the only authority that may vouch for the server.  "
    "[default: curl's, or that of this home's gate for names that no public authority certifies]",
)
@click.option(
    "--pin-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File from which curl is to read the PIN, without a line end.",
)
@click.option("--shell", is_flag=True, help="Print the whole command, quoted, for `eval`.")
def curl_args(url: str, serial: int | None, ca: Path | None, pin_file: Path | None, shell: bool) -> None:
    """Print the flags with which the curl found here logs in to a site with the key.

    Use it as: curl $(pivgate curl-args https://mysite.com/). The PIN is never among the flags.
    """
    from pivgate.client.curl import curl_command
    from pivgate.client.curl_found import find_curl, find_machine, token_serial
    from pivgate.client.site import parse_site
    from pivgate.yubikey import find

    site = parse_site(url)
    if pin_file is not None:
        _check_pin_file(pin_file)
    build = find_curl()
    machine = find_machine(build.backend_version)
    number = None
    if serial is not None and machine.module is not None:
        number = token_serial(find.select(find.pcsc_devices(), serial), machine.module)
    command = curl_command(
        build,
        machine,
        f"{site.origin}{site.path}",
        authority=_authority(site.host, ca),
        pin_file=pin_file.absolute() if pin_file else None,
        token_serial=number,
    )
    if shell:
        variable = (f"PKCS11_MODULE_PATH={command.module_path}",) if command.module_path else ()
        click.echo(shlex.join((*(("env", *variable) if variable else ()), "curl", *command.flags)))
    else:
        odd = next((flag for flag in command.flags if not _PLAIN.fullmatch(flag)), None)
        if odd is not None or command.needs_variable:
            raise InputError(
                f"A shell would not leave {odd!a} as it is"
                if odd is not None
                else f"curl needs PKCS11_MODULE_PATH={command.module_path} in its environment",
                'Use: eval "$(pivgate curl-args --shell URL)"',
            )
        click.echo(" ".join(command.flags))
    if is_terminal(sys.stdout):
        for note in command.notes:
            click.echo(f"Note: {note}", err=True)


def _check_pin_file(file: Path) -> None:
    """Refuse a line end: curl would take it for part of the PIN, and each wrong PIN spends a try."""
    from pivgate.files import read_file

    if read_file(file)[-1:].isspace():
        raise InputError(
            f"{file} ends with a line end, which curl would take for part of the PIN",
            f"Take it away: truncate -s -1 {shlex.quote(str(file))}",
        )


def _authority(host: str, named: Path | None) -> Path | None:
    """Choose the file for ``--cacert``: curl then trusts nothing else, so only where it is needed."""
    from pivgate.client.trust import caddy_root, is_private_name

    if named is not None:
        return named.absolute()
    return caddy_root(current_home()) if is_private_name(host) else None
