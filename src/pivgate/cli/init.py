# SPDX-License-Identifier: Apache-2.0
"""``pivgate init``: an authority, a registry and a Caddyfile, all or nothing."""

import socket
from pathlib import Path

import click

from pivgate.cli.output import busy, print_fields
from pivgate.cli.secrets import PASSPHRASE
from pivgate.cli.workplace import actor, current_home, now
from pivgate.errors import InputError

ALGORITHMS = ("ed25519", "p256", "p384")
_SHORT_PASSPHRASE = 12


@click.command()
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    default="ed25519",
    show_default=True,
    help="The authority's key. Not every platform's certificate store knows Ed25519.",
)
@click.option(
    "--days", type=click.IntRange(1, 36500), default=3650, show_default=True, help="Life of the authority."
)
@click.option("--subject", help='Its name.  [default: "CN=pivgate authority of HOST"]')
@click.option("--contact", default="", help="Whom a refused holder should ask; shown on the refusal page.")
@click.option(
    "--https-port", type=click.IntRange(1, 65535), default=443, show_default=True, help="Port of the sites."
)
@click.option(
    "--http-port",
    type=click.IntRange(1, 65535),
    default=80,
    show_default=True,
    help="Port that leads to the other one.",
)
@click.option(
    "--listen", default="", metavar="ADDRESS", help="Listen on this address only.  [default: on all]"
)
@PASSPHRASE.click_option()
@click.option("--no-passphrase", is_flag=True, help="Leave the authority's key unprotected on the disk.")
def init(
    algorithm: str,
    days: int,
    subject: str | None,
    contact: str,
    https_port: int,
    http_port: int,
    listen: str,
    passphrase_file: Path | None,
    no_passphrase: bool,
) -> None:
    """Create a home: settings, authority, registry, Caddyfile.

    Nothing that exists is overwritten; killed half way, it leaves nothing.
    """
    from pivgate.enrolment.founding import Founding, check_free, found

    home = current_home()
    check_free(home)
    plan = Founding(
        algorithm=algorithm,
        days=days,
        subject=subject or f"CN=pivgate authority of {_host()}",
        contact=contact,
        https_port=https_port,
        http_port=http_port,
        listen=listen,
        unprotected=no_passphrase,
    )
    passphrase = "" if no_passphrase else _new_passphrase(passphrase_file)
    founded = busy(
        "Making the authority…", lambda: found(home, plan, passphrase.encode(), actor=actor(), now=now())
    )
    print_fields(
        {
            "Home": home.root,
            "Authority": f"{founded.subject}, {algorithm}, until {founded.not_after:%Y-%m-%d}",
            "Fingerprint": founded.fingerprint,
            "Caddyfile": home.caddyfile,
        }
    )
    click.echo(
        "\nNext:\n  pivgate user add NAME\n  pivgate key provision --user NAME\n"
        "  pivgate site add HOST UPSTREAM\n  pivgate up"
    )


def _new_passphrase(file: Path | None) -> str:
    advice = (
        "The passphrase protects the authority's key. Whoever has both can make keys that your sites trust."
    )
    passphrase = PASSPHRASE.ask(file, new=True, advice=advice)
    if not passphrase:
        raise InputError(
            "The passphrase is empty", "Choose one, or say --no-passphrase if the disk itself is protected."
        )
    if len(passphrase) < _SHORT_PASSPHRASE:
        click.echo(f"This passphrase is short: {_SHORT_PASSPHRASE} characters or more are better.", err=True)
    return passphrase


def _host() -> str:
    name = socket.gethostname().split(".")[0]
    return "".join(character for character in name if character.isalnum() or character == "-") or "this host"
