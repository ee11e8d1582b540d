# SPDX-License-Identifier: Apache-2.0
"""``pivgate browser`` as a person types it: what it refuses, what it takes by itself, and what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Machine, Result, refused
from tests.interop.browser_setup.holder import OPENSC, authority, modules, new_database, trusted
from tests.unit.browser.trees import put, tree

pytestmark = pytest.mark.interop


def browser(machine: Machine, *arguments: str | Path, **variables: str) -> Result:
    """Run ``pivgate browser`` with a home folder of the test's own."""
    (machine.root / "holder").mkdir(exist_ok=True)
    unset = {name: "" for name in os.environ if name.startswith("XDG_")}
    return machine.run(
        "browser", *arguments, environment={**unset, "HOME": str(machine.root / "holder"), **variables}
    )


def profile(machine: Machine) -> Path:
    new_database(machine.root / "profile")
    return machine.root / "profile"


def test_options_that_do_not_go_together_are_refused_before_anything_is_done(machine: Machine) -> None:
    folder = profile(machine)
    before = tree(machine.root)
    refused(browser(machine, "setup", "--system", "--profile", folder), 2, "--system is for every profile")
    refused(browser(machine, "setup", "--site", "a.test"), 2, "only by a policy of the machine", "sudo")
    refused(browser(machine, "setup", "--issuer", "CA"), 2, "only by a policy of the machine", "sudo")
    after = {name: what for name, what in tree(machine.root).items() if not name.startswith("holder")}
    assert after == before


def test_what_is_not_there_is_named(machine: Machine) -> None:
    folder = profile(machine)
    refused(browser(machine, "setup", "--profile", machine.root / "nowhere"), 2, "There is no folder")
    refused(
        browser(machine, "setup", "--profile", folder, "--module", machine.root / "no.so"),
        2,
        "There is no module",
        "apt install opensc-pkcs11",
    )
    assert browser(machine, "setup", "--browser", "safari").status == 2


def test_chromium_s_policy_needs_sites_and_an_issuer(machine: Machine) -> None:
    words = ("setup", "--system", "--browser", "chromium", "--dry-run")
    refused(browser(machine, *words), 2, "For which sites", "--site")
    result = browser(machine, *words, "--site", "a.test", PCSCLITE_CSOCK_NAME="/nonexistent")
    refused(result, 5, "YubiKey")
    result = browser(machine, *words, "--site", "a.test", "--issuer", 'The "CA"', "--json")
    assert result.status == 0
    assert result.json()[0]["files"] == ["/etc/chromium/policies/managed/pivgate.json"]
    assert not Path("/etc/chromium/policies").exists()


