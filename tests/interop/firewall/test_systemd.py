# SPDX-License-Identifier: Apache-2.0
"""A real systemd loads the rules, and loads them again whenever the distribution's service flushes them."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.firewall.lab import Box, run

from pivgate.firewall.boot import Places

pytestmark = pytest.mark.interop

SCRIPT = Path(__file__).with_name("systemd.sh")
FLUSHES = Path("/lib/systemd/system/nftables.service")
# A systemd that is not the machine's own cannot do these; another test tries what they leave.
SANDBOX = ("CapabilityBoundingSet=", "NoNewPrivileges=", "ProtectHome=", "ProtectSystem=")
OURS = "pivgate-firewall.service"
GONE = """
mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
find "/sys/fs/cgroup/$0" -depth -type d -exec rmdir {} +
"""


@pytest.fixture
def applied(upstream: Box) -> Box:
    """A machine with the rules applied, whose own rules flush everything when they are loaded."""
    (upstream.root / "etc" / "nftables.conf").write_text("flush ruleset\ntable inet filter {\n}\n")
    upstream.good("firewall", "apply", "--port", "8000", "--gate", "10.77.0.2")
    return upstream


@pytest.fixture
def group(upstream: Box) -> Iterator[str]:
    """The name of a control group, which is removed afterwards."""
    name = f"pg{secrets.token_hex(4)}"
    yield name
    upstream.run("sh", "-ec", GONE, name)


def said(box: Box, group: str, *commands: str) -> list[str]:
    """Run commands under a systemd; return what was found after each."""
    units = box.root / "units"
    shutil.copytree(Places(box.root).units, units, symlinks=True)
    shutil.copy(FLUSHES, units)
    for unit in (units / OURS, units / FLUSHES.name):
        if unit.exists():
            lines = [line for line in unit.read_text().splitlines() if not line.startswith(SANDBOX)]
            unit.write_text("\n".join(lines))
    script = "".join(f"{command}\n" for command in commands)
    printed = box.run("sh", SCRIPT, box.root, group, given=script)
    return [line.rpartition(": ")[2] for line in printed.splitlines() if line.startswith(commands)]


def test_the_rules_come_back_whatever_flushes_them(applied: Box, group: str) -> None:
    assert said(
        applied,
        group,
        "nft flush ruleset",
        f"systemctl --user start {OURS}",
        "systemctl --user start nftables",
        "systemctl --user reload nftables",
        "systemctl --user restart nftables",
        "systemctl --user stop nftables",
        "nft flush ruleset",
        "systemctl --user start nftables",
        "nft flush ruleset",
        f"systemctl --user reload {OURS}",
        f"systemctl --user stop {OURS}",
    ) == ["open", *["closed"] * 5, "open", "closed", "open", "closed", "closed"]


def test_after_the_undo_nothing_loads_them(applied: Box, group: str) -> None:
    applied.good("firewall", "undo", "--yes")
    commands = [f"systemctl --user {verb} nftables" for verb in ("start", "reload", "restart", "stop")]
    assert said(applied, group, *commands) == ["open"] * 4


def test_the_one_capability_of_the_unit_is_enough(applied: Box) -> None:
    assert "\nCapabilityBoundingSet=CAP_NET_ADMIN\n" in Places(applied.root).unit.read_text()
    rules = applied.ruleset()
    applied.run("nft", "flush", "ruleset")
    few = ("setpriv", "--bounding-set=-all,+net_admin", "--no-new-privs")
    applied.run(*few, "nft", "-f", "/etc/pivgate-firewall/rules.nft")
    assert applied.ruleset() == rules


def test_systemd_is_told_of_new_units_where_it_runs(upstream: Box) -> None:
    (upstream.root / "run" / "systemd" / "system").mkdir(parents=True)
    told = upstream.root / "told"
    systemctl = upstream.root / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\nls /etc/systemd/system/{OURS} >> {told} 2>&1; echo "$@" >> {told}\n')
    systemctl.chmod(0o755)
    path = f"{systemctl.parent}:/usr/bin:/bin"
    for words in (("apply", "--port", "8000", "--gate", "10.77.0.2"), ("undo", "--yes")):
        assert upstream.pivgate("firewall", *words, PATH=path).returncode == 0
    there, reload, gone, again = told.read_text().splitlines()
    assert (there, reload, again) == (f"/etc/systemd/system/{OURS}", "daemon-reload", "daemon-reload")
    assert "No such file" in gone


def test_a_systemd_that_does_not_listen_is_told_of_and_the_way_is_closed(upstream: Box) -> None:
    (upstream.root / "run" / "systemd" / "system").mkdir(parents=True)
    words = ("firewall", "apply", "--port", "8000", "--gate", "10.77.0.2")
    done = upstream.pivgate(*words)
    assert done.returncode == 1
    assert "systemctl daemon-reload" in done.stderr
    assert "th dport @ports drop" in upstream.ruleset()
    done = upstream.pivgate("firewall", "undo", "--yes")
    assert done.returncode == 1
    assert upstream.ruleset() == ""
    (upstream.root / "run" / "systemd" / "system").rmdir()
    upstream.good("firewall", "undo", "--yes")
    assert not Places(upstream.root).folder.exists()


def test_systemd_finds_no_fault_in_the_unit(applied: Box) -> None:
    judged = run("systemd-analyze", "verify", "--man=no", Places(applied.root).unit)
    assert OURS not in judged.stdout + judged.stderr
    # Enabling it once more finds nothing to do: the link is the one that systemctl makes.
    enabled = run("systemctl", "enable", f"--root={applied.root}", OURS)
    assert "Created" not in enabled.stdout + enabled.stderr
    assert run("systemctl", "is-enabled", f"--root={applied.root}", OURS).stdout.strip() == "enabled"
