# SPDX-License-Identifier: Apache-2.0
"""``browser check`` with a real PC/SC service, a provisioned key, a real gate: each fault by its name."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.card_table import CardTable, card_table, new_key
from tests.interop.browser_setup.holder import OPENSC, new_database
from tests.interop.browsers.stage import OPEN_SITE, Stage, new_serial, stage
from tests.unit.browser.trees import put

from pivgate.emulator.yubikey import EmulatedYubiKey

pytestmark = pytest.mark.interop

GOOD = {"PC/SC service", "card reader", "key", "certificate", "PKCS#11 module", "handshake"}


@dataclass(frozen=True)
class Desk:
    """A holder's desk: a home folder, a table with their key, and the gate.

    Attributes:
        home: Their HOME.
        table: With the reader and the key.
        gate: The gate.
        serial: The key's.
        user: Their name.
    """

    home: Path
    table: CardTable
    gate: Stage
    serial: int
    user: str

    def browser(
        self, *arguments: str | Path, pivgate_home: Path | None = None, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``pivgate browser``; it may fail."""
        kept = {name: value for name, value in self.table.environment.items() if not name.startswith("XDG_")}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pivgate", "--home", pivgate_home or self.gate.home.root),
                *("browser", *map(str, arguments)),
            ],
            env={**kept, "HOME": str(self.home), "NO_COLOR": "1", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def check(self, *arguments: str | Path, **more: Any) -> tuple[int, dict[str, dict[str, Any]]]:
        """Run ``browser check``; return the exit status and its lines by what they are about."""
        done = self.browser("check", "--json", *arguments, **more)
        assert done.stdout, done
        return done.returncode, {line["what"]: line for line in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def gate() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def other_gate() -> Iterator[Stage]:
    """A gate whose authority has the same name."""
    with stage() as made:
        yield made


def provisioned_key(gate: Stage) -> EmulatedYubiKey:
    """Return a key of somebody new."""
    key = new_key(serial=new_serial())
    with card_table(key) as table:
        gate.run("user", "add", f"user{key.serial}")
        gate.provision(table, f"user{key.serial}", key.serial, "p256")
    return key


@pytest.fixture(scope="module")
def key(gate: Stage) -> EmulatedYubiKey:
    return provisioned_key(gate)


@contextmanager
def desk_with(key: EmulatedYubiKey, gate: Stage, folder: Path) -> Iterator[Desk]:
    """A desk with a key in the reader, and browsers that are set up."""
    home = folder / "home"
    new_database(home / ".mozilla/firefox/p.default")
    put(home / ".mozilla/firefox/profiles.ini", "[Profile0]\nName=default\nPath=p.default\n")
    with card_table(key) as table:
        made = Desk(home, table, gate, key.serial, f"user{key.serial}")
        done = made.browser("setup")
        assert done.returncode == 0, done
        yield made


@pytest.fixture
def desk(key: EmulatedYubiKey, gate: Stage, tmp_path: Path) -> Iterator[Desk]:
    """The same with a key that every test finds as it was."""
    with desk_with(key, gate, tmp_path) as made:
        yield made


def authorities(gate: Stage, folder: Path) -> tuple[Path, Path]:
    """Return the authority of the sites and that of the keys, as a holder elsewhere would have them."""
    shutil.copy(gate.server_authority, folder / "sites.pem")
    shutil.copy(gate.home.authority_certificate, folder / "keys.pem")
    return folder / "sites.pem", folder / "keys.pem"


def test_all_is_good_from_the_reader_to_the_handshake(desk: Desk) -> None:
    url, pin = desk.gate.url(OPEN_SITE), desk.gate.root / "pin"
    done = desk.browser("check", "--url", url, "--pin-file", pin)
    assert done.returncode == 0, done
    assert "bad" not in done.stdout
    status, lines = desk.check("--url", url, "--pin-file", pin)
    assert status == 0
    assert all(lines[what]["good"] is True and not lines[what]["remedy"] for what in GOOD), lines
    assert f"of {desk.user}, in force until" in lines["certificate"]["says"]
    assert "shows the certificate" in lines["PKCS#11 module"]["says"]
    assert lines["Firefox, default"]["says"] == "has the module and the authority"
    assert lines["Chromium, shared database"]["good"] is True


def test_without_a_url_the_handshake_is_not_tried_and_no_pin_is_asked(desk: Desk) -> None:
    tried = desk.table.pins()
    status, lines = desk.check()
    assert status == 0
    assert lines["handshake"]["good"] is None
    assert desk.table.pins() == tried


def test_on_a_machine_without_a_home_dates_and_issuer_are_judged(desk: Desk, tmp_path: Path) -> None:
    sites, keys = authorities(desk.gate, tmp_path)
    elsewhere = tmp_path / "no-home"
    status, lines = desk.check("--authority", sites, pivgate_home=elsewhere)
    assert status == 0
    assert "was not checked (--authority)" in lines["certificate"]["says"]
    status, lines = desk.check(
        *("--authority", sites, "--authority", keys, "--url", desk.gate.url(OPEN_SITE)),
        *("--pin-file", desk.gate.root / "pin"),
        pivgate_home=elsewhere,
    )
    assert status == 0, lines
    assert "in force until" in lines["certificate"]["says"]
    assert lines["Firefox, default"]["says"] == "has the module and the authority"


def test_an_authority_of_the_same_name_did_not_issue_the_certificate(
    desk: Desk, other_gate: Stage, tmp_path: Path
) -> None:
    shutil.copy(other_gate.home.authority_certificate, tmp_path / "other.pem")
    status, lines = desk.check("--authority", tmp_path / "other.pem", pivgate_home=tmp_path / "no-home")
    assert status == 1
    assert "was not signed by this authority" in lines["certificate"]["says"]


def test_no_pcsc_service(desk: Desk, tmp_path: Path) -> None:
    status, lines = desk.check(PCSCLITE_CSOCK_NAME=str(tmp_path / "nothing"))
    assert status == 1
    assert lines["PC/SC service"]["good"] is False
    assert "systemctl start pcscd" in lines["PC/SC service"]["remedy"]
    assert lines["card reader"]["good"] is None
    assert "certificate" not in lines


def test_a_reader_without_a_key(desk: Desk) -> None:
    desk.table.readers[0].remove()
    desk.table.await_cards(0)
    status, lines = desk.check("--url", desk.gate.url(OPEN_SITE))
    assert status == 1
    assert lines["card reader"]["good"] is True
    assert "There is no YubiKey" in lines["key"]["says"]
    assert "Plug one in" in lines["key"]["remedy"]
    assert lines["handshake"]["good"] is None


def test_a_key_that_was_never_provisioned(gate: Stage, tmp_path: Path) -> None:
    with card_table(new_key(serial=new_serial())) as table:
        desk = Desk(tmp_path / "home", table, gate, 0, "")
        status, lines = desk.check()
    assert status == 1
    assert "no certificate in slot 9a" in lines["key"]["says"]
    assert "key provision" in lines["key"]["remedy"]


def test_a_revoked_key_is_told_by_the_registry_and_by_the_gate(gate: Stage, tmp_path: Path) -> None:
    with desk_with(provisioned_key(gate), gate, tmp_path) as desk:
        gate.run("key", "lost", str(desk.serial))
        status, lines = desk.check("--url", gate.url(OPEN_SITE), "--pin-file", gate.root / "pin")
    assert status == 1
    assert "the gate does not let it in" in lines["certificate"]["says"]
    assert f"pivgate key show {desk.serial}" in lines["certificate"]["remedy"]
    assert lines["handshake"]["good"] is False


def test_a_certificate_that_the_registry_does_not_know(desk: Desk, other_gate: Stage) -> None:
    status, lines = desk.check(pivgate_home=other_gate.home.root)
    assert status == 1
    assert lines["certificate"]["good"] is False
    assert lines["certificate"]["remedy"]


def test_a_browser_that_lacks_something_is_named(desk: Desk) -> None:
    assert desk.browser("undo", "--yes").returncode == 0
    status, lines = desk.check()
    assert status == 1
    for what in ("Firefox, default", "Chromium, shared database"):
        assert "lacks the module" in lines[what]["says"]
        assert lines[what]["remedy"] == "Run `pivgate browser setup`."
    assert "Caddy Local Authority" in lines["Firefox, default"]["says"]


def test_a_module_that_does_not_see_the_key(desk: Desk) -> None:
    status, lines = desk.check("--module", "/usr/lib/softhsm/libsofthsm2.so")
    assert status == 1
    assert "does not show the certificate" in lines["PKCS#11 module"]["says"]
    assert "Pull the key out" in lines["PKCS#11 module"]["remedy"]


def test_a_wrong_pin_is_told_and_only_one_is_tried(desk: Desk) -> None:
    wrong = put(desk.home / "pin", "999999")
    tried = desk.table.pins()
    status, lines = desk.check("--url", desk.gate.url(OPEN_SITE), "--pin-file", wrong)
    assert status == 1
    assert "PIN" in lines["handshake"]["says"]
    assert desk.table.pins() == tried + 1


def test_two_keys_are_not_guessed_between(gate: Stage, tmp_path: Path) -> None:
    with card_table(new_key(serial=new_serial()), new_key(serial=new_serial())) as table:
        status, lines = Desk(tmp_path / "home", table, gate, 0, "").check()
    assert status == 1
    assert "There are 2 YubiKeys" in lines["key"]["says"]


def test_the_issuer_for_chromium_s_policy_is_the_home_s_or_read_from_the_key(
    desk: Desk, tmp_path: Path
) -> None:
    words = ("setup", "--system", "--browser", "chromium", "--dry-run")
    expected = '{\\"ISSUER\\":{\\"CN\\":\\"Example authority\\"}}'
    done = desk.browser(*words)
    assert done.returncode == 0, done
    assert expected in done.stdout
    assert f"https://{OPEN_SITE}" in done.stdout
    tried = desk.table.pins()
    done = desk.browser(*words, "--site", "mysite.com", pivgate_home=tmp_path / "no-home")
    assert done.returncode == 0, done
    assert expected in done.stdout
    assert "https://mysite.com" in done.stdout
    assert desk.table.pins() == tried
    assert OPENSC.exists()
    assert not os.path.lexists("/etc/chromium/policies")
