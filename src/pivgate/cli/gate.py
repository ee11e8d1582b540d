# SPDX-License-Identifier: Apache-2.0
"""``pivgate up``, ``down`` and ``status``."""

from typing import TYPE_CHECKING

import click

from pivgate.cli.output import busy, json_option, print_fields, print_json
from pivgate.cli.workplace import SOON, actor, changing, current_home, now, reading
from pivgate.errors import GateError, PivgateError, RefusedError
from pivgate.registry.states import CertificateState, KeyState

if TYPE_CHECKING:
    from pivgate.gate.status import Status
    from pivgate.registry.store import Registry


@click.command()
def up() -> None:
    """Start the gate, or bring a running one to the Caddyfile.

    The configuration is proved before it serves, and every site is knocked at afterwards: if anybody
    is let in who must not be, the gate goes back to what it was, or stops.
    """
    from pivgate.enrolment.access import bring_tree_to_registry
    from pivgate.gate.apply import up as bring_up
    from pivgate.gate.knock import Outcome

    with changing() as (home, registry):
        registry.expire_certificates(actor=actor(), now=now())
        changes = bring_tree_to_registry(home, registry, now())
        applied = busy("Proving, starting, knocking…", lambda: bring_up(home))
        registry.append_event(
            "gate.up", str(home.caddyfile), {"sites": len(applied.sites)}, actor=actor(), now=now()
        )
    if changes.added or changes.removed:
        click.echo(f"Access tree mended: {len(changes.added)} added, {len(changes.removed)} removed.")
    for warning in applied.warnings:
        click.echo(f"Caddy remarks: {warning}", err=True)
    waiting = sorted({result.site for result in applied.probes if result.outcome is Outcome.NOT_READY})
    if waiting:
        click.echo(f"No server certificate yet, so nobody is served there: {', '.join(waiting)}.", err=True)
    click.echo(
        f"The gate is up, process {applied.pid}: {len(applied.sites)} sites; "
        f"{len(applied.probes)} attempts to get in, all refused."
    )


@click.command()
def down() -> None:
    """Stop the gate; nothing is served then. Needs neither the registry nor the lock of the home."""
    from pivgate.gate.process import stop

    home = current_home()
    stopped = busy("Stopping…", lambda: stop(home))
    click.echo("The gate is down." if stopped else "The gate was not running.")
    if not stopped:
        return
    try:
        with changing(withdrawing=True) as (_, registry):
            registry.append_event("gate.down", str(home.caddyfile), actor=actor(), now=now())
    except PivgateError as error:
        click.echo(f"It could not be recorded: {error.message}. {error.hint}", err=True)


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what runs, which sites, whose certificates end soon, and whether anything is off.

    Exit status 6 when the gate is down, serves what was not proved, its access tree differs from the
    registry, or the registry is an older copy.
    """
    from pivgate.gate.status import read_status

    with reading() as (home, registry):
        state = read_status(home, registry.access(now()))
        active = registry.certificates(state=CertificateState.ACTIVE)
        log = _log_trouble(registry)
        keys = {key.serial for key in registry.keys(retired=False) if key.state is KeyState.ACTIVE}
    soon = now() + SOON
    ending = [one for one in active if one.key_serial in keys and one.not_after < soon]
    if as_json:
        rows = [{"user": one.user, "key": one.key_serial, "not_after": one.not_after} for one in ending]
        print_json(
            {
                **state.as_dict(),
                "sound": state.is_sound and not log,
                "log": log or "unbroken end",
                "active_keys": len(keys),
                "ending_soon": rows,
            }
        )
    else:
        _print_status(state, len(keys))
        if log:
            click.echo(f"REGISTRY: {log}")
        for one in ending:
            click.echo(
                f"{one.user}'s certificate on YubiKey {one.key_serial} ends {one.not_after:%Y-%m-%d}: "
                f"`pivgate key provision --user {one.user} --replace` gives them a new one."
            )
    if log or not state.is_sound:
        click.get_current_context().exit(GateError.exit_code)


def _log_trouble(registry: "Registry") -> str:
    try:
        registry.check_head()
    except RefusedError as error:
        return f"{error.message}. {error.hint}"
    return ""


def _print_status(state: "Status", active_keys: int) -> None:
    drift = state.drift
    print_fields(
        {
            "gate": f"up, process {state.pid}, Caddy {state.version or 'of unknown version'}"
            if state.pid is not None
            else "down: nothing is served. Start it with `pivgate up`.",
            "configuration": _configuration(state),
            "access tree": "as the registry says"
            if not drift
            else f"differs from the registry: {len(drift.extra)} too many, {len(drift.missing)} missing, "
            f"{len(drift.foreign)} foreign. `pivgate up` mends it.",
            "active keys": active_keys,
            "sites": [f"{site.host}:{site.port} ({', '.join(site.groups)})" for site in state.sites],
        }
    )
    if state.last_words:
        click.echo(f"Caddy has ended by itself; its last error: {state.last_words}")


def _configuration(state: "Status") -> str:
    if state.pid is None:
        return "-"
    if not state.proved:
        return "NOT what was proved: somebody has changed it. `pivgate up` proves and loads ours."
    return "proved; the Caddyfile was changed since, `pivgate up` applies it" if state.pending else "proved"
