# SPDX-License-Identifier: Apache-2.0
"""``pivgate group``: who belongs together."""

import time

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.output import confirm, json_option, print_rows, yes_option
from pivgate.cli.proof import sever_option, severing
from pivgate.cli.workplace import actor, changing, now, reading


@click.group(cls=CommandGroup)
def group() -> None:
    """Groups of people, which sites admit.

    The group `everyone` is always there: it holds each person with an active key.
    """


@group.command()
@click.argument("name", metavar="GROUP")
def add(name: str) -> None:
    """Create an empty group."""
    with changing() as (_, registry):
        registry.add_group(name, actor=actor(), now=now())
    click.echo(f"Group {name} created. Add people with `pivgate group join {name} USER`.")


@group.command(name="list")
@json_option
def list_groups(as_json: bool) -> None:
    """List the groups and how many people are in each."""
    with reading() as (_, registry):
        rows = [
            {
                "group": item.name,
                "members": [member.user for member in registry.members(item.name)],
            }
            for item in registry.groups()
        ]
    print_rows(
        {"group": "group", "members": "members"}, rows, as_json=as_json, empty="There are no groups yet."
    )


@group.command()
@click.argument("name", metavar="GROUP")
@json_option
def members(name: str, as_json: bool) -> None:
    """List who is in a group."""
    with reading() as (_, registry):
        rows = [{"user": item.user} for item in registry.members(name)]
    print_rows({"user": "user"}, rows, as_json=as_json, empty=f"Nobody is in {name}.")


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("user")
def join(name: str, user: str) -> None:
    """Put a person into a group; sites of the group open for them at once."""
    from pivgate.enrolment.access import grant

    with changing() as (home, registry):
        registry.add_member(name, user, actor=actor(), now=now())
        grant(home, registry, user, actor=actor(), now=now())
    click.echo(f"{user} is in {name}.")


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("user")
@sever_option
def leave(name: str, user: str, sever: bool | None) -> None:
    """Take a person out of a group; sites of the group close for them at once.

    What is streaming to them already (a download, events, a WebSocket) goes on, unless --sever is given: then
    all open connections end, of everybody.
    """
    from pivgate.enrolment.access import leave_group

    with changing(withdrawing=True) as (home, registry):
        started = time.perf_counter()
        with severing(home, registry, started, wanted=sever is True):
            leave_group(home, registry, name, user, actor=actor(), now=now())
    click.echo(f"{user} is no longer in {name}.")


@group.command()
@click.argument("name", metavar="GROUP")
@yes_option
def remove(name: str, yes: bool) -> None:
    """Remove a group; sites that admit it admit nobody then."""
    from pivgate.enrolment.access import remove_group

    confirm(f"Remove group {name}?", name, yes=yes)
    with changing(withdrawing=True) as (home, registry):
        remove_group(home, registry, name, actor=actor(), now=now())
    click.echo(f"Group {name} removed.")
