# SPDX-License-Identifier: Apache-2.0
"""A real Firefox reads what we wrote: from its profile, and from the policies of the machine."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.interop.browser_setup.holder import OPENSC, Holder, authority, modules
from tests.interop.browser_setup.own_etc import own_etc
from tests.interop.browsers.firefox import firefox, write_preferences
from tests.unit.browser.trees import put

from pivgate.browser.marionette import Marionette

pytestmark = pytest.mark.interop

DATABASE = ("cert9.db", "key4.db", "pkcs11.txt")

MODULES = """
const database = Cc["@mozilla.org/security/pkcs11moduledb;1"].getService(Ci.nsIPKCS11ModuleDB);
return [...await database.listModules()].map(module => module.libName ?? "");
"""
TRUSTED = """
const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
return database.getCerts().filter(each => each.commonName == arguments[0]
    && database.isCertTrusted(each, Ci.nsIX509Cert.CA_CERT, Ci.nsIX509CertDB.TRUSTED_SSL)).length;
"""


def ask(marionette: Marionette, script: str, *arguments: Any) -> Any:
    """Run a script inside Firefox itself; it may await."""
    return marionette.chrome(f"return (async () => {{ {script} }})()", *arguments)


def contents(profile: Path) -> dict[str, bytes | None]:
    return {name: (profile / name).read_bytes() if (profile / name).exists() else None for name in DATABASE}


@pytest.mark.parametrize("start", ["used", "fresh"])
def test_firefox_has_module_and_authority_and_after_undo_its_database_is_as_it_was(
    holder: Holder, tmp_path: Path, start: str
) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    write_preferences(profile)
    if start == "used":
        with firefox(profile, holder.environment, tmp_path):
            pass
    before = contents(profile)
    assert (before["cert9.db"] is not None) is (start == "used")
    holder.good("setup", "--profile", profile, "--authority", authority(tmp_path, "Gate CA"))
    with firefox(profile, holder.environment, tmp_path) as browser:
        assert str(OPENSC) in ask(browser.marionette, MODULES)
        assert ask(browser.marionette, TRUSTED, "Gate CA") == 1
    assert "undone" in holder.good("undo", "--yes")
    assert contents(profile) == before
    with firefox(profile, holder.environment, tmp_path) as browser:
        assert str(OPENSC) not in ask(browser.marionette, MODULES)
        assert ask(browser.marionette, TRUSTED, "Gate CA") == 0


def test_a_running_firefox_gets_the_module_at_its_next_start_and_the_authority_when_it_is_closed(
    holder: Holder, tmp_path: Path
) -> None:
    profile, ca = tmp_path / "profile", authority(tmp_path, "Gate CA")
    profile.mkdir()
    write_preferences(profile)
    with firefox(profile, holder.environment, tmp_path) as browser:
        before = contents(profile)
        assert "from the next start on" in holder.good("setup", "--profile", profile)
        assert contents(profile)["cert9.db"] == before["cert9.db"]
        assert str(OPENSC) not in ask(browser.marionette, MODULES)
        done = holder.pivgate("setup", "--profile", profile, "--authority", ca)
        assert done.returncode == 9
        assert "cannot be added while the browser runs" in done.stderr
        assert "Close Firefox and run the same command again" in done.stderr
        done = holder.pivgate("undo", "--yes")
        assert done.returncode == 9
        assert "Close Firefox" in done.stderr
    assert str(OPENSC) in modules(profile)
    holder.good("setup", "--profile", profile, "--authority", ca)
    with firefox(profile, holder.environment, tmp_path) as browser:
        assert str(OPENSC) in ask(browser.marionette, MODULES)
        assert ask(browser.marionette, TRUSTED, "Gate CA") == 1
    holder.good("undo", "--yes")
    assert contents(profile)["pkcs11.txt"] == before["pkcs11.txt"]


def test_firefox_reads_the_policies_of_the_machine(holder: Holder, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    write_preferences(profile)
    ca = authority(tmp_path, "Gate CA")
    theirs = put(tmp_path / "policies.json", '{"policies": {"DisableSetDesktopBackground": true}}')
    with own_etc(holder, tmp_path) as machine:
        machine.run("mkdir", "-p", "/etc/firefox/policies")
        machine.run("cp", str(theirs), "/etc/firefox/policies/policies.json")
        machine.pivgate("setup", "--system", "--browser", "firefox", "--authority", str(ca))
        with firefox(profile, machine.environment, tmp_path) as browser:
            assert str(OPENSC) in ask(browser.marionette, MODULES)
            assert ask(browser.marionette, TRUSTED, "Gate CA") == 1
            status = ask(
                browser.marionette,
                "return [Services.policies.status, Services.policies.isAllowed('setDesktopBackground')]",
            )
        assert status == [1, False]
        said = machine.pivgate("undo", "--system", "--yes")
        assert "Firefox keeps what the policy gave it" in said
        with firefox(profile, machine.environment, tmp_path) as browser:
            # So it is, and so it is said.
            assert str(OPENSC) in ask(browser.marionette, MODULES)
            assert ask(browser.marionette, TRUSTED, "Gate CA") == 1
        assert machine.run("cat", "/etc/firefox/policies/policies.json") == theirs.read_text()
        assert machine.run("ls", "/etc/firefox/policies") == "policies.json\n"
        assert machine.run("ls", "-A", "/var/lib") == ""
    assert not os.path.lexists("/etc/firefox/policies")
