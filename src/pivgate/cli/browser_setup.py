# SPDX-License-Identifier: Apache-2.0
"""``pivgate browser setup`` and ``undo``."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pivgate.cli.browser_report import print_advice, print_steps
from pivgate.cli.output import busy, confirm, json_option, yes_option
from pivgate.errors import InputError

if TYPE_CHECKING:
    from pivgate.browser.found import Family
    from pivgate.browser.places import Places
    from pivgate.browser.record import Entry, Record
    from pivgate.browser.setup import Job, Step

_FILE = click.Path(path_type=Path, dir_okay=False)

_KEPT_BY_FIREFOX = (
    "Firefox keeps what the policy gave it in each profile that was opened meanwhile. To take it out there: "
    "Settings, Privacy & Security, Security Devices, Unload; View Certificates, Authorities, Delete."
)

module_option = click.option(
    "--module",
    "module_path",
    type=_FILE,
    help="PKCS#11 module through which browsers reach the key.  [default: OpenSC's, else YKCS11]",
)
authority_option = click.option(
    "--authority",
    "authority_files",
    type=_FILE,
    multiple=True,
    help="Authority of the sites' own certificates.  [default: Caddy's internal one, if a home here uses it]",
)


@click.command()
@click.option(
    "--browser",
    "which",
    type=click.Choice(["firefox", "chromium", "all"]),
    default="all",
    show_default=True,
    help="Which family; Chrome, Edge, Brave and Vivaldi are Chromium's.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, file_okay=False),
    help="Only the Firefox profile in this folder.",
)
@module_option
@authority_option
@click.option(
    "--site",
    "sites",
    multiple=True,
    help="With --system: where Chromium chooses the certificate by itself.  [default: the home's sites]",
)
@click.option(
    "--issuer",
    help="With --system: common name of the authority that issued the key's certificate.  "
    "[default: the home's authority, else read from the key]",
)
@click.option("--system", is_flag=True, help="Write the policies of this machine, for everybody on it.")
@click.option("--dry-run", is_flag=True, help="Show each file and what would change in it; change nothing.")
@json_option
def setup(
    which: str,
    profile: Path | None,
    module_path: Path | None,
    authority_files: tuple[Path, ...],
    sites: tuple[str, ...],
    issuer: str | None,
    system: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the browsers on this machine use the key.

    Installs the PKCS#11 module and the authority of the sites in your browsers' profiles. With --system, as
    root, writes policies instead: Firefox then has both in every profile, and Chromium chooses the right
    certificate by itself. `pivgate browser undo` takes all of it back.
    """
    from pivgate.browser.elsewhere import advice
    from pivgate.browser.found import Family

    if elsewhere := advice(sys.platform):
        print_advice(elsewhere, as_json=as_json)
        return
    if system and profile:
        raise InputError("--system is for every profile, --profile for one", "Give one of the two.")
    if not system and (sites or issuer):
        raise InputError(
            "Chromium chooses a certificate only by a policy of the machine",
            "Run `sudo pivgate browser setup --system` with --site and --issuer.",
        )
    families = frozenset(Family) if which == "all" else frozenset({Family(which)})
    if system:
        steps = _system(families, module_path, authority_files, sites, issuer, dry_run=dry_run)
    else:
        steps = _holder(families, profile, module_path, authority_files, dry_run=dry_run)
    print_steps(steps, as_json=as_json, dry_run=dry_run)
    if not as_json and not system and not dry_run:
        _say_what_is_left(families if profile is None else frozenset())


