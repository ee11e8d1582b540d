# SPDX-License-Identifier: Apache-2.0
"""What is printed cannot steer a terminal, whatever it holds."""

import json

import pytest

from pivgate.cli.output import print_fields, print_json, print_rows, show

VILE = "e\n9 vil\x1b[31m \x9b1m \u202e \U000e0001 é"
SEEN = "e\\n9 vil\\x1b[31m \\x9b1m \\u202e \\U000e0001 é"


def test_a_value_is_shown_on_one_line_and_escaped() -> None:
    assert show(VILE) == SEEN
    assert show([VILE, "b"]) == f"{SEEN}, b"
    assert show({"a": "\x1b"}).isprintable()


def test_rows_and_fields_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"who": "who"}, [{"who": VILE}], as_json=False, empty="")
    print_fields({"who": VILE})
    assert capsys.readouterr().out == f"who\n{SEEN}\nwho  {SEEN}\n"


def test_json_is_escaped_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"who": VILE})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"who": VILE}
