# SPDX-License-Identifier: Apache-2.0
"""Who is refused, and what Firefox shows them: our page, its own error, or nothing."""

from pathlib import Path

import pytest
from tests.interop.browsers.firefox import NOTHING_HAPPENS, Page
from tests.interop.browsers.firefox_desk import Desk, desk
from tests.interop.browsers.stage import CLOSED_SITE, OPEN_SITE, PIN, Stage

pytestmark = pytest.mark.interop

FACTORY_PIN = "123456"
NOT_IN_FORCE = "The certificate on your key is not in force here"


def assert_refused_in_the_handshake(page: Page, tls: int) -> None:
    """No page of ours can be shown, since no certificate says to whom: Firefox shows its own, or nothing."""
    if tls == 2:
        assert page.error == "nssFailure2"
        assert "Secure Connection Failed" in page.text
        assert "SSL_ERROR_HANDSHAKE_FAILURE_ALERT" in page.text
    else:
        assert (page.url, page.status) == ("about:blank", NOTHING_HAPPENS)


def test_not_a_member_sees_our_page_and_goes_in_once_they_are(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([PIN], [holder.user])
        page = browser.open(holder.stage.url(CLOSED_SITE))
        assert page.title == "This site did not open"
        assert "this site is for the group finance, and you are not in it" in page.text
        assert "Ask Carol, room 12" in page.text
        browser.picture("firefox-not-a-member")
        holder.stage.run("group", "join", "finance", holder.user)
        assert f"You are {holder.user}, says" in browser.reload().text
        assert (holder.table.pins(), holder.table.signatures()) == (1, 1)


def test_a_key_revoked_while_a_page_is_open_opens_no_further_one(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([PIN], [holder.user])
        assert browser.open(holder.stage.url(OPEN_SITE)).title == "Orders"
        before = len(holder.stage.app.requests)
        holder.stage.run("key", "revoke", str(holder.keys[0].serial), "--yes")
        page = browser.click("#second")
        assert page.title == "This site did not open"
        assert NOT_IN_FORCE in page.text
        browser.picture("firefox-revoked")
        assert len(holder.stage.app.requests) == before


def test_a_lost_key_opens_nothing_until_it_is_found(holder: Desk) -> None:
    serial = str(holder.keys[0].serial)
    with holder.browser() as browser:
        browser.answer([PIN], [holder.user])
        browser.open(holder.stage.url(OPEN_SITE))
        holder.stage.run("key", "lost", serial)
        page = browser.click("#third")
        assert NOT_IN_FORCE in page.text
        browser.picture("firefox-lost")
        holder.stage.run("key", "found", serial, "--yes")
        assert f"You are {holder.user}, says" in browser.reload().text
        assert (len(browser.events("pin")), holder.table.pins()) == (1, 1)


def test_the_spare_key_works_after_the_first_is_lost(shared_stage: Stage, artefacts: Path) -> None:
    with desk(shared_stage, artefacts, ("5.7.4", "5.4.3")) as place:
        place.enrol(key=0)
        place.enrol(key=1)
        place.set_up()
        shared_stage.run("key", "lost", str(place.keys[0].serial))
        place.table.readers[0].remove()
        place.table.await_cards(1)
        with place.browser() as browser:
            browser.answer([PIN], [place.user])
            assert f"You are {place.user}, says" in browser.open(shared_stage.url(OPEN_SITE)).text
            browser.picture("firefox-spare-key")
            assert (place.table.pins(), place.table.signatures()) == (1, 1)


@pytest.mark.parametrize("tls", [2, 3])
def test_a_certificate_of_another_authority(
    shared_stage: Stage, other_stage: Stage, artefacts: Path, tls: int
) -> None:
    with desk(other_stage, artefacts) as place:
        place.enrol()
        place.set_up(authority=shared_stage.server_authority)
        with place.browser(security__tls__version__max=tls + 1) as browser:
            browser.answer([PIN], [place.user])
            page = browser.open(shared_stage.url(OPEN_SITE))
            assert_refused_in_the_handshake(page, tls)
            assert (len(browser.events("pin")), len(browser.events("picker"))) == (1, 0)
            browser.picture(f"firefox-foreign-certificate-tls-1.{tls}")
            assert (place.table.pins(), place.table.signatures()) == (1, 0)


@pytest.mark.parametrize("tls", [2, 3])
def test_a_key_without_a_certificate(shared_stage: Stage, artefacts: Path, tls: int) -> None:
    with desk(shared_stage, artefacts) as place:
        place.set_up()
        with place.browser(security__tls__version__max=tls + 1) as browser:
            browser.answer([FACTORY_PIN], [place.user])
            page = browser.open(shared_stage.url(OPEN_SITE))
            assert_refused_in_the_handshake(page, tls)
            assert (len(browser.events("pin")), len(browser.events("picker"))) == (1, 0)
            browser.picture(f"firefox-no-certificate-tls-1.{tls}")
            assert (place.table.pins(), place.table.signatures()) == (1, 0)
