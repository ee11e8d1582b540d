# SPDX-License-Identifier: Apache-2.0
"""The arithmetic and the table of ``bench``; the figures themselves are never measured by tests."""

import json

import pytest
from bench.comparison import Aim, Comparison, Of
from bench.rounds import take_in_turn
from bench.table import HEADINGS, number, plain, row

HELP = Comparison(
    "start-up",
    "pivgate --help",
    "ykman --help",
    "ms",
    [50, 60, 55],
    [200, 220, 210],
    Aim(1 / 3, at_most=True),
)


def test_the_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    # A round on a busy machine: both sides are slow, and the ratio stays.
    busy = Comparison("f", "a", "b", "ms", [10, 1000, 30], [20, 2000, 10])
    assert busy.ratio == 0.5


def test_an_inverse_ratio_says_how_many_times_faster() -> None:
    assert Comparison("f", "a", "b", "ms", [2, 2, 2], [40, 40, 40], inverse=True).ratio == 20


def test_sides_of_different_length_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Comparison("f", "a", "b", "ms", [1, 2], [1]).ratio


@pytest.mark.parametrize(
    ("aim", "value", "met"),
    [
        (Aim(2, at_most=True), 1.9, True),
        (Aim(2, at_most=True), 2, True),
        (Aim(2, at_most=True), 2.1, False),
        (Aim(20, at_most=False), 19.9, False),
        (Aim(20, at_most=False), 20, True),
    ],
)
def test_an_aim_is_a_limit_that_may_be_kept_exactly(aim: Aim, value: float, met: bool) -> None:
    assert aim.is_met(value) is met


def test_an_aim_for_the_figure_itself_does_not_look_at_the_ratio() -> None:
    slow_peer = Comparison("f", "a", "b", "/s", [900], [1], Aim(1000, at_most=False, of=Of.OURS))
    assert slow_peer.is_met is False


def test_no_aim_is_neither_met_nor_missed() -> None:
    assert Comparison("f", "a", "b", "ms", [1], [1]).is_met is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (1.2345, "1.23"), (12.345, "12.3"), (123.4, "123"), (12345, "12,345")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_row_has_a_cell_for_each_heading() -> None:
    cells = dict(zip(HEADINGS, row(HELP), strict=True))
    assert cells == {
        "figure": "start-up",
        "ours": "pivgate --help",
        "peer": "ykman --help",
        "ours is": "55.0 ms",
        "peer is": "210 ms",
        "ratio": "0.262",
        "aim": "<= 0.333",
        "met": "yes",
    }


def test_the_plain_table_says_what_is_not_met_and_has_its_columns_in_line() -> None:
    missed = Comparison("issuing", "sign", "openssl ca", "ms", [2], [4], Aim(20, at_most=False), inverse=True)
    lines = plain([HELP, missed]).splitlines()
    assert lines[0].split()[:3] == ["figure", "ours", "peer"]
    assert lines[1].endswith("yes")
    assert lines[2].endswith("NO")
    assert "2.00x faster" in lines[2]
    assert (
        len({line.index(text) for line, text in zip(lines, ("peer", "ykman", "openssl"), strict=True)}) == 1
    )


def test_json_has_what_the_table_has() -> None:
    told = json.loads(json.dumps(HELP.as_json()))
    assert told["ratio"] == pytest.approx(55 / 210)
    assert (told["met"], told["rounds"], told["ratio_is"]) == (True, 3, "ours/peer")
    assert told["aim"] == {"limit": pytest.approx(1 / 3), "at_most": True, "of": "ratio"}


def test_sides_are_measured_in_turn_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    values = take_in_turn(2, {"a": lambda: side("a"), "b": lambda: side("b")}, warm_up=1)
    assert order == ["a", "b"] * 3
    assert values == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
