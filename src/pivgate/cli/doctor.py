# SPDX-License-Identifier: Apache-2.0
"""``pivgate doctor``: what is wrong, why, and what to do."""

from typing import TYPE_CHECKING, Any

import click

from pivgate.cli.output import busy, json_option, print_json, print_rows, show
from pivgate.cli.workplace import current_home
from pivgate.errors import RefusedError

if TYPE_CHECKING:
    from pivgate.doctor.diagnosis import AreaReport, Diagnosis
    from pivgate.doctor.finding import Finding

# As in `pivgate.doctor.finding.Area`, which help must not wait for.
AREAS = (
    "home", "machine", "registry", "authority", "people", "sites", "gate", "upstreams", "card", "browsers",
)  # fmt: skip


@click.command()
@click.argument("areas", metavar="[AREA]...", type=click.Choice(AREAS), nargs=-1)
@json_option
def doctor(areas: tuple[str, ...], as_json: bool) -> None:
    """Look for what is wrong, and say for each fault why, and what to do.

    Nothing is changed, no try of a PIN is spent, and nothing is sent to a site, except to see whom an
    upstream by mutual TLS lets in, where others could call it. What this user may not look at is named.

    Without AREA, all of them: home, machine, registry, authority, people, sites, gate, upstreams, card,
    browsers; the last two also on a machine without a home.

    Exit status 0 when there is no error; warnings do not count. 1 when there is one.
    """
    from pivgate.doctor.diagnosis import diagnose
    from pivgate.doctor.finding import Area
    from pivgate.doctor.place import this_place

    place = this_place(current_home())
    found = busy("Looking…", lambda: diagnose(place, [Area(area) for area in areas]))
    if as_json:
        print_json(_as_dict(found))
    else:
        _print(found)
    if found.errors:
        click.get_current_context().exit(RefusedError.exit_code)


def _as_dict(found: "Diagnosis") -> dict[str, Any]:
    return {
        "sound": not found.errors,
        "areas": [
            {
                "area": report.area,
                "good": report.good,
                "findings": [_finding(each) for each in report.findings],
                "not_looked_at": [{"what": each.what, "why": each.why} for each in report.unseen],
            }
            for report in found.areas
        ],
    }


def _finding(each: "Finding") -> dict[str, str]:
    return {
        "code": each.code,
        "severity": each.severity,
        "what": each.what,
        "cause": each.cause,
        "remedy": each.remedy,
        "page": each.page,
    }


def _print(found: "Diagnosis") -> None:
    columns = {"area": "area", "good": "good", "error": "errors", "warning": "warnings", "unseen": "not seen"}
    print_rows(columns, [_row(report) for report in found.areas], as_json=False, empty="")
    for each in found.findings:
        colour = "red" if each.severity == "error" else "yellow"
        mark = click.style(each.severity.upper(), fg=colour, bold=True)
        click.echo(f"\n{mark} {each.code}: {show(each.what)}")
        click.echo(f"  Cause: {show(each.cause)}")
        click.echo(f"  What to do: {show(each.remedy)}")
        click.echo(f"  More: {each.page}")
    unseen = [each for report in found.areas for each in report.unseen]
    if unseen:
        click.echo("\nNot looked at:")
    for each_unseen in dict.fromkeys(unseen):
        click.echo(f"  {show(each_unseen.what)}: {show(each_unseen.why)}")
    if not found.findings:
        click.echo("\nNothing is wrong." if not unseen else "\nOf what was looked at, nothing is wrong.")


def _row(report: "AreaReport") -> dict[str, Any]:
    severities = [str(each.severity) for each in report.findings]
    return {
        "area": report.area,
        "good": report.good,
        "error": severities.count("error"),
        "warning": severities.count("warning"),
        "unseen": len(report.unseen),
    }
