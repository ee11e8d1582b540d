# SPDX-License-Identifier: Apache-2.0
"""``pivgate audit``: the log of events and its proof."""

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.output import confirm, json_option, print_json, print_rows, yes_option
from pivgate.cli.workplace import actor, changing, now, reading

# SQLite counts in 64 bits with a sign (sqlite.org/datatype3.html).
_COUNT_LIMIT = 2**63 - 1


@click.group(cls=CommandGroup)
def audit() -> None:
    """What happened, and proof that nothing was changed."""


@audit.command()
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the newest N events.")
@json_option
def log(last: int | None, as_json: bool) -> None:
    """List the events, oldest first."""
    with reading() as (_, registry):
        events = registry.events(last=last and min(last, _COUNT_LIMIT))
    rows = [
        {
            "sequence": event.sequence,
            "time": event.time,
            "actor": event.actor,
            "action": event.action,
            "subject": event.subject,
            "detail": event.detail,
            "hash": event.hash,
        }
        for event in events
    ]
    columns = {
        "sequence": "#",
        "time": "time",
        "actor": "who",
        "action": "what",
        "subject": "whom",
        "detail": "detail",
    }
    print_rows(columns, rows, as_json=as_json, empty="Nothing has happened yet.")


@audit.command()
@click.option("--head", "kept", metavar="'NUMBER HASH'", help="The end of the log, as printed earlier.")
@json_option
def verify(kept: str | None, as_json: bool) -> None:
    """Prove that no event was changed, removed, reordered or cut off.

    Keep the last line that it prints somewhere else and give it as --head next time: then it is found out,
    too, when somebody has written the whole log and its end anew. Exit status 1, and the first bad event
    named, when one was.
    """
    from pivgate.registry.head import parse_head

    with reading() as (_, registry):
        head = registry.verify_audit(*([parse_head(kept)] if kept else []))
    if as_json:
        print_json({"events": head.sequence, "hash": head.hash})
    else:
        click.echo(f"{head.sequence} events, unbroken. The end of the log:\n{head.sequence} {head.hash}")


@audit.command()
@click.option("--reason", required=True, help="Why, one line; it is recorded.")
@yes_option
def accept(reason: str, yes: bool) -> None:
    """Go on from the log as it stands, after a backup of the registry was put back.

    What was revoked since that backup is not revoked in it: revoke it again first.
    """
    confirm("Go on from this log, though its end is not the one that was kept?", "accept", yes=yes)
    with changing(withdrawing=True) as (_, registry):
        head = registry.accept_log(reason, actor=actor(), now=now())
    click.echo(f"Accepted. The end of the log:\n{head.sequence} {head.hash}")
