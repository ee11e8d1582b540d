# SPDX-License-Identifier: Apache-2.0
"""A holder at Chromium: set up by the real command, the certificate chosen by policy, the key behind PC/SC.

The module in Chromium is OpenSC with the PIN given by itself: without a window there is no PIN dialog.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from tests.card_table import CardTable, card_table, new_key
from tests.interop.browsers.chromium import Chromium, auto_login_module, chromium
from tests.interop.browsers.stage import CLOSED_SITE, OPEN_SITE, OTHER_SITE, PIN, Stage, new_serial, stage

pytestmark = [pytest.mark.interop, pytest.mark.flaky(reruns=2, only_rerun="ChromiumEndedError")]

_names = (f"chromium{number}" for number in count(1))

# Whether the gate's alert or the end of the connection is seen first is a matter of chance.
NO_CERTIFICATE = {"net::ERR_BAD_SSL_CLIENT_AUTH_CERT", "net::ERR_SOCKET_NOT_CONNECTED"}

# A WebSocket that the page keeps, and what is answered on it.
SOCKET = (
    "new Promise((done, fail) => { kept = new WebSocket(`wss://${location.host}/socket`);"
    "kept.onopen = () => kept.send('hello'); kept.onmessage = m => done(m.data); kept.onerror = fail })"
)
ECHO = (
    "new Promise((done, fail) => { kept.onmessage = m => done(m.data); kept.onclose = fail;"
    "kept.send('again') })"
)


@dataclass(frozen=True)
class Desk:
    """A holder's place: a home folder with Chromium set up, and a key in the reader.

    Attributes:
        user: The holder.
        serial: Of the key.
        table: The reader.
        home: The holder's home folder.
        environment: Of the holder's programs.
    """

    stage: Stage
    user: str
    serial: int
    table: CardTable
    home: Path
    environment: dict[str, str]
    pictures: Path

    def pivgate(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run pivgate as the holder, who has no home of pivgate's."""
        done = subprocess.run(
            [sys.executable, "-m", "pivgate", *map(str, words)],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )
        assert done.returncode == 0, done
        return done

    @contextmanager
    def browser(self, *, policies: bool = True) -> Iterator[Chromium]:
        """Open Chromium where the machine's policies were written by the real command."""
        setup = [sys.executable, "-m", "pivgate", "--home", self.stage.home.root, "browser", "setup"]
        setup += ["--system", "--browser", "chromium", "--module", self.environment["AUTO_LOGIN_MODULE"]]
        with chromium(self.home, self.environment, self.pictures, setup if policies else ()) as opened:
            yield opened


@pytest.fixture(scope="module")
def built() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def pictures() -> Path:
    named = Path(os.environ.get("PIVGATE_ARTEFACTS") or Path(__file__).parents[3] / "artefacts")
    named.mkdir(parents=True, exist_ok=True)
    return named


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return auto_login_module(tmp_path_factory.mktemp("module"))


