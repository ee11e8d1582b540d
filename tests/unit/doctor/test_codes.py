# SPDX-License-Identifier: Apache-2.0
"""Every fault has a test that plants it and a section that explains it; every section is of a fault."""

import re
from pathlib import Path

import pytest

from pivgate.cli import doctor as command
from pivgate.doctor.codes import CODES, found
from pivgate.doctor.examinations import EXAMINATIONS
from pivgate.doctor.finding import PAGE, Area
from pivgate.doctor.gather import GATHERERS

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = dict(
    re.findall(r"(?ms)^### ([a-z0-9-]+)\n(.*?)(?=^#|\Z)", (ROOT / PAGE).read_text(encoding="utf-8"))
)
TESTS = [path for folder in ("unit", "interop") for path in (ROOT / "tests" / folder / "doctor").glob("*.py")]


def test_every_fault_has_its_section_and_every_section_its_fault() -> None:
    assert list(SECTIONS) == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_section_says_what_is_seen_why_and_what_helps(code: str) -> None:
    for word in ("**Seen**", "**Cause**", "**Remedy**"):
        assert word in SECTIONS[code]
    severity = CODES[code][1]
    assert SECTIONS[code].lstrip().startswith(severity.capitalize())


def test_every_fault_is_planted() -> None:
    texts = "\n".join(path.read_text() for path in TESTS if path != Path(__file__))
    assert [code for code in CODES if f'"{code}"' not in texts] == []


def test_there_are_enough_of_them() -> None:
    assert len(CODES) >= 30


def test_a_finding_leads_to_its_section() -> None:
    assert found("gate-down", "gate", "it does not run", "start it").page == f"{PAGE}#gate-down"


def test_the_command_knows_every_area() -> None:
    assert tuple(Area) == command.AREAS
    assert (
        {examination.area for examination in EXAMINATIONS}
        == set(Area)
        == {area for area, _ in CODES.values()}
    )


def test_all_that_is_judged_can_be_gathered_in_order() -> None:
    gathered: set[type] = set()
    for kind, gatherer in GATHERERS.items():
        assert gathered.issuperset(gatherer.needs)
        gathered.add(kind)
    assert {kind for examination in EXAMINATIONS for kind in examination.facts} <= gathered
    assert all(
        examination.examine.__doc__ and examination.examine.__doc__.strip()[-1] == "?"
        for examination in EXAMINATIONS
    )
