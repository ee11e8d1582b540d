# SPDX-License-Identifier: Apache-2.0
"""How the set-up of browsers is shown."""

from typing import TYPE_CHECKING, Any

import click

from pivgate.cli.output import print_json, print_rows, show
from pivgate.errors import BusyError

if TYPE_CHECKING:
    from pivgate.browser.elsewhere import Advice
    from pivgate.browser.setup import Step


def print_steps(
    steps: "list[Step]", *, as_json: bool, dry_run: bool = False, empty: str = "No browser profile was found."
) -> None:
    """Print what was done or would be; then fail if something was left undone.

    Raises:
        PivgateError: The first error, after everything else was done and shown.
        BusyError: A browser runs whose database must not be written meanwhile.
    """
    print_rows(
        {"browser": "browser", "name": "profile", "outcome": "outcome", "place": "where"},
        [_row(step) for step in steps],
        as_json=as_json,
        empty=empty,
    )
    if not as_json:
        for step in steps:
            if dry_run:
                _print_changes(step)
            _print_remedy(step)
    for step in steps:
        if step.error is not None:
            raise step.error
    _refuse_running(steps)


def print_advice(advice: "tuple[Advice, ...]", *, as_json: bool) -> None:
    """Print what to do on a system where browsers reach the key through the system."""
    from pivgate.browser.elsewhere import AS_OF

    if as_json:
        print_json(
            [
                {"browser": each.browser, "steps": each.steps, "source": each.source, "as_of": AS_OF}
                for each in advice
            ]
        )
        return
    for each in advice:
        click.echo(click.style(each.browser, bold=True))
        for number, step in enumerate(each.steps, start=1):
            click.echo(f"  {number}. {step}")
        click.echo(f"  As of {AS_OF}: {each.source}\n")
    click.echo("`pivgate browser check` tells whether the key is ready.")


def _refuse_running(steps: "list[Step]") -> None:
    from pivgate.browser.setup import Outcome

    if running := [step for step in steps if step.outcome is Outcome.RUNNING]:
        names = ", ".join(dict.fromkeys(step.browser for step in running))
        raise BusyError(f"{names} runs, and something is left to do in its database", running[0].remedy)


def _print_changes(step: "Step") -> None:
    from pivgate.browser.change_text import describe

    for path, lines in describe(step.plan) if step.plan else []:
        click.echo(f"\n{show(path)}")
        for line in lines:
            click.echo(f"    {show(line)}")


def _print_remedy(step: "Step") -> None:
    if step.remedy and step.error is None:
        click.echo(f"{step.browser}, {show(step.name)}: {show(step.says)}. {show(step.remedy)}", err=True)


def _row(step: "Step") -> dict[str, Any]:
    return {
        "browser": step.browser,
        "name": step.name,
        "place": step.place,
        "outcome": step.outcome.value,
        "says": step.says,
        "remedy": step.remedy,
        "files": [str(path) for path in step.plan.changes] if step.plan else [],
    }
