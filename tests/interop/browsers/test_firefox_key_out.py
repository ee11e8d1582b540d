# SPDX-License-Identifier: Apache-2.0
"""The key is pulled out while a page is open, and put back."""

import time
from collections.abc import Callable

import pytest
from tests.interop.browsers.firefox import NOTHING_HAPPENS, Page
from tests.interop.browsers.firefox_desk import Desk
from tests.interop.browsers.stage import OPEN_SITE, PIN

pytestmark = pytest.mark.interop

SOON = 15.0
"""Seconds. NSS asks a token once a second whether it is there; the rest is for a busy machine."""

# A WebSocket that the page keeps, and what comes of a message sent on it.
KEEP_SOCKET = """
window.kept = new WebSocket(`wss://${location.host}/socket`);
kept.onopen = () => arguments[0]();
"""
ECHO = """
const done = arguments[0];
if (kept.readyState != WebSocket.OPEN) { done("ended"); return; }
kept.onmessage = message => done(message.data);
kept.onclose = () => done("ended");
kept.send("hello");
"""


def pressed_until(press: Callable[[], Page], wanted: Callable[[Page], bool]) -> Page:
    """Do the same again until the outcome changes, as people do."""
    deadline = time.monotonic() + SOON
    while not wanted(page := press()):
        assert time.monotonic() < deadline, page
    return page


@pytest.mark.parametrize("tls", [2, 3])
def test_without_the_key_nothing_opens_and_with_it_everything_again(holder: Desk, tls: int) -> None:
    app = holder.stage.app
    with holder.browser(security__tls__version__max=tls + 1) as browser:
        browser.answer([PIN], [holder.user])
        browser.open(holder.stage.url(OPEN_SITE))
        assert browser.tls_version() == f"1.{tls}"
        browser.marionette.page_async(KEEP_SOCKET)
        assert browser.marionette.page_async(ECHO) == f"{holder.user}: hello"

        holder.table.readers[0].remove()
        holder.table.await_cards(0)
        # NSS ends the connections for which the key signed, a WebSocket's, too; of the page's the tab shows
        # nothing. Then it cannot make another one.
        deadline = time.monotonic() + SOON
        while browser.marionette.page_async(ECHO) != "ended":
            assert time.monotonic() < deadline
        pressed_until(
            lambda: browser.open(holder.stage.url(OPEN_SITE, "/second")), lambda page: page.status != 0
        )
        before = len(app.requests)
        page = browser.open(holder.stage.url(OPEN_SITE, "/second"))
        if tls == 2:
            assert page.error == "nssFailure2"
            assert "SSL_ERROR_HANDSHAKE_FAILURE_ALERT" in page.text
        else:
            assert (page.status, page.error) == (NOTHING_HAPPENS, "")
        browser.picture(f"firefox-key-out-tls-1.{tls}")
        assert len(app.requests) == before

        holder.table.readers[0].insert()
        holder.table.await_cards(1)
        browser.answer([PIN], [holder.user])
        page = pressed_until(
            lambda: browser.open(holder.stage.url(OPEN_SITE, "/third")), lambda page: page.status == 0
        )
        assert page.title == "Stock"
        assert len(browser.events("pin")) == 2
        assert (holder.table.pins(), holder.table.signatures()) == (2, 3)
