# SPDX-License-Identifier: Apache-2.0
"""``pivgate firewall check``: it tries every way from where it runs, and names what is open."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.interop.firewall.conftest import CLOSED, Street
from tests.interop.firewall.docker_shape import PUBLISHED, container, publish
from tests.interop.firewall.lab import PIVGATE, Box

pytestmark = pytest.mark.interop

NOBODY = 65534


def found(box: Box, *upstreams: str, home: Path | None = None, user: int = 0) -> tuple[int, dict[str, str]]:
    """Check, and return the exit status with what was found for each address."""
    place = ("--home", home) if home else ()
    done = box.pivgate(*place, "firewall", "check", *upstreams, "--json", user=user)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert bool(done.returncode) == any(row["open"] for row in rows)
    assert all(row["remedy"] for row in rows if row["open"])
    if done.returncode:
        assert "around the gate: " in done.stderr
    return done.returncode, {row["address"]: row["outcome"] for row in rows}


def named(box: Box, port: int = 8000) -> tuple[str, str]:
    return f"{box.four}:{port}", f"[{box.six}]:{port}"


def test_a_stranger_finds_it_open_then_closed(street: Street, gates: tuple[str, ...]) -> None:
    four, six = named(street.upstream)
    assert found(street.stranger, four, six) == (1, {four: "open", six: "open"})
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert found(street.stranger, four, six) == (0, {four: "silent", six: "silent"})
    street.upstream.good("firewall", "undo", "--yes")
    assert found(street.stranger, four, six) == (1, {four: "open", six: "open"})


def test_a_name_is_tried_by_all_its_addresses(street: Street) -> None:
    four, six = named(street.upstream)
    hosts = street.stranger.root / "etc" / "hosts"
    hosts.write_text(f"{street.upstream.four} app.internal\n{street.upstream.six} app.internal\n")
    assert found(street.stranger, "app.internal:8000") == (1, {four: "open", six: "open"})
    assert found(street.stranger, "nowhere.internal:8000") == (1, {"-": "unknown"})


def test_the_upstreams_own_machine_tries_all_its_addresses(street: Street, gates: tuple[str, ...]) -> None:
    four, six = named(street.upstream)
    ways = ("127.0.0.1:8000", "[::1]:8000", four, six, "[::]:8000")
    assert found(street.upstream, "127.0.0.1:8000") == (
        1,
        dict(zip(ways, ("local", "local", "open", "open", "open"), strict=True)),
    )
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert found(street.upstream, "localhost:8000") == (
        0,
        dict(zip(ways, ("local", "local", "guarded", "guarded", "guarded"), strict=True)),
    )
    # Others than root cannot see the rules, and are not told that all is well.
    assert found(street.upstream, "127.0.0.1:8000", user=NOBODY) == (
        1,
        dict(zip(ways, ("local", "local", "unknown", "unknown", "unknown"), strict=True)),
    )


def test_root_in_a_container_may_not_see_the_rules_and_goes_on(
    street: Street, gates: tuple[str, ...]
) -> None:
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    words = ("setpriv", "--bounding-set=-net_admin", PIVGATE, "firewall", "check", "--json")
    rows = json.loads(street.upstream.run(*words, "127.0.0.1:8000", good=False))
    assert {row["address"]: row["outcome"] for row in rows}[named(street.upstream)[0]] == "unknown"
    (row,) = json.loads(street.stranger.run(*words, f"{street.upstream.four}:8000"))
    assert row["outcome"] == "silent"


def test_what_listens_on_loopback_alone_is_in_order(upstream: Box) -> None:
    upstream.serve(8000, "127.0.0.1")
    four, six = named(upstream)
    expected = {"127.0.0.1:8000": "local", "[::1]:8000": "closed", four: "closed", six: "closed"}
    assert found(upstream, "127.0.0.1:8000") == (0, expected)


def test_a_published_port_is_found_without_any_listener(street: Street, gates: tuple[str, ...]) -> None:
    container(street.lab, street.upstream)
    publish(street.upstream, "iptables")
    four, six = named(street.upstream, PUBLISHED)
    status, ways = found(street.upstream, f"127.0.0.1:{PUBLISHED}")
    assert (status, ways[four], ways[six]) == (1, "open", "open")
    street.upstream.good("firewall", "apply", "--port", str(PUBLISHED), *gates)
    status, ways = found(street.upstream, f"127.0.0.1:{PUBLISHED}")
    assert (status, ways[four], ways[six]) == (0, "guarded", "guarded")


@pytest.mark.parametrize(
    "tampering",
    [
        "flush chain inet pivgate input",
        "add element inet pivgate gates4 { 10.77.0.3 }",
        "insert rule inet pivgate input accept",
        "delete table inet pivgate",
        "add chain inet pivgate input { policy drop; }",
    ],
)
def test_rules_that_were_changed_by_hand_do_not_count(
    street: Street, gates: tuple[str, ...], tampering: str
) -> None:
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert found(street.upstream, "127.0.0.1:8000")[0] == 0
    street.upstream.run("nft", tampering)
    status, ways = found(street.upstream, "127.0.0.1:8000")
    assert (status, ways[named(street.upstream)[0]]) == (1, "open")
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert found(street.upstream, "127.0.0.1:8000")[0] == 0


def test_rules_that_the_next_boot_would_not_load_do_not_count(street: Street, gates: tuple[str, ...]) -> None:
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    street.upstream.run("systemctl", "disable", "--root=/", "pivgate-firewall.service")
    said = street.upstream.pivgate("firewall", "check", "127.0.0.1:8000")
    assert said.returncode == 1
    assert "Apply them again" in said.stderr


def test_a_port_that_the_rules_do_not_name_is_open(street: Street, gates: tuple[str, ...]) -> None:
    street.upstream.serve(8001)
    street.upstream.good("firewall", "apply", "--port", "8000", *gates)
    assert found(street.upstream, "127.0.0.1:8001")[0] == 1


def test_where_nobody_answers(street: Street) -> None:
    assert found(street.stranger, "10.77.0.99:8000", "192.0.2.1:80", f"{street.upstream.four}:9") == (
        0,
        {"10.77.0.99:8000": "silent", "192.0.2.1:80": "silent", f"{street.upstream.four}:9": "closed"},
    )


@pytest.mark.parametrize("text", ["app.internal", "10.77.0.1:0", "{$UPSTREAM}", "10.77.0.1:8000/path", ""])
def test_what_is_no_upstream_is_refused(upstream: Box, text: str) -> None:
    done = upstream.pivgate("firewall", "check", text)
    assert done.returncode == 2
    assert "What to do: " in done.stderr


# --- With a home -----------------------------------------------------------------------------------


@pytest.fixture
def home(street: Street) -> Path:
    """A home on the gate's machine, whose sites go to the upstream, to this machine, and to a socket."""
    path = street.gate.root / "home"
    secret = street.gate.root / "secret"
    secret.write_text("correct horse battery staple")
    street.gate.good("--home", path, "init", "--passphrase-file", secret, "--https-port", "8443")
    hosts = street.gate.root / "etc" / "hosts"
    names = [f"{street.upstream.four} app.internal", f"{street.upstream.six} app.internal"]
    hosts.write_text("\n".join([*names, "127.0.0.1 localhost", ""]))
    for site, upstream in (
        ("one.test", "app.internal:8000"),
        ("two.test", "127.0.0.1:8001"),
        ("three.test", "unix//run/app.sock"),
    ):
        street.gate.good("--home", path, "site", "add", site, upstream)
    return path


