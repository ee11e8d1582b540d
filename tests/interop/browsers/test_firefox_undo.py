# SPDX-License-Identifier: Apache-2.0
"""``pivgate browser undo``: the profile is what it was before the set-up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.browsers.firefox_desk import Desk, desk
from tests.interop.browsers.stage import OPEN_SITE, PIN, Stage

pytestmark = pytest.mark.interop


@pytest.fixture
def place(shared_stage: Stage, artefacts: Path) -> Iterator[Desk]:
    """A holder with a provisioned key; nothing is set up."""
    with desk(shared_stage, artefacts) as made:
        made.enrol()
        yield made


def listed(place: Desk) -> str:
    """Ask NSS's own programs what modules and authorities the profile has."""
    database = f"sql:{place.profile}"
    modules = place.table.run("modutil", "-dbdir", database, "-list").stdout
    return modules + place.table.run("certutil", "-L", "-d", database).stdout


def test_undo_leaves_a_fresh_profile_byte_for_byte_as_it_was(place: Desk) -> None:
    before = place.contents()
    place.set_up()
    assert place.contents() != before
    assert "opensc-pkcs11.so" in listed(place)
    place.undo()
    assert place.contents() == before


def test_undo_leaves_a_used_profile_byte_for_byte_as_it_was(place: Desk) -> None:
    with place.browser():
        pass
    before = place.contents()
    place.set_up()
    assert "opensc-pkcs11.so" in listed(place)
    place.undo()
    assert place.contents() == before


def test_undo_after_firefox_ran_takes_our_module_and_authority_out(place: Desk) -> None:
    with place.browser():
        pass
    clean = listed(place)
    place.set_up()
    with place.browser() as browser:
        browser.answer([PIN], [place.user])
        assert f"You are {place.user}, says" in browser.open(place.stage.url(OPEN_SITE)).text
    assert "opensc-pkcs11.so" in listed(place)
    place.undo()
    assert listed(place) == clean
    with place.browser() as browser:
        page = browser.open(place.stage.url(OPEN_SITE))
        assert page.error == "nssBadCert"
        browser.picture("firefox-after-undo")
        assert not browser.events("pin")
