# SPDX-License-Identifier: Apache-2.0
"""The part of ``site``, ``up`` and ``status`` that is about mutual TLS between the gate and an upstream."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pivgate.cli.workplace import SOON, actor, changing, now
from pivgate.errors import PivgateError
from pivgate.files import read_file
from pivgate.settings import Home

_GUIDE = "docs/guides/upstream-mtls.md"

if TYPE_CHECKING:
    from pivgate.authority.upstream import Host
    from pivgate.enrolment.upstream import Issued
    from pivgate.enrolment.upstream_endings import Ending
    from pivgate.registry.store import Registry


@contextmanager
def settled(home: Home) -> Iterator[None]:
    """Settle what a killed command left of an upstream's files, before and after a change."""
    from pivgate.enrolment.upstream import settle

    settle(home, _caddyfile(home))
    try:
        yield
    finally:
        settle(home, _caddyfile(home))


def over_tls(home: Home, address: str, upstream: str) -> "tuple[str, tuple[str, ...], tuple[Host, ...]]":
    """Return an upstream as it is dialled by TLS, the options of its proxy, and the names of its server.

    Raises:
        InputError: It cannot be reached by TLS.
    """
    from pivgate.gate.upstream_block import folder_of, server_name, tls_upstream, transport

    dialled, host = tls_upstream(upstream)
    name = server_name(address, host)
    hosts = (name,) if name == str(host) and isinstance(host, str) else (name, host)
    return dialled, transport(folder_of(home, address), name), hosts


def remark_on_socket(home: Home, upstream: str) -> tuple[str, ...]:
    """Return what is wrong with a unix socket as upstream; nothing for any other upstream.

    Raises:
        InputError: It is no socket.
    """
    from pivgate.firewall.targets import Socket, parse_upstream
    from pivgate.firewall.unix_socket import account_of, account_of_process, remarks
    from pivgate.gate.own_process import user_for
    from pivgate.gate.process import running

    if not upstream.startswith("unix"):
        return ()
    found = parse_upstream(upstream)
    if not isinstance(found, Socket):
        return ()
    serving = running(home)
    if serving is None:
        return remarks(Path(found.path), account_of(user_for(home)))
    return remarks(Path(found.path), account_of_process(serving.pid), Path(f"/proc/{serving.pid}/root"))


def begin_removal(home: Home, address: str) -> None:
    """Mark a site's upstream, if it has files of its own, as one that goes with the site."""
    from pivgate.enrolment.upstream import mark
    from pivgate.gate.upstream_block import folder_of

    folder = folder_of(home, address)
    if folder.path.is_dir():
        mark(folder)


def renew_upstreams(home: Home, registry: "Registry") -> None:
    """Renew what ends too soon of the certificates between gate and upstreams, and say so."""
    from pivgate.cli.site_log import tell_upstreams
    from pivgate.enrolment.upstream import renew, settle
    from pivgate.gate.upstream_block import folders

    settle(home, _caddyfile(home))
    for folder in folders(home):
        try:
            issued = renew(folder, now())
        except PivgateError as error:
            # One upstream's trouble keeps no other site from being served.
            click.echo(f"{folder.address}: {error.message}. {error.hint}", err=True)
            continue
        for each in issued:
            click.echo(_renewal(each))
    tell_upstreams(home, registry)


def _renewal(issued: "Issued") -> str:
    site = issued.upstream
    if issued.role == "gate":
        return f"Renewed the gate's certificate for the upstream of {site}."
    return (
        f"Renewed the certificate of the upstream of {site}: "
        f"`pivgate site upstream-files {site} FOLDER` writes it for its machine."
    )


def upstream_endings(home: Home) -> "tuple[Ending, ...]":
    """Return what is to be done about the certificates of upstreams."""
    from pivgate.enrolment.upstream_endings import endings

    return endings(home, _caddyfile(home), now() + SOON)


@click.command(name="upstream-files")
@click.argument("address")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def upstream_files(address: str, folder: Path) -> None:
    """Write what a site's upstream needs for mutual TLS into FOLDER: certificate, key, authority.

    Once the certificate was renewed, which `pivgate up` does, it is written out in the same way.
    """
    from pivgate.enrolment.upstream import CERTIFICATE, GATE_AUTHORITY, KEY, hand_out
    from pivgate.gate.caddyfile import sites

    with changing() as (home, registry), settled(home):
        ends = hand_out(home, address, folder)
        registry.append_event(
            "upstream.export", address, {"folder": str(folder.absolute())}, actor=actor(), now=now()
        )
        found = [site.upstream for site in sites(_caddyfile(home)) if site.address == address]
    click.echo(f"Written to {folder}: {CERTIFICATE}, {KEY} (secret), {GATE_AUTHORITY}.")
    click.echo(f"The certificate is valid until {ends:%Y-%m-%d}.")
    click.echo("Next:")
    for step in _next_steps(folder, found):
        click.echo(f"  - {step}")


def _next_steps(folder: Path, upstreams: Sequence[str]) -> list[str]:
    host, _, port = (upstreams[0] if upstreams else "https://HOST:PORT").rpartition("://")[2].rpartition(":")
    login, there, here = f"root@{host.strip('[]')}", "/etc/pivgate-upstream", shlex.quote(str(folder))
    return [
        f"Make a folder on its machine: `ssh {login} mkdir -pm 700 {there}`",
        f"Take them there: `scp -p {here}/* root@{host}:{there}/`",
        f"Let its server use them on port {port}, as {_GUIDE} shows for nginx, Caddy and uvicorn",
        "Have it read them: reload nginx or Caddy, restart uvicorn",
        f"Delete the key here: `rm -r {here}`",
    ]


def _caddyfile(home: Home) -> str:
    return read_file(home.caddyfile).decode(errors="replace")