def test_the_gate_checks_its_sites(street: Street, home: Path) -> None:
    street.gate.serve(8001)
    four, six = named(street.gate, 8001)
    expected = {
        "-": "closed",
        **dict.fromkeys(named(street.upstream), "gate"),
        "127.0.0.1:8001": "local",
        "[::1]:8001": "local",
        four: "open",
        six: "open",
        "[::]:8001": "open",
    }
    assert found(street.gate, home=home) == (1, expected)
    said = street.gate.pivgate("--home", home, "firewall", "check")
    assert f"pivgate firewall check {street.upstream.four}:8000" in said.stderr


def test_the_gate_closes_its_own_upstream_and_says_what_to_do_elsewhere(street: Street, home: Path) -> None:
    street.gate.serve(8001)
    before = street.gate.ruleset()
    said = street.gate.good("--home", home, "firewall", "apply")
    elsewhere = f"pivgate firewall apply --gate {street.gate.four} --gate {street.gate.six} --port 8000"
    assert elsewhere in said
    assert found(street.gate, home=home)[0] == 0
    assert [street.stranger.reaches(each, 8001) for each in (street.gate.four, street.gate.six)] == [
        False
    ] * 2
    assert street.gate.reaches("127.0.0.1", 8001)
    assert street.gate.reaches(street.upstream.four, 8000)
    # What it says works there as it stands.
    street.upstream.good(*elsewhere.split()[1:])
    assert street.seen() == CLOSED
    street.gate.good("firewall", "undo", "--yes")
    assert street.gate.ruleset() == before


def test_a_site_on_the_upstreams_own_port_is_not_shut_out(street: Street, home: Path) -> None:
    street.gate.good("--home", home, "site", "add", "four.test", "127.0.0.1:8443")
    done = street.gate.pivgate("--home", home, "firewall", "apply")
    assert done.returncode == 2
    assert "The gate itself serves on port 8443" in done.stderr
    assert "pivgate" not in street.gate.ruleset()


def test_an_upstream_that_only_caddy_can_follow(street: Street, home: Path) -> None:
    caddyfile = home / "gate" / "Caddyfile"
    caddyfile.write_text(caddyfile.read_text().replace("app.internal:8000", "{http.request.host}:8000"))
    done = street.gate.pivgate("--home", home, "firewall", "apply")
    assert done.returncode == 2
    assert "cannot be followed" in done.stderr
    assert found(street.gate, home=home)[0] == 1
