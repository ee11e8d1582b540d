# SPDX-License-Identifier: Apache-2.0
"""The story that all is about: a person opens a site in Firefox, gives the PIN of their key, and is in."""

from pathlib import Path

import pytest
from tests.interop.browsers.firefox_desk import Desk, desk
from tests.interop.browsers.stage import OPEN_SITE, OTHER_SITE, PIN, Stage

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("holder", ["alice"], indirect=True)
def test_one_pin_and_one_signature_open_many_pages_over_http2(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([PIN], [holder.user])
        page = browser.open(holder.stage.url(OPEN_SITE))
        assert page.title == "Orders"
        assert f"You are {holder.user}, says the gate." in page.text
        browser.picture("firefox-page")
        for link, title in (("#second", "Customers"), ("#third", "Stock"), ("#first", "Orders")):
            assert browser.click(link).title == title
        protocols = browser.marionette.page(
            "return performance.getEntries().map(entry => entry.nextHopProtocol).filter(name => name)"
        )
        assert len(protocols) > 20
        assert set(protocols) == {"h2"}
        (pin,) = browser.events("pin")
        (picker,) = browser.events("picker")
        assert pin["text"] == f"Please authenticate to the security device ({holder.user})."
        assert len(picker["offered"]) == 1
        browser.picture_of(pin, "firefox-pin-prompt")
        browser.picture_of(picker, "firefox-certificate-choice")
        assert (holder.table.pins(), holder.table.signatures()) == (1, 1)


def test_the_right_certificate_of_two_is_chosen_and_opens_two_sites(
    shared_stage: Stage, artefacts: Path
) -> None:
    with desk(shared_stage, artefacts, ("5.7.4", "5.4.3"), user="bob") as place:
        other = "carol"
        place.enrol(key=0)
        place.enrol(key=1, user=other)
        place.set_up()
        with place.browser() as browser:
            # Firefox asks for the PIN of each token that may hold a certificate before it offers any.
            browser.answer([PIN, PIN], [other, place.user])
            page = browser.open(shared_stage.url(OPEN_SITE))
            assert f"You are {other}, says the gate." in page.text
            page = browser.open(shared_stage.url(OTHER_SITE))
            assert f"You are {place.user}, says the gate." in page.text
            pickers = browser.events("picker")
            assert [len(picker["offered"]) for picker in pickers] == [2, 2]
            browser.picture_of(pickers[0], "firefox-choice-of-two-certificates")
            assert len(browser.events("pin")) == 2
            assert place.table.signatures() == 2


def test_two_sites_take_one_pin(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.answer([PIN], [holder.user, holder.user])
        for site in (OPEN_SITE, OTHER_SITE, OPEN_SITE):
            assert f"You are {holder.user}, says the gate." in browser.open(holder.stage.url(site)).text
            browser.picture(f"firefox-two-sites-{site}")
        assert (len(browser.events("pin")), len(browser.events("picker"))) == (1, 2)
        assert (holder.table.pins(), holder.table.signatures()) == (1, 2)


@pytest.mark.parametrize("authority", ["ed25519", "p384"])
@pytest.mark.parametrize(
    ("firmware", "algorithm"), [("4.3.7", "p384"), ("5.4.3", "p256"), ("5.4.3", "rsa2048"), ("5.7.4", "p384")]
)
def test_every_key_logs_in_over_tls_1_2_and_1_3(
    firmware: str, algorithm: str, authority: str, request: pytest.FixtureRequest, artefacts: Path
) -> None:
    stage = request.getfixturevalue({"ed25519": "shared_stage", "p384": "other_stage"}[authority])
    with desk(stage, artefacts, (firmware,)) as place:
        place.enrol(algorithm)
        place.set_up()
        with place.browser(security__tls__version__max=3) as browser:
            browser.answer([PIN], [place.user, place.user])
            assert f"You are {place.user}, says" in browser.open(stage.url(OPEN_SITE)).text
            assert browser.tls_version() == "1.2"
            browser.prefer("security.tls.version.max", 4)
            assert f"You are {place.user}, says" in browser.open(stage.url(OTHER_SITE)).text
            assert browser.tls_version() == "1.3"
            browser.picture(f"firefox-{firmware}-{algorithm}-authority-{authority}")
            assert (place.table.pins(), place.table.signatures()) == (1, 2)
