# SPDX-License-Identifier: Apache-2.0
"""``pivgate firewall``: close the way around the gate, see whether it is closed, and open it again."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.output import busy, confirm, json_option, yes_option

if TYPE_CHECKING:
    from pivgate.firewall.plan import Plan


@click.group(cls=CommandGroup)
def firewall() -> None:
    """Close the way around the gate.

    Whoever reaches an upstream directly needs no key. These commands let only the gate reach it.
    """


def _target_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--gate-user",
            "users",
            metavar="USER",
            multiple=True,
            help="Of this machine's own users, let only this one reach the upstreams: whoever runs Caddy.",
        ),
        click.option(
            "--port",
            "ports",
            metavar="PORT",
            multiple=True,
            help="Port of an upstream on this machine, or 8000-8003.  [default: those of this home's sites]",
        ),
        click.option(
            "--gate",
            "gates",
            metavar="ADDRESS",
            multiple=True,
            help="Address or network from which a gate calls; 127.0.0.1 for a gate on this machine.",
        ),
    ):
        command = option(command)
    return command


@firewall.command()
@_target_options
def show(gates: tuple[str, ...], ports: tuple[str, ...], users: tuple[str, ...]) -> None:
    """Print the rules that apply would load; change nothing."""
    from pivgate.firewall.rules import render

    planned = _plan(gates, ports, users)
    click.echo(render(planned.rules), nl=False)
    _remark(planned)


@firewall.command()
@_target_options
def apply(gates: tuple[str, ...], ports: tuple[str, ...], users: tuple[str, ...]) -> None:
    """Let only the gate reach the upstreams on this machine, now and after every boot.

    The rules take the place of those applied before.
    """
    from pivgate.firewall.boot import UNIT, Places
    from pivgate.firewall.install import apply as install
    from pivgate.firewall.nft import check_root, find_nft
    from pivgate.firewall.rules import render

    check_root()
    nft, places = find_nft(), Places()
    planned = _plan(gates, ports, users)
    busy("Loading the rules…", lambda: install(render(planned.rules), nft, places))
    click.echo(_closed(planned))
    if places.has_systemd:
        click.echo(f"{UNIT} loads the rules at every boot.")
    else:
        click.echo(f"There is no systemd here: have `nft -f {places.rules}` run at boot.", err=True)
    _remark(planned)


@firewall.command()
@click.argument("upstreams", metavar="[UPSTREAM]...", nargs=-1)
@json_option
def check(upstreams: tuple[str, ...], as_json: bool) -> None:
    """Try to reach each upstream directly, over every address it has, from this machine.

    Without UPSTREAM, those of this home's sites are tried; one that is reached by mutual TLS is asked with
    and without certificates. On a machine that is not the gate, name them: 10.0.0.1:8000 or
    app.internal:8000.
    """
    from pivgate.cli.firewall_report import print_ways
    from pivgate.cli.firewall_sites import home_demands, home_targets, named_targets
    from pivgate.firewall.certificate import prove
    from pivgate.firewall.survey import try_ways

    targets, demands = (named_targets(upstreams), {}) if upstreams else (home_targets(), home_demands())
    ways = busy("Trying every way…", lambda: prove(try_ways(targets, from_gate=not upstreams), demands))
    print_ways(ways, as_json=as_json)


@firewall.command()
@yes_option
def undo(yes: bool) -> None:
    """Take the rules away, now and from the boot; nothing else is touched."""
    from pivgate.firewall.boot import Places
    from pivgate.firewall.install import undo as remove
    from pivgate.firewall.nft import check_root, find_nft

    check_root()
    nft, places = find_nft(), Places()
    if places.folder.exists():
        confirm("Open the way around the gate again?", "undo", yes=yes)
    done = busy("Taking the rules away…", lambda: remove(nft, places))
    click.echo("The rules are gone, now and from the boot." if done else "There is nothing to undo.")


def _plan(gates: tuple[str, ...], ports: tuple[str, ...], users: tuple[str, ...]) -> "Plan":
    from pivgate.cli.firewall_sites import home_request, named_request, user_numbers
    from pivgate.firewall.machine import source_address, ssh_session, this_machine
    from pivgate.firewall.plan import check_lock_out, plan
    from pivgate.firewall.targets import parse_gate, parse_ports

    allowed = tuple(parse_gate(each) for each in gates)
    closed = tuple(parse_ports(each) for each in ports)
    numbers = user_numbers(users)
    request = named_request(allowed, closed, numbers) if closed else home_request(allowed, numbers)
    planned = plan(request, this_machine(), source_address)
    check_lock_out(planned.rules.ports, ssh_session(os.getpid()))
    return planned


def _closed(planned: "Plan") -> str:
    from pivgate.firewall.rules import written

    rules = planned.rules
    if not rules.ports:
        return "There is no upstream on this machine."
    whom = [*map(written, rules.gates), "this machine"]
    users = f" (its user {', '.join(map(str, rules.users))})" if rules.users else ""
    return f"Closed to all but {', '.join(whom)}{users}: port {', '.join(map(str, rules.ports))}."


def _remark(planned: "Plan") -> None:
    for remark in planned.remarks:
        click.echo(remark, err=True)
