# SPDX-License-Identifier: Apache-2.0
"""The record of what was proved last."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pivgate.gate.proven import PROVEN, Proven, fingerprint_of_sources, recall, record
from pivgate.gate.sites import GatedSite
from pivgate.settings import Home

KEPT = Proven(77, "2.11.7", "ab", {"apps": {}}, (GatedSite("a.test", 443, ("admins",), (":443",)),))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.run.mkdir()
    home.caddyfile.parent.mkdir()
    home.caddyfile.write_text("one")
    home.snippet.write_text("two")
    return home


def test_it_is_kept_for_the_same_process_only(home: Home) -> None:
    assert recall(home, 77) is None
    record(home, KEPT)

    assert recall(home, 77) == KEPT
    assert recall(home, 78) is None
    assert (home.run / PROVEN).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"sites": 1}', '{"sites": [{}]}', '{"sites": [], "x": 1}', "\xff"]
)
def test_a_damaged_record_is_none(home: Home, content: str) -> None:
    (home.run / PROVEN).write_text(content, encoding="latin-1")

    assert recall(home, 77) is None


def test_a_record_without_a_configuration_is_none(home: Home) -> None:
    record(home, replace(KEPT, config=[]))  # type: ignore[arg-type]

    assert recall(home, 77) is None


@pytest.mark.parametrize("name", ["pid", "version", "sources", "config", "sites"])
def test_a_record_without_a_part_is_none(home: Home, name: str) -> None:
    record(home, KEPT)
    kept = json.loads((home.run / PROVEN).read_text())
    del kept[name]
    (home.run / PROVEN).write_text(json.dumps(kept))

    assert recall(home, 77) is None


def test_every_change_of_the_sources_is_seen(home: Home) -> None:
    seen = {fingerprint_of_sources(home)}
    for path, text in ((home.caddyfile, "onet"), (home.snippet, "wo"), (home.caddyfile, "one")):
        path.write_text(text)
        seen.add(fingerprint_of_sources(home))

    assert len(seen) == 4
