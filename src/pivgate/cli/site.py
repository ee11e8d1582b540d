# SPDX-License-Identifier: Apache-2.0
"""``pivgate site``: the sites in the operator's Caddyfile that are behind the gate."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pivgate.cli.output import busy, confirm, json_option, print_rows, yes_option
from pivgate.cli.workplace import actor, changing, current_home, now, reading
from pivgate.errors import InputError
from pivgate.files import read_file
from pivgate.settings import Home, load_settings

if TYPE_CHECKING:
    from pivgate.registry.store import Registry


@click.group()
def site() -> None:
    """Sites behind the gate.

    The Caddyfile stays yours: these commands touch only blocks that say `import pivgate`.
    """


@site.command()
@click.argument("address")
@click.argument("upstream")
@click.option("--allow", "group", default="everyone", show_default=True, help="Group that is let in.")
@click.option("--tls", help="What follows `tls` in a Caddyfile: `internal`, an e-mail address for ACME.")
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The site's own certificate, PEM.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Its private key, PEM.",
)
def add(
    address: str, upstream: str, group: str, tls: str | None, certificate: Path | None, key_file: Path | None
) -> None:
    """Put a site in front of an upstream: `site add mysite.com 10.0.0.1:8000 --allow admins`."""
    from pivgate.gate.caddyfile import Site, add_site

    if (certificate is None) != (key_file is None) or (certificate is not None and tls is not None):
        raise InputError(
            "A certificate of the site's own needs both --certificate and --key, and no --tls",
            "Give both files, or neither.",
        )
    if certificate and key_file:
        _check_pair(certificate, key_file)
    words = f"{certificate.absolute()} {key_file.absolute()}" if certificate and key_file else tls or ""
    with changing() as (home, registry):
        _check_group(registry, group)
        text = add_site(_caddyfile(home), Site(address=address, upstream=upstream, group=group, tls=words))
        applied = _apply(home, text, when_down="It will be served when the gate is up: `pivgate up`.")
        registry.append_event(
            "site.add", address, {"upstream": upstream, "allow": group}, actor=actor(), now=now()
        )
    click.echo(f"{address} → {upstream}, for {group}. {applied}")


@site.command(name="list")
@json_option
def list_sites(as_json: bool) -> None:
    """List the gated sites of the Caddyfile."""
    from pivgate.gate.caddyfile import sites

    with reading() as (home, _):
        found = sites(_caddyfile(home))
    rows = [
        {"address": item.address, "upstream": item.upstream, "group": item.group, "tls": item.tls}
        for item in found
    ]
    columns = {"address": "address", "upstream": "upstream", "group": "allowed", "tls": "tls"}
    print_rows(columns, rows, as_json=as_json, empty="No site yet. Add one with `pivgate site add`.")


@site.command()
@click.argument("address")
@yes_option
def remove(address: str, yes: bool) -> None:
    """Take a site out of the Caddyfile; it is no longer served at all."""
    from pivgate.gate.caddyfile import remove_site

    confirm(f"Remove the site {address}?", address, yes=yes)
    with changing() as (home, registry):
        applied = _apply(home, remove_site(_caddyfile(home), address), when_down="The gate is down.")
        registry.append_event("site.remove", address, actor=actor(), now=now())
    click.echo(f"{address} removed. {applied}")


@site.command()
@json_option
def check(as_json: bool) -> None:
    """Prove that the Caddyfile keeps strangers out: read it as Caddy does, then knock at each site."""
    from pivgate.gate.apply import check as check_gate

    home = current_home()
    load_settings(home)
    checked = busy("Knocking at every site…", lambda: check_gate(home))
    rows = [
        {
            "site": result.site,
            "attempt": result.attempt,
            "outcome": result.outcome.value,
            "milliseconds": round(result.milliseconds, 1),
        }
        for result in checked.probes
    ]
    columns = {"site": "site", "attempt": "attempt", "outcome": "outcome", "milliseconds": "ms"}
    print_rows(
        columns,
        rows,
        as_json=as_json,
        empty="The configuration is sound. The gate is not running: no knocks.",
    )
    if checked.pending:
        click.echo(
            "The running gate serves something else than the Caddyfile says: `pivgate up` applies it.",
            err=True,
        )


def _check_pair(certificate: Path, key: Path) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    for file in (certificate, key):
        if not file.is_file():
            raise InputError(
                f"{file} is not a regular file", "Give a file that Caddy can read time and again."
            )
    try:
        certified = load_pem_x509_certificate(read_file(certificate)).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{certificate} does not begin with a certificate in PEM", "Give the site's certificate chain."
        ) from error
    try:
        private = load_pem_private_key(read_file(key), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{key} is not a private key in PEM, without a passphrase", "Give the site's private key."
        ) from error
    if private.public_key() != certified:
        raise InputError(
            f"The key {key} does not belong to the certificate {certificate}", "Give the two that match."
        )


def _check_group(registry: "Registry", name: str) -> None:
    known = [group.name for group in registry.groups()]
    if name not in known:
        raise InputError(
            f"There is no group {name!a}",
            f"Create it with `pivgate group add`, or take one of: {', '.join(known)}.",
        )


def _caddyfile(home: Home) -> str:
    try:
        return read_file(home.caddyfile).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{home.caddyfile} is not UTF-8 at byte {error.start}", "Mend the file.") from error


def _apply(home: Home, text: str, *, when_down: str) -> str:
    from pivgate.gate.apply import apply_edit

    applied = busy("Proving and applying…", lambda: apply_edit(home, text))
    for warning in applied.warnings:
        click.echo(f"Caddy remarks: {warning}", err=True)
    if applied.pid is None:
        return when_down
    return f"Proved by {len(applied.probes)} attempts to get in, and live."