@click.command()
@click.option("--system", is_flag=True, help="Undo what `setup --system` did, as root.")
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what would be undone; change nothing.")
@json_option
def undo(system: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Put back what was there before the setup, byte for byte.

    Where a browser used its database since, only what the setup added is taken out.
    """
    from pivgate.browser.record import Record
    from pivgate.browser.setup import take_back

    where = here()
    if system:
        _check_root(dry_run=dry_run)
    record = Record(where.system_state if system else where.state)
    number = len(record.entries())
    if number and not dry_run:
        confirm(f"Undo {number} changes for browsers?", "undo", yes=yes)
    with _alone(record, dry_run=dry_run or not number):
        steps = take_back(record.entries(), _job_finder(where), record, dry_run=dry_run)
    print_steps(steps, as_json=as_json, empty="Nothing is set up.")
    if as_json:
        return
    if system and any(step.browser == "Firefox" for step in steps):
        click.echo(_KEPT_BY_FIREFOX, err=True)
    elif not system and where.system_state.exists():
        click.echo("The policies of the machine stay: `sudo pivgate browser undo --system`.", err=True)


def here() -> "Places":
    """Return where browsers keep their files, for who runs the command."""
    from pivgate.browser.places import places

    return places(os.environ, Path.home())


def _job_finder(where: "Places") -> "Callable[[Entry], Job]":
    """Return what finds the target of an entry in a record."""
    from pivgate.browser import holder, system
    from pivgate.browser.database import KIND
    from pivgate.browser.found import Family
    from pivgate.browser.nss import find_tools

    tools, known = find_tools(where.path), holder.stores(where, frozenset(Family))
    return lambda entry: holder.job_of(entry, known, tools) if entry.kind == KIND else system.job_of(entry)


def _check_root(*, dry_run: bool) -> None:
    if os.geteuid() != 0 and not dry_run:
        raise InputError(
            "The policies of this machine are root's to write",
            "Run the same command with sudo; without --system it is about your own profiles.",
        )


def _holder(
    families: "frozenset[Family]",
    profile: Path | None,
    module_path: Path | None,
    authority_files: tuple[Path, ...],
    *,
    dry_run: bool,
) -> "list[Step]":
    from pivgate.browser import holder
    from pivgate.browser.firefox import named_profile
    from pivgate.browser.module import find_module, named_module, no_module
    from pivgate.browser.nss import find_tools
    from pivgate.browser.record import Record
    from pivgate.browser.sandbox import reach
    from pivgate.browser.setup import set_up
    from pivgate.cli.browser_authority import site_authorities

    where = here()
    module = named_module(module_path) if module_path else find_module(where)
    authorities = site_authorities(authority_files)
    tools = find_tools(where.path)
    record = Record(where.state)
    stores = [named_profile(profile)] if profile else holder.stores(where, families)

    def work() -> "list[Step]":
        with _alone(record, dry_run=dry_run):
            jobs = [holder.job(store, reach(where, store, module), authorities, tools) for store in stores]
            if module is None and not any(job.wanted for job in jobs):
                raise no_module()
            return set_up(jobs, record, dry_run=dry_run)

    return busy("Setting up…", work)


def _system(
    families: "frozenset[Family]",
    module_path: Path | None,
    authority_files: tuple[Path, ...],
    sites: tuple[str, ...],
    issuer: str | None,
    *,
    dry_run: bool,
) -> "list[Step]":
    from pivgate.browser import system
    from pivgate.browser.found import Family
    from pivgate.browser.module import named_module, need_module
    from pivgate.browser.record import Record
    from pivgate.browser.setup import set_up
    from pivgate.cli.browser_authority import certificate_issuer, home_sites, site_authorities

    _check_root(dry_run=dry_run)
    where = here()
    jobs: list[Job] = []
    if Family.FIREFOX in families:
        module = named_module(module_path) if module_path else need_module(where)
        jobs += system.firefox_jobs(where, module, site_authorities(authority_files))
    if Family.CHROMIUM in families and system.has_chromium(where):
        wanted = sites or home_sites()
        if not wanted:
            raise InputError(
                "For which sites should Chromium choose the certificate? There is no home with sites here",
                "Name each with --site, or leave Chromium out with --browser firefox.",
            )
        jobs += system.chromium_jobs(where, wanted, issuer or certificate_issuer())
    record = Record(where.system_state)
    with _alone(record, dry_run=dry_run):
        return set_up(jobs, record, dry_run=dry_run)


def _say_what_is_left(families: "frozenset[Family]") -> None:
    from pivgate.browser import chromium, holder
    from pivgate.browser.found import Family

    if Family.CHROMIUM in families and chromium.chromium_browsers(here()):
        click.echo(
            "Chromium will ask which certificate to use. To have the right one chosen: "
            "`sudo pivgate browser setup --system --browser chromium`.",
            err=True,
        )
    if Family.FIREFOX in families:
        for name in holder.without_profile(here()):
            click.echo(f"{name} has no profile yet: start it once, close it, run this again.", err=True)
        click.echo(
            "After each start Firefox asks for the PIN once, and at each site which certificate to use.",
            err=True,
        )


@contextmanager
def _alone(record: "Record", *, dry_run: bool) -> Iterator[None]:
    from pivgate.files import exclusive_lock

    if dry_run:
        yield
        return
    record.prepare()
    with exclusive_lock(record.lock):
        yield
        record.leave()
