# SPDX-License-Identifier: Apache-2.0
"""How the ways to upstreams are shown."""

from typing import TYPE_CHECKING

import click

from pivgate.cli.output import print_rows
from pivgate.errors import RefusedError

if TYPE_CHECKING:
    from pivgate.firewall.reach import Way


def print_ways(ways: "list[Way]", *, as_json: bool) -> None:
    """Print what was found; then fail if a way around the gate is open.

    Raises:
        RefusedError: One is, or it could not be told.
    """
    print_rows(
        {"upstream": "upstream", "address": "address", "outcome": "outcome", "says": "what was found"},
        [
            {
                "upstream": way.upstream,
                "address": way.address,
                "outcome": way.outcome.value,
                "open": way.outcome.is_open,
                "says": way.says,
                "remedy": way.remedy,
            }
            for way in ways
        ],
        as_json=as_json,
        empty="No site has an upstream that could be reached around the gate.",
    )
    open_ways = [way for way in ways if way.outcome.is_open]
    if not as_json:
        for remedy in dict.fromkeys(way.remedy for way in ways if way.remedy and not way.outcome.is_open):
            click.echo(remedy, err=True)
    if open_ways:
        several = "One way leads" if len(open_ways) == 1 else f"{len(open_ways)} ways lead"
        raise RefusedError(
            f"{several} around the gate: {', '.join(dict.fromkeys(way.address for way in open_ways))}",
            " ".join(dict.fromkeys(way.remedy for way in open_ways)),
        )
