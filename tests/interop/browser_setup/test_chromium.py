# SPDX-License-Identifier: Apache-2.0
"""A real Chromium says on chrome://policy what it took from the policies of the machine."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.interop.browser_setup.holder import OPENSC, Holder
from tests.interop.browser_setup.own_etc import Machine, own_etc
from tests.interop.browsers.chromium import chromium
from tests.unit.browser.trees import put

from pivgate.browser.chromium_policy import POLICY, entry

pytestmark = pytest.mark.interop

MANAGED = "/etc/chromium/policies/managed"
OURS = [entry("mysite.internal", "Gate CA"), entry("*.app.internal", "Gate CA")]
THEIRS = entry("theirs.internal", "Their CA")

# What chrome://policy shows, which is in shadow trees.
SHOWN = """
(() => {
    const found = [];
    const walk = node => {
        if (node.nodeType === Node.TEXT_NODE) found.push(node.textContent);
        if (node.shadowRoot) walk(node.shadowRoot);
        node.childNodes.forEach(walk);
    };
    walk(document.body);
    return found.join("\\n");
})()
"""


def shown(machine: Machine, home: Path, pictures: Path) -> str:
    """Return the text of chrome://policy."""
    with chromium(home, machine.environment, pictures) as browser:
        browser.open("chrome://policy")
        return str(browser.evaluate(f"new Promise(done => setTimeout(() => done({SHOWN}), 1000))"))


def policy_files(machine: Machine) -> dict[str, Any]:
    names = machine.run("sh", "-c", f"ls {MANAGED} 2>/dev/null || true").split()
    return {name: json.loads(machine.run("cat", f"{MANAGED}/{name}")) for name in names}


def test_chromium_takes_our_list_beside_what_is_in_force_and_after_undo_only_that(
    holder: Holder, tmp_path: Path
) -> None:
    # Of two files the later one is in force; what the first says was never heeded, and must not be now.
    early = put(
        tmp_path / "10-early.json", json.dumps({POLICY: ["never"], "HomepageLocation": "https://h.test"})
    )
    late = put(tmp_path / "20-late.json", json.dumps({POLICY: [THEIRS], "BookmarkBarEnabled": True}))
    words = ("setup", "--system", "--browser", "chromium", "--issuer", "Gate CA")
    with own_etc(holder, tmp_path) as machine:
        machine.run("mkdir", "-p", MANAGED)
        machine.run("cp", str(early), str(late), MANAGED)
        before = machine.run("sha256sum", f"{MANAGED}/10-early.json", f"{MANAGED}/20-late.json")
        machine.pivgate(*words, "--site", "mysite.internal", "--site", "*.app.internal")
        assert policy_files(machine)["20-late.json"][POLICY] == [THEIRS, *OURS]
        text = shown(machine, holder.home, tmp_path)
        for each in ("mysite.internal", "[*.]app.internal", "theirs.internal", "HomepageLocation"):
            assert each in text
        in_force, _, overridden = text.partition("Value (conflict)")
        assert "never" not in in_force
        assert "never" in overridden
        assert "nothing to do" in machine.pivgate(*words, "--site", "mysite.internal")
        machine.pivgate("undo", "--system", "--yes")
        assert machine.run("sha256sum", f"{MANAGED}/10-early.json", f"{MANAGED}/20-late.json") == before
        assert machine.run("ls", MANAGED) == "10-early.json\n20-late.json\n"


def test_without_policies_a_file_of_ours_is_made_and_goes_with_its_folders(
    holder: Holder, tmp_path: Path
) -> None:
    with own_etc(holder, tmp_path) as machine:
        before = machine.run("find", "/etc/chromium", "/var/lib")
        machine.pivgate(
            *("setup", "--system", "--browser", "chromium"),
            *("--issuer", "Gate CA", "--site", "mysite.internal", "--site", "*.app.internal"),
        )
        assert policy_files(machine) == {"pivgate.json": {POLICY: OURS}}
        assert machine.run("stat", "-c", "%a", f"{MANAGED}/pivgate.json", MANAGED) == "644\n755\n"
        assert "mysite.internal" in shown(machine, holder.home, tmp_path)
        machine.pivgate("undo", "--system", "--yes")
        assert machine.run("find", "/etc/chromium", "/var/lib") == before


def test_a_running_chromium_gets_the_module_at_its_next_start(holder: Holder, tmp_path: Path) -> None:
    with chromium(holder.home, holder.environment, tmp_path):
        # A person's Chromium has its folder elsewhere than a test's.
        lock = holder.home / ".config" / "chromium" / "SingletonLock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.symlink_to((holder.home / "data" / "SingletonLock").readlink())
        put(holder.home / ".pki/nssdb/pkcs11.txt", "")
        assert "from the next start on" in holder.good("setup", "--browser", "chromium")
        assert str(OPENSC) in (holder.nssdb / "pkcs11.txt").read_text()
        done = holder.pivgate("undo", "--yes")
        assert done.returncode == 9
        assert "Close Chromium" in done.stderr
    assert "undone" in holder.good("undo", "--yes")
    assert (holder.nssdb / "pkcs11.txt").read_text() == ""
