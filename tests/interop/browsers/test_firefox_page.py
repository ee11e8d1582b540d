# SPDX-License-Identifier: Apache-2.0
"""What a page does by itself, behind the gate: fetch(), a WebSocket, a large download."""

import hashlib
import time

import pytest
from tests.interop.browsers.firefox import PATIENCE
from tests.interop.browsers.firefox_desk import Desk
from tests.interop.browsers.stage import OPEN_SITE, PIN
from tests.interop.browsers.upstream import download_digest

pytestmark = pytest.mark.interop

FETCH = """
const done = arguments[0];
fetch("/who").then(reply => reply.json()).then(who => done(who.user), error => done(String(error)));
"""
SOCKET = """
const done = arguments[0];
const socket = new WebSocket(`wss://${location.host}/socket`);
socket.onopen = () => socket.send("hello");
socket.onmessage = message => { socket.close(); done(message.data); };
socket.onerror = () => done("error");
"""
# The error of each download that has ended; empty for a good one.
DOWNLOADED = """
const done = arguments[0];
const { Downloads } = ChromeUtils.importESModule("resource://gre/modules/Downloads.sys.mjs");
Downloads.getList(Downloads.ALL).then(list => list.getAll()).then(all => done(
  all.filter(each => each.succeeded || each.error).map(each => each.error?.message ?? "")));
"""


def test_fetch_and_a_websocket_go_through(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([PIN], [holder.user])
        browser.open(holder.stage.url(OPEN_SITE))
        assert browser.marionette.page_async(FETCH) == holder.user
        assert holder.table.signatures() == 1
        said = browser.marionette.page_async(SOCKET)
        assert said == f"{holder.user}: hello"
        browser.picture("firefox-fetch-and-websocket")
        # Firefox opens a WebSocket on a connection of its own, for which the key signs again.
        assert holder.table.signatures() == 2
        assert (len(browser.events("pin")), len(browser.events("picker"))) == (1, 1)


def test_a_download_of_100_megabytes_arrives_whole(holder: Desk) -> None:
    folder = holder.home / "downloads"
    folder.mkdir()
    with holder.browser(browser__download__folderList=2, browser__download__dir=str(folder)) as browser:
        browser.answer([PIN], [holder.user])
        browser.open(holder.stage.url(OPEN_SITE))
        browser.marionette.page("location.href = '/download'")
        deadline = time.monotonic() + PATIENCE
        while not (ended := browser.marionette.chrome_async(DOWNLOADED)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert ended == [""]
        with (folder / "backup.bin").open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == download_digest()
        browser.picture("firefox-download")
        assert (holder.table.pins(), holder.table.signatures()) == (1, 1)
