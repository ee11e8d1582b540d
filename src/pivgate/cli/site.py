# SPDX-License-Identifier: Apache-2.0
"""``pivgate site``: the sites in the operator's Caddyfile that are behind the gate."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.output import busy, confirm, json_option, print_rows, yes_option
from pivgate.cli.proof import finish_severing
from pivgate.cli.site_upstream import upstream_files
from pivgate.cli.workplace import changing, current_home, now, reading
from pivgate.errors import InputError
from pivgate.files import read_file
from pivgate.settings import Home

if TYPE_CHECKING:
    from pivgate.authority.upstream import Host
    from pivgate.registry.store import Registry


@click.group(cls=CommandGroup)
def site() -> None:
    """Sites behind the gate.

    The Caddyfile stays yours: these commands touch only blocks that say `import pivgate`.
    """


@site.command()
@click.argument("address")
@click.argument("upstream")
@click.option("--allow", "group", default="everyone", show_default=True, help="Group that is let in.")
@click.option("--tls", help="What follows `tls` in a Caddyfile: `internal`, or an e-mail address for ACME.")
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
@click.option(
    "--upstream-mtls",
    is_flag=True,
    help="Reach the upstream by TLS, with certificates by which the two know each other.",
)
def add(
    address: str,
    upstream: str,
    group: str,
    tls: str | None,
    certificate: Path | None,
    key_file: Path | None,
    upstream_mtls: bool,
) -> None:
    """Put a site in front of an upstream: `site add mysite.com 10.0.0.1:8000 --allow admins`."""
    from pivgate.cli import site_log, site_upstream
    from pivgate.enrolment.upstream import create
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
        finish_severing(home, registry)
        with site_upstream.settled(home):
            options: tuple[str, ...] = ()
            hosts: tuple[Host, ...] = ()
            if upstream_mtls:
                upstream, options, hosts = site_upstream.over_tls(home, address, upstream)
            wanted = Site(address=address, upstream=upstream, group=group, tls=words)
            text = add_site(_caddyfile(home), wanted, options)
            remarks = site_upstream.remark_on_socket(home, upstream)
            site_log.tell(home, registry, _caddyfile(home))
            if upstream_mtls:
                create(home, address, hosts, now())
            applied = _apply(home, text, when_down="It will be served when the gate is up: `pivgate up`.")
        site_log.tell(home, registry, _caddyfile(home))
    click.echo(f"{address} → {upstream}, for {group}. {applied}")
    for remark in remarks:
        click.echo(remark, err=True)
    if upstream_mtls:
        click.echo(
            "It answers 502 until the upstream has its certificate. "
            f"Next: `pivgate site upstream-files {address} FOLDER`."
        )


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
    from pivgate.cli import site_log, site_upstream
    from pivgate.gate.caddyfile import remove_site

    confirm(f"Remove the site {address}?", address, yes=yes)
    with changing() as (home, registry):
        finish_severing(home, registry)
        with site_upstream.settled(home):
            text = remove_site(_caddyfile(home), address)
            site_log.tell(home, registry, _caddyfile(home))
            site_upstream.begin_removal(home, address)
            applied = _apply(home, text, when_down="The gate is down.")
        site_log.tell(home, registry, _caddyfile(home))
    click.echo(f"{address} removed. {applied}")


site.add_command(upstream_files)


@site.command()
@click.argument("caddyfile", required=False, type=click.Path(path_type=Path))
@json_option
def check(caddyfile: Path | None, as_json: bool) -> None:
    """Prove that a Caddyfile keeps strangers out, and say on which line it does not.

    Without CADDYFILE, the one of the home is read as Caddy does, and then every site that runs is knocked at.
    With it, any Caddyfile is read, also one that knows nothing of pivgate: for each host that asks for client
    certificates, the ways around them are named. Nothing is loaded.

    Exit status 1 when there is a hole.
    """
    from pivgate.cli.site_check import check_file, check_home

    if caddyfile is None:
        check_home(current_home(), as_json=as_json)
    else:
        check_file(caddyfile, current_home(), as_json=as_json)


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
