# SPDX-License-Identifier: Apache-2.0
"""``pivgate user``: the people who may hold keys."""

import time

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.output import confirm, json_option, print_fields, print_json, print_rows, show, yes_option
from pivgate.cli.proof import prove_withdrawal, sever_option, severing
from pivgate.cli.workplace import actor, changing, now, reading
from pivgate.errors import InputError


@click.group(cls=CommandGroup)
def user() -> None:
    """People who may hold keys."""


@user.command()
@click.argument("name")
@click.option("--display-name", default="", help="The person's name as people write it.")
@click.option("--email", help="Goes into their certificates, and to upstreams as X-Client-Email.")
@click.option("--group", "groups", multiple=True, help="Put them into this group, too; may be repeated.")
def add(name: str, display_name: str, email: str | None, groups: tuple[str, ...]) -> None:
    """Enter a person into the registry. They get in when they have a key."""
    if "everyone" in groups:
        raise InputError(
            "Nobody is put into the group everyone",
            "It holds each person with an active key by itself: leave out --group everyone.",
        )
    with changing() as (_, registry):
        for group in groups:
            registry.members(group)  # an unknown one is refused before anything is written
        registry.add_user(name, display_name=display_name, email=email, actor=actor(), now=now())
        for group in groups:
            registry.add_member(group, name, actor=actor(), now=now())
    click.echo(f"User {name} added. Plug in their YubiKey and run `pivgate key provision --user {name}`.")


@user.command(name="list")
@json_option
def list_users(as_json: bool) -> None:
    """List people, their groups and how many keys they can use."""
    with reading() as (_, registry):
        active = [key.user for key in registry.keys(retired=False) if key.state == "active"]
        rows = [
            {
                "user": person.name,
                "display_name": person.display_name,
                "email": person.email,
                "groups": [member.group for member in registry.groups_of(person.name)],
                "active_keys": active.count(person.name),
            }
            for person in registry.users()
        ]
    columns = {
        "user": "user",
        "display_name": "name",
        "email": "e-mail",
        "groups": "groups",
        "active_keys": "keys",
    }
    print_rows(columns, rows, as_json=as_json, empty="Nobody yet. Start with `pivgate user add NAME`.")


@user.command(name="show")
@click.argument("name")
@json_option
def show_user(name: str, as_json: bool) -> None:
    """Show one person, their groups and their keys."""
    with reading() as (_, registry):
        person = registry.user(name)
        keys = registry.keys(user=name, retired=False)
        groups = [member.group for member in registry.groups_of(name)]
    if as_json:
        print_json(
            {
                "user": person.name,
                "display_name": person.display_name,
                "email": person.email,
                "state": person.state,
                "groups": groups,
                "keys": [{"serial": key.serial, "model": key.model, "state": key.state} for key in keys],
            }
        )
        return
    print_fields(
        {
            "user": person.name,
            "name": person.display_name or None,
            "e-mail": person.email,
            "state": person.state,
            "groups": groups,
            "keys": show([f"{key.serial} ({key.state})" for key in keys]),
        }
    )
    if sum(key.state == "active" for key in keys) == 1:
        click.echo("\nOnly one active key: provision a spare, so that a lost one does not lock them out.")


@user.command()
@click.argument("name")
@sever_option
@yes_option
def remove(name: str, sever: bool | None, yes: bool) -> None:
    """Remove a person: their certificates are revoked for good, from the next request on.

    What is streaming to them already (a download, events, a WebSocket) goes on, unless --sever is given: then
    all open connections end, of everybody.
    """
    from pivgate.enrolment.access import remove_user

    confirm(f"Remove {name} and revoke each of their certificates, for good?", name, yes=yes)
    with changing(withdrawing=True) as (home, registry):
        started = time.perf_counter()
        with severing(home, registry, started, wanted=sever is True):
            withdrawal = remove_user(home, registry, name, actor=actor(), now=now())
    click.echo(f"User {name} removed; certificates withdrawn: {len(withdrawal.fingerprints)}.")
    prove_withdrawal(home, withdrawal, started)