@pytest.mark.parametrize("words", [("setup", "--system", "--browser", "firefox"), ("undo", "--system")])
def test_somebody_without_rights_is_told_to_use_sudo(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [
            *("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"),
            *(sys.executable, "-m", "pivgate", "browser", *words),
        ],
        env={**os.environ, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    refused(Result(done.returncode, done.stdout, done.stderr), 2, "root's to write", "sudo")


def test_somebody_else_s_profile_is_left_to_them(machine: Machine) -> None:
    folder = profile(machine)
    os.chown(folder, 65534, 65534)
    before = tree(folder)
    refused(browser(machine, "setup", "--profile", folder), 2, "belongs to another user", "sudo -u '#65534'")
    assert tree(folder) == before


def test_the_home_s_internal_authority_is_taken_where_its_sites_use_it(founded: Machine) -> None:
    folder = profile(founded)
    founded.good("site", "add", "app.localhost", "127.0.0.1:8000")
    refused(browser(founded, "setup", "--profile", folder), 3, "is not made yet", "pivgate up")
    founded.good("up")
    assert browser(founded, "setup", "--profile", folder).status == 0
    [nickname] = trusted(folder)
    assert nickname.startswith("Caddy Local Authority")
    words = ("setup", "--system", "--browser", "chromium", "--dry-run")
    shown = browser(founded, *words).out
    assert "https://app.localhost" in shown
    assert "ISSUER" in shown


def test_a_home_whose_sites_have_public_certificates_brings_no_authority(founded: Machine) -> None:
    folder = profile(founded)
    founded.good("site", "add", "mysite.com", "127.0.0.1:8000")
    assert browser(founded, "setup", "--profile", folder).status == 0
    assert trusted(folder) == {}
    assert str(OPENSC) in modules(folder)


def test_undo_wants_a_word_or_yes_and_nothing_to_undo_is_said(machine: Machine) -> None:
    folder = profile(machine)
    assert "Nothing is set up." in browser(machine, "undo").err
    assert browser(machine, "setup", "--profile", folder).status == 0
    refused(browser(machine, "undo"), 2, "nobody to ask", "--yes")
    assert str(OPENSC) in modules(folder)
    result = browser(machine, "undo", "--yes", "--json")
    assert [row["outcome"] for row in result.json()] == ["undone"]
    assert str(OPENSC) not in modules(folder)


def test_a_profile_that_was_deleted_since_is_undone_without_fuss(machine: Machine) -> None:
    folder = machine.root / "holder" / "profile"
    new_database(folder)
    assert browser(machine, "setup", "--profile", folder).status == 0
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert browser(machine, "undo", "--yes").status == 0
    assert not folder.exists()
    assert not (machine.root / "holder/.local").exists()


def test_json_tells_which_files_and_a_module_of_one_s_own_is_taken(machine: Machine) -> None:
    folder = profile(machine)
    library = "/usr/lib/x86_64-linux-gnu/libykcs11.so"
    result = browser(
        machine,
        "setup",
        "--profile",
        folder,
        "--module",
        library,
        "--authority",
        authority(machine.root),
        "--json",
    )
    [row] = result.json()
    assert row["outcome"] == "set up"
    assert row["files"] == [str(folder / name) for name in ("cert9.db", "key4.db", "pkcs11.txt")]
    assert library in modules(folder)


def test_a_flatpak_that_can_load_nothing_is_named_with_the_remedy_and_left_alone(machine: Machine) -> None:
    root = machine.root / "holder/.var/app/org.mozilla.firefox/.mozilla/firefox"
    new_database(root / "p")
    put(root / "profiles.ini", "[Profile0]\nName=default\nPath=p\n")
    before = tree(root)
    result = browser(machine, "setup", "--browser", "firefox")
    assert result.status == 0
    assert "cannot load the module" in result.out
    assert "the sandbox of the flatpak org.mozilla.firefox hides" in result.err
    assert "your distribution's packages" in result.err
    assert tree(root) == before
    lines = json.loads(browser(machine, "check", "--json").out)
    [line] = [line for line in lines if line["what"] == "Firefox, default (flatpak)"]
    assert line["good"] is False


@pytest.mark.parametrize(
    ("platform", "words"),
    [("darwin", ("CryptoTokenKit", "Keychain Access")), ("win32", ("Minidriver", "osclientcerts"))],
)
def test_other_systems_get_steps_with_their_date(
    platform: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from pivgate.cli.commands import pivgate

    monkeypatch.setattr("pivgate.cli.browser_setup.sys.platform", platform)
    shown = CliRunner().invoke(pivgate, ["browser", "setup"])
    assert shown.exit_code == 0
    for word in (*words, "November 2026", "https://", "Firefox"):
        assert word in shown.output
    rows = json.loads(CliRunner().invoke(pivgate, ["browser", "setup", "--json"]).output)
    assert all(row["steps"] and row["source"] for row in rows)
    checked = CliRunner().invoke(
        pivgate, ["browser", "check", "--json"], env={"PCSCLITE_CSOCK_NAME": "/nonexistent"}
    )
    assert {
        key: value for key, value in json.loads(checked.output)[-2].items() if key in ("what", "good")
    } == {"what": "browsers", "good": None}
