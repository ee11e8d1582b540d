# SPDX-License-Identifier: Apache-2.0
"""``pivgate up``, ``down`` and ``status``."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pivgate.cli.output import busy, json_option, print_fields, print_json
from pivgate.cli.workplace import SOON, actor, changing, current_home, now, reading
from pivgate.errors import GateError, PivgateError, RefusedError
from pivgate.files import read_file
from pivgate.registry.states import CertificateState, KeyState
from pivgate.settings import Home

if TYPE_CHECKING:
    from pivgate.gate.status import Status
    from pivgate.registry.store import Registry


@click.command()
@click.option("--systemd", is_flag=True, help="Have systemd keep the gate, from now on and at every boot.")
def up(systemd: bool) -> None:
    """Start the gate, or bring a running one to the Caddyfile.

    The configuration is proved before it serves, and every site is knocked at afterwards: if anybody
    is let in who must not be, the gate goes back to what it was, or stops.
    """
    from pivgate.cli import gate_systemd

    if systemd:
        gate_systemd.install()
    elif gate_systemd.is_kept_and_down(current_home()):
        gate_systemd.start(current_home())
    else:
        _up()


def _up() -> None:
    from pivgate.cli import site_log
    from pivgate.cli.proof import finish_severing
    from pivgate.cli.site_upstream import renew_upstreams
    from pivgate.enrolment.access import bring_tree_to_registry
    from pivgate.gate.apply import up as bring_up
    from pivgate.gate.knock import Outcome
    from pivgate.gate.signed_ahead import forget_signed_ahead

    with changing() as (home, registry):
        drift = bring_tree_to_registry(home, registry, actor=actor(), now=now())
        renew_upstreams(home, registry)
        if ahead := forget_signed_ahead(home, now()):
            click.echo(f"Caddy signed {ahead} certificates while the clock was ahead; it makes new ones.")
        finish_severing(home, registry)
        applied = busy("Proving, starting, knocking…", lambda: bring_up(home))
        site_log.tell(home, registry, read_file(home.caddyfile).decode())
        registry.append_event(
            "gate.up", str(home.caddyfile), {"sites": len(applied.sites)}, actor=actor(), now=now()
        )
    if drift:
        removed = len(drift.extra) + len(drift.foreign)
        click.echo(f"Access tree mended: {len(drift.missing)} added, {removed} removed.")
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
@click.option("--systemd", is_flag=True, help="Undo what `up --systemd` did, too.")
def down(systemd: bool) -> None:
    """Stop the gate; nothing is served then. Needs neither the registry nor the lock of the home."""
    if systemd:
        from pivgate.cli.gate_systemd import uninstall

        uninstall()
        return
    from pivgate.cli.proof import record_severings

    home = current_home()
    stopped = busy("Stopping…", lambda: _stop(home))
    click.echo("The gate is down." if stopped else "The gate was not running.")
    if not stopped:
        return
    try:
        with changing(withdrawing=True) as (_, registry):
            record_severings(home, registry)
            registry.append_event("gate.down", str(home.caddyfile), actor=actor(), now=now())
    except PivgateError as error:
        click.echo(f"It could not be recorded: {error.message}. {error.hint}", err=True)


def _stop(home: Home) -> bool:
    from pivgate.cli.gate_systemd import stop_service
    from pivgate.gate.process import running, stop

    ran = running(home) is not None
    try:
        stop_service(home)
    finally:
        # Whatever systemd says: nothing is served any more.
        ran = stop(home) or ran
    return ran


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what runs, which sites, whose certificates end soon, and whether anything is off.

    Exit status 6 when the gate is down, serves what was not proved, its access tree differs from the
    registry, the registry is an older copy, an upstream's certificate has ended, or what was to be cut off
    may still be open.
    """
    from pivgate.cli.site_upstream import upstream_endings
    from pivgate.gate.status import read_status

    with reading() as (home, registry):
        state = read_status(home, registry.access(now()))
        active = registry.certificates(state=CertificateState.ACTIVE)
        log = _log_trouble(registry)
        keys = {key.serial for key in registry.keys(retired=False) if key.state is KeyState.ACTIVE}
        upstreams = upstream_endings(home)
    ended = any(one.not_after and one.not_after < now() for one in upstreams)
    soon = now() + SOON
    ending = [one for one in active if one.key_serial in keys and one.not_after < soon]
    if as_json:
        rows = [{"user": one.user, "key": one.key_serial, "not_after": one.not_after} for one in ending]
        print_json(
            {
                **state.as_dict(),
                "sound": state.is_sound and not log and not ended,
                "log": log or "unbroken end",
                "active_keys": len(keys),
                "ending_soon": rows,
                "upstreams": [asdict(one) for one in upstreams],
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
        for upstream in upstreams:
            click.echo(f"{upstream.says}: {upstream.remedy}")
    if log or ended or not state.is_sound:
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
    if state.severing:
        click.echo(
            "A command that was to end what is open was cut short: a revoked certificate may still have "
            "connections. `pivgate up` ends them."
        )
    if state.last_words:
        click.echo(f"Caddy has ended by itself; its last error: {state.last_words}")


def _configuration(state: "Status") -> str:
    if state.pid is None:
        return "-"
    if not state.proved:
        return "NOT what was proved: somebody has changed it. `pivgate up` proves and loads ours."
    return "proved; the Caddyfile was changed since, `pivgate up` applies it" if state.pending else "proved"