@contextmanager
def desk(
    built: Stage, module: Path, pictures: Path, firmware: str = "5.7.4", algorithm: str = "p256"
) -> Iterator[Desk]:
    """Give a new person a key and a set-up Chromium."""
    user, key = next(_names), new_key(firmware, new_serial())
    home = Path(tempfile.mkdtemp(prefix="pgh"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        table = stack.enter_context(card_table(key))
        built.run("user", "add", user)
        built.provision(table, user, key.serial, algorithm)
        environment = {
            **{name: value for name, value in table.environment.items() if not name.startswith("XDG_")},
            "HOME": str(home),
            "PIVGATE_HOME": str(home / "none"),
            "AUTO_LOGIN_MODULE": str(module),
            "AUTO_LOGIN_OPENSC": str(next(Path("/usr/lib").glob("*/opensc-pkcs11.so"))),
            "AUTO_LOGIN_PIN": PIN,
        }
        there = Desk(built, user, key.serial, table, home, environment, pictures)
        there.pivgate(
            *("browser", "setup", "--browser", "chromium", "--module", module),
            *("--authority", built.server_authority),
        )
        yield there


@pytest.fixture
def holder(built: Stage, module: Path, pictures: Path) -> Iterator[Desk]:
    with desk(built, module, pictures) as there:
        yield there


def test_one_signature_opens_many_pages_over_http2(holder: Desk) -> None:
    before = holder.table.signatures()
    with holder.browser() as browser:
        assert f"You are {holder.user}, says the gate." in browser.open(holder.stage.url(OPEN_SITE))
        assert browser.protocols() == {"h2"}
        browser.picture("opened")
        for link in ("#second", "#third", "#first"):
            assert holder.user in browser.click(link)
    assert holder.table.signatures() - before == 1


def test_two_sites_and_what_a_page_fetches(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.open(holder.stage.url(OPEN_SITE))
        assert browser.evaluate("fetch('/who').then(r => r.json()).then(j => j.user)") == holder.user
        assert browser.evaluate(SOCKET) == f"{holder.user}: hello"
        browser.new_tab()
        assert holder.user in browser.open(holder.stage.url(OTHER_SITE))


def test_a_key_lost_while_the_page_is_open_opens_nothing_at_the_next_click(holder: Desk) -> None:
    with holder.browser() as browser:
        browser.open(holder.stage.url(OPEN_SITE))
        holder.stage.run("key", "lost", str(holder.serial))
        assert "This site did not open" in browser.click("#second")
        assert "is not in force here" in browser.text()
        browser.picture("lost")
        holder.stage.run("key", "found", str(holder.serial), "--yes")
        assert holder.user in browser.open(holder.stage.url(OPEN_SITE))


def test_a_site_of_another_group_shows_our_page(holder: Desk) -> None:
    with holder.browser() as browser:
        assert "this site is for the group finance, and you are not in it" in browser.open(
            holder.stage.url(CLOSED_SITE)
        )
        browser.picture("not-a-member")


def test_a_key_that_was_never_enrolled_is_not_offered(holder: Desk) -> None:
    with card_table(new_key("5.7.4", new_serial())) as other:
        stranger = Desk(
            holder.stage,
            "nobody",
            0,
            other,
            holder.home,
            {**holder.environment, "PCSCLITE_CSOCK_NAME": other.environment["PCSCLITE_CSOCK_NAME"]},
            holder.pictures,
        )
        with stranger.browser() as browser:
            assert browser.open(holder.stage.url(OPEN_SITE)) in NO_CERTIFICATE
            browser.picture("not-enrolled")


def test_a_key_pulled_out_opens_no_new_connection(holder: Desk) -> None:
    before = holder.table.signatures()
    with holder.browser() as browser:
        browser.open(holder.stage.url(OPEN_SITE))
        assert browser.evaluate(SOCKET) == f"{holder.user}: hello"
        holder.table.readers[0].remove()
        holder.table.await_cards(0)
        # What was let in goes on: the connections are open, and Chromium does not look at the reader again.
        assert browser.evaluate(ECHO) == f"{holder.user}: again"
        assert holder.user in browser.click("#second")
        browser.new_tab()
        assert browser.open(holder.stage.url(OTHER_SITE)).startswith("net::ERR_")
        browser.picture("pulled-out")
    assert holder.table.signatures() - before == 2


@pytest.mark.parametrize(
    ("firmware", "algorithm"),
    [("4.3.7", "p384"), ("5.4.3", "p256"), ("5.4.3", "rsa2048"), ("5.7.4", "p384")],
)
def test_firmware_and_algorithm(
    built: Stage, module: Path, pictures: Path, firmware: str, algorithm: str
) -> None:
    with desk(built, module, pictures, firmware, algorithm) as holder, holder.browser() as browser:
        assert holder.user in browser.open(built.url(OPEN_SITE))


def test_undo_leaves_the_home_as_it_was_before(built: Stage, module: Path, pictures: Path) -> None:
    with desk(built, module, pictures) as holder:
        assert any(holder.home.rglob("cert9.db"))
        holder.pivgate("browser", "undo", "--yes")
        assert [path for path in holder.home.rglob("*") if path.is_file()] == []
