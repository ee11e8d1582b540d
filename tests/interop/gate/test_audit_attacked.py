# SPDX-License-Identifier: Apache-2.0
"""Every golden Caddyfile in a real Caddy: the holes are real, and what passes the audit holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.gate.audit_attacks import ATTACKS, Strict, opened
from tests.interop.gate.audit_battery import Target, admits_members, fails_everywhere
from tests.interop.gate.audit_bench import Bench, Request, made_bench
from tests.interop.gate.audit_random import random_caddyfile
from tests.interop.gate.audit_talk import talk

from pivgate.gate.audit_file import FileAudit

pytestmark = pytest.mark.interop

AUDIT = Path(__file__).parents[2] / "golden" / "audit"
GOOD = sorted((AUDIT / "good").glob("*.caddy"))
BAD = sorted((AUDIT / "bad").glob("*.caddy"))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with made_bench() as bench:
        yield bench


def test_there_are_enough_of_both_and_an_attack_for_each_hole() -> None:
    assert len(BAD) >= 60
    assert len(GOOD) >= 25
    assert {path.stem for path in BAD} == set(ATTACKS)
    strict = [name for name, attack in ATTACKS.items() if isinstance(attack, Strict)]
    assert len(strict) < len(BAD) / 5, "nearly all are to be shown by a request"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_hole_is_found_on_its_line_and_is_real(path: Path, bench: Bench) -> None:
    text = path.read_text()
    config = bench.adapt(text)
    findings = bench.audit(text, config).findings
    kind = text.splitlines()[0].removeprefix("# finding: ")
    here = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# here")]
    assert [(kind, number) for number in here] == [
        (finding.kind.value, finding.line) for finding in findings if finding.kind.value == kind
    ]
    bench.load(config)
    try:
        ATTACKS[path.stem].succeeds(bench)
    finally:
        if not bench.can_be_told():
            bench.start()


def test_caddy_itself_refuses_a_gate_on_its_plain_port(bench: Bench) -> None:
    """The audit refuses it, too; but no Caddyfile leads there."""
    text = (AUDIT / "good" / "plain.caddy").read_text()
    text = text.replace("skip_install_trust", "http_port 8443").replace(
        "app.example.com", "app.example.com:8443"
    )
    with pytest.raises(AssertionError, match="is HTTP, but attempts to configure TLS"):
        bench.adapt(text)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_passes_holds(path: Path, bench: Bench) -> None:
    text = path.read_text()
    config = bench.adapt(text)
    audited = bench.audit(text, config)
    assert audited.findings == ()
    bench.load(config)
    assert admits_members(bench, _targets(audited))
    fails_everywhere(bench, _targets(audited))


def test_whatever_passes_holds(bench: Bench) -> None:
    """Caddyfiles at random: the audit may refuse them, or they withstand everything."""
    refused, held = 0, 0
    for seed in range(40):
        text = random_caddyfile(seed)
        try:
            config = bench.adapt(text)
            bench.load(config)
        except AssertionError:
            # Caddy does not take all of them.
            continue
        audited = bench.audit(text, config)
        assert all(finding.line for finding in audited.findings), f"{seed}: {audited.findings}"
        if audited.findings:
            refused += 1
        else:
            held += admits_members(bench, _targets(audited), patience=0.2)
            fails_everywhere(bench, _targets(audited))
    assert refused > 10
    assert held > 5


def test_a_connection_from_before_a_reload_is_looked_up_however_long_it_may_live(bench: Bench) -> None:
    """Why `grace_period` is let pass: a member's connection outlives the configuration, but not the entry."""
    bench.load(bench.adapt((AUDIT / "good" / "grace-period.caddy").read_text()))
    alice = Request("alice")
    assert opened(bench.ask_patiently(alice))
    entries = [
        bench.folder / "access" / group / bench.people["alice"].fingerprint
        for group in ("admins", "everyone")
    ]
    with bench.connect(alice) as connection:
        bench.load(bench.adapt((AUDIT / "good" / "plain.caddy").read_text()))
        for entry in entries:
            entry.unlink()
        try:
            assert not opened(talk(connection, alice.host))
        except ConnectionError:
            pass
        finally:
            for entry in entries:
                entry.touch()


def _targets(audited: FileAudit) -> list[Target]:
    members = {"everyone": {"outsider", "alice"}, "admins": {"alice"}}
    targets = []
    for site in audited.gated:
        admitted = set.intersection(*(members[group] for group in site.groups)) if site.groups else {"alice"}
        targets.append(Target(site.host.replace("*", "some"), site.port, frozenset(admitted), gated=True))
    for host in audited.handmade:
        admitted = {"stranger"} if host.startswith("partner") else {"revoked", "outsider", "alice"}
        targets.append(Target(host.replace("*", "some"), 443, frozenset(admitted), gated=False))
    return targets
