# SPDX-License-Identifier: Apache-2.0
"""``pivgate up``, ``down`` and ``status``."""

import click

from pivgate.cli.output import busy, json_option, print_fields, print_json
from pivgate.cli.workplace import actor, changing, now, reading


@click.command()
def up() -> None:
    """Start the gate, or bring a running one to the Caddyfile.

    The configuration is proved before it serves, and every site is knocked at afterwards: if anybody
    is let in who must not be, the gate goes back to what it was, or stops.
    """
    from pivgate.enrolment.access import bring_tree_to_registry
    from pivgate.gate.apply import up as bring_up

    with changing() as (home, registry):
        changes = bring_tree_to_registry(home, registry, now())
        applied = busy("Proving, starting, knocking…", lambda: bring_up(home))
        registry.append_event(
            "gate.up", str(home.caddyfile), {"sites": len(applied.sites)}, actor=actor(), now=now()
        )
    if changes.added or changes.removed:
        click.echo(f"Access tree mended: {len(changes.added)} added, {len(changes.removed)} removed.")
    click.echo(f"The gate is up: {len(applied.sites)} sites, {len(applied.probes)} knocks, all refused.")


@click.command()
def down() -> None:
    """Stop the gate; nothing is served then."""
    from pivgate.gate.process import stop

    with changing() as (home, registry):
        stopped = busy("Stopping…", lambda: stop(home))
        if stopped:
            registry.append_event("gate.down", str(home.caddyfile), actor=actor(), now=now())
    click.echo("The gate is down." if stopped else "The gate was not running.")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what runs, which sites, and whether anything is off.

    Exit status 6 when the gate is down or the access tree differs from the registry.
    """
    from pivgate.gate.status import read_status

    with reading() as (home, registry):
        state = read_status(home, registry.access(now()))
    if as_json:
        print_json(state.as_dict())
    else:
        print_fields(state.as_dict())
