# SPDX-License-Identifier: Apache-2.0
"""What the outcomes of all attempts amount to."""

from pathlib import Path

import pytest

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.knock import Outcome
from pivgate.gate.probe import ProbeResult, probe, raise_if_open
from pivgate.gate.sites import GatedSite

REFUSALS = [outcome for outcome in Outcome if outcome not in (Outcome.OPEN, Outcome.UNREACHABLE)]


def result(outcome: Outcome, attempt: str = "no certificate") -> ProbeResult:
    return ProbeResult(
        "a.test:443", attempt, outcome, 1.0, "answered 200" if outcome is Outcome.OPEN else "why"
    )


def test_only_refusals_are_accepted() -> None:
    raise_if_open([])
    raise_if_open([result(outcome) for outcome in REFUSALS])


def test_one_that_was_let_in_is_enough() -> None:
    with pytest.raises(OpenGateError, match=r"a\.test:443 with no certificate \(answered 200\)"):
        raise_if_open([*map(result, REFUSALS), result(Outcome.UNREACHABLE), result(Outcome.OPEN)])


def test_one_that_came_to_nothing_is_no_proof() -> None:
    with pytest.raises(
        GateError, match=r"could not be proved .* a\.test:443 with no certificate \(why\)"
    ) as caught:
        raise_if_open([*map(result, REFUSALS), result(Outcome.UNREACHABLE)])
    assert not isinstance(caught.value, OpenGateError)


def test_of_many_some_are_named() -> None:
    with pytest.raises(OpenGateError, match="way 4 .*; and 7 more$"):
        raise_if_open([result(Outcome.OPEN, f"way {number}") for number in range(12)])


def test_without_sites_nothing_is_needed(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert probe({}, [], tmp_path_factory.mktemp("empty")) == ()


def test_what_there_was_no_time_to_try_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivgate.gate.probe.load_credentials", lambda _: {})
    monkeypatch.setattr("pivgate.gate.probe._PATIENCE", 0.0)
    monkeypatch.setattr("pivgate.gate.probe._PATIENCE_EACH", 0.0)

    results = probe({}, [GatedSite("a.test", 443, ("admins",), (":443",))], tmp_path)

    assert {(result.outcome, result.detail) for result in results} == {
        (Outcome.UNREACHABLE, "there was no time left to try")
    }
