# SPDX-License-Identifier: Apache-2.0
"""How results are shown: tables for a person, plain columns for a pipe, JSON for a program."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO, TypeVar

import click

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a person is at the other end; a stream that was closed before we began is None."""
    return stream is not None and stream.isatty()


def print_json(value: Any) -> None:
    """Print a value as JSON; times as ISO 8601 in UTC."""
    text = json.dumps(value, indent=2, default=_encode, ensure_ascii=False)
    # Beyond the structure's line ends, what cannot be seen stands in texts only, where JSON has escapes.
    click.echo(
        "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)
    )


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def print_rows(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str
) -> None:
    """Print a list.

    Args:
        columns: Key in a row → heading shown to a person, in order.
        rows: One mapping per line; JSON gets every key, the table only those in ``columns``.
        as_json: Print JSON.
        empty: What to say to a person when there are no rows.
    """
    if as_json:
        print_json(list(rows))
    elif not rows:
        click.echo(empty, err=not is_terminal(sys.stdout))
    elif is_terminal(sys.stdout):
        _print_table(columns, rows)
    else:
        _print_plain(columns, rows)


def show(value: object) -> str:
    """Return a value as a person reads it, on one line; what could steer a terminal is escaped."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(value, (list, tuple)):
        return _visible(", ".join(map(str, value))) or "-"
    return _visible(str(value))


def _visible(text: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _print_table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(show(row[key])) for key in columns))
    Console().print(table)


def _print_plain(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    cells = [list(columns.values()), *([show(row[key]) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Print named values one below the other."""
    width = max(map(len, fields))
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {show(value)}")


def confirm(question: str, word: str, *, yes: bool) -> None:
    """Ask for the name of what is about to be destroyed, unless ``--yes`` was given.

    Raises:
        InputError: Something else was typed, or nobody is there to be asked.
    """
    from pivgate.errors import InputError

    if yes:
        return
    if not is_terminal(sys.stdin):
        raise InputError(f"{question} There is nobody to ask", "Run the command again with --yes.")
    typed = click.prompt(f"{question}\nType {word!r} to go on", default="", show_default=False)
    if typed.strip() != word:
        raise InputError("Not confirmed; nothing was changed", f"Type {word} when asked, or use --yes.")


def busy(label: str, work: Callable[[], T]) -> T:
    """Do something that can take over a second, with a spinner where a person watches."""
    if not is_terminal(sys.stderr):
        return work()
    from rich.console import Console

    with Console(stderr=True).status(label):
        return work()
