# SPDX-License-Identifier: Apache-2.0
"""What a holder sees in Firefox who mistypes the PIN, gives up, or has blocked it."""

import pytest
from tests.interop.browsers.firefox import NOTHING_HAPPENS
from tests.interop.browsers.firefox_desk import Desk
from tests.interop.browsers.stage import HELP_SITE, OPEN_SITE, OTHER_SITE, PIN, WRONG_PIN

pytestmark = pytest.mark.interop

NEW_PIN = "135792"


def test_a_wrong_pin_is_asked_for_again_without_a_word(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([WRONG_PIN, PIN], [holder.user])
        assert f"You are {holder.user}, says" in browser.open(holder.stage.url(OPEN_SITE)).text
        first, second = browser.events("pin")
        browser.picture_of(second, "firefox-pin-prompt-after-a-wrong-one")
        assert first["text"] == second["text"]
        assert (holder.table.pins(), holder.table.signatures()) == (2, 1)
        assert holder.tries_left() == 3


def test_no_pin_or_no_certificate_means_that_nothing_happens(holder: Desk) -> None:
    with holder.browser() as browser:
        page = browser.open(holder.stage.url(OPEN_SITE))
        assert (page.url, page.status) == ("about:blank", NOTHING_HAPPENS)
        browser.picture("firefox-no-pin")
        assert (len(browser.events("pin")), len(browser.events("picker"))) == (1, 0)
        browser.answer([PIN], [])
        page = browser.open(holder.stage.url(OTHER_SITE))
        assert (page.url, page.status) == ("about:blank", NOTHING_HAPPENS)
        assert (len(browser.events("pin")), len(browser.events("picker"))) == (2, 1)
        assert (holder.table.pins(), holder.table.signatures()) == (1, 0)


def test_three_wrong_pins_block_the_key_until_the_puk_sets_a_new_one(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([WRONG_PIN] * 6, [holder.user] * 3)
        page = browser.open(holder.stage.url(OPEN_SITE))
        assert (page.url, page.status) == ("about:blank", NOTHING_HAPPENS)
        browser.picture("firefox-pin-blocked")
        # After the last try it asks on, in the same words.
        assert len(browser.events("pin")) >= 4
        assert holder.tries_left() == 0

        browser.answer([PIN], [holder.user])
        assert browser.open(holder.stage.url(OPEN_SITE)).status == NOTHING_HAPPENS
        asked = len(browser.events("pin"))
        page = browser.open(holder.stage.url(HELP_SITE))
        assert "The PIN is blocked after three wrong ones." in page.text
        browser.picture("firefox-help-without-a-key")
        assert len(browser.events("pin")) == asked
        assert holder.table.signatures() == 0

        new_pin = holder.home / "new-pin"
        new_pin.write_text(NEW_PIN)
        holder.pivgate("key", "reset-pin", "--puk-file", holder.stage.root / "puk", "--pin-file", new_pin)
        browser.answer([NEW_PIN], [holder.user])
        assert f"You are {holder.user}, says" in browser.open(holder.stage.url(OPEN_SITE)).text
        assert len(browser.events("pin")) == asked + 1
        assert holder.table.signatures() == 1
