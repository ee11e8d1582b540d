# SPDX-License-Identifier: Apache-2.0
"""The table of comparisons: as plain text, and for a terminal. Pure but for the terminal itself."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.comparison import Aim, Comparison, Of

HEADINGS = ("figure", "ours", "peer", "ours is", "peer is", "ratio", "aim", "met")
_NUMBERS = {"ours is", "peer is", "ratio"}
_MET = {True: "yes", False: "NO", None: ""}


def number(value: float) -> str:
    """Write a number with three digits that count."""
    if math.isinf(value):
        return "∞"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def aim_text(aim: Aim | None, unit: str) -> str:
    """Say what was aimed at."""
    if aim is None:
        return ""
    suffix = unit if aim.of is Of.OURS else ""
    return f"{'<=' if aim.at_most else '>='} {number(aim.limit)}{suffix}"


def row(comparison: Comparison) -> tuple[str, ...]:
    """Return the cells of a comparison, as ``HEADINGS`` names them."""
    arrow = "x faster" if comparison.inverse else ""
    return (
        comparison.figure,
        comparison.ours_is,
        comparison.peer_is,
        f"{number(median(comparison.ours))} {comparison.unit}",
        f"{number(median(comparison.peer))} {comparison.unit}",
        f"{number(comparison.ratio)}{arrow}",
        aim_text(comparison.aim, comparison.unit),
        _MET[comparison.is_met],
    )


def plain(comparisons: Iterable[Comparison]) -> str:
    """Lay the comparisons out in columns, for pipes and files."""
    rows: list[Sequence[str]] = [HEADINGS, *(row(comparison) for comparison in comparisons)]
    widths = [max(len(cells[index]) for cells in rows) for index in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in _NUMBERS else cell.ljust(width)
            for cell, width, heading in zip(cells, widths, HEADINGS, strict=True)
        ).rstrip()
        for cells in rows
    )


def show(comparisons: Sequence[Comparison]) -> None:
    """Print the table: with rich on a terminal, plain otherwise."""
    console = Console()
    if not console.is_terminal:
        print(plain(comparisons))
        return
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for comparison in comparisons:
        style = {True: "green", False: "red", None: ""}[comparison.is_met]
        table.add_row(*row(comparison), style=style)
    console.print(table)
