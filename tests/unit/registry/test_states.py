# SPDX-License-Identifier: Apache-2.0
"""The transition tables, over every pair of states, against the ways written out by hand."""

from itertools import product
from pathlib import Path

import pytest
from cryptography import x509

from pivgate.errors import RefusedError
from pivgate.registry.states import (
    CERTIFICATE_TRANSITIONS,
    KEY_TRANSITIONS,
    CertificateState,
    KeyState,
    RevocationReason,
    TransitionError,
    check_certificate_transition,
    check_key_transition,
)

KEY_WAYS = """
provisioning active
provisioning lost
provisioning damaged
provisioning retired
active suspended
active lost
active damaged
active retired
suspended active
suspended lost
suspended damaged
suspended retired
lost active
lost damaged
lost retired
damaged retired
"""
CERTIFICATE_WAYS = """
pending active
pending superseded
pending revoked
active superseded
active revoked
superseded revoked
"""


def ways(text: str) -> set[tuple[str, str]]:
    return {(old, new) for old, new in (line.split() for line in text.strip().splitlines())}


@pytest.mark.parametrize(("old", "new"), list(product(KeyState, KeyState)))
def test_every_pair_of_key_states(old: KeyState, new: KeyState) -> None:
    if (old, new) in ways(KEY_WAYS):
        check_key_transition(7, old, new)
        return
    with pytest.raises(TransitionError, match=f"The key 7 is {old} and cannot become {new}") as caught:
        check_key_transition(7, old, new)
    assert isinstance(caught.value, RefusedError)
    assert caught.value.hint


@pytest.mark.parametrize(("old", "new"), list(product(CertificateState, CertificateState)))
def test_every_pair_of_certificate_states(old: CertificateState, new: CertificateState) -> None:
    if (old, new) in ways(CERTIFICATE_WAYS):
        check_certificate_transition("ab" * 32, old, new)
        return
    with pytest.raises(TransitionError, match=f"certificate abababababababab is {old}") as caught:
        check_certificate_transition("ab" * 32, old, new)
    assert caught.value.hint


def test_a_refusal_names_the_ways_that_are_open() -> None:
    with pytest.raises(TransitionError) as caught:
        check_key_transition(7, KeyState.LOST, KeyState.SUSPENDED)
    assert caught.value.hint == "From lost it can become: active, damaged, retired."
    with pytest.raises(TransitionError) as caught:
        check_key_transition(7, KeyState.RETIRED, KeyState.ACTIVE)
    assert caught.value.hint.startswith("That is final.")


def test_the_tables_know_every_state() -> None:
    assert set(KEY_TRANSITIONS) == set(KeyState)
    assert set(CERTIFICATE_TRANSITIONS) == set(CertificateState)


def test_reasons_are_those_of_the_revocation_list() -> None:
    for reason in RevocationReason:
        assert x509.ReasonFlags(str(reason)).value == reason


@pytest.mark.parametrize(
    ("heading", "written"), [("## A key", KEY_WAYS), ("## A certificate", CERTIFICATE_WAYS)]
)
def test_the_documentation_shows_the_same_ways(heading: str, written: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "concepts" / "states.md").read_text()
    section = page.split(f"\n{heading}\n")[1].split("\n## ")[0]
    shown = set()
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 and not cells[1].startswith(("---", "may become", "nothing")):
            shown |= {(cells[0], new) for new in cells[1].split(", ")}
    assert shown == ways(written)
