# SPDX-License-Identifier: Apache-2.0
"""Applying a Caddyfile with a real Caddy: it is proved before it counts, or not taken at all."""

import json
import socket

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client, anonymous
from tests.interop.gate.standing_gate import StandingGate

from pivgate.errors import GateError, HomeError, OpenGateError, PivgateError, StorageError
from pivgate.gate import caddy
from pivgate.gate import probe as probing
from pivgate.gate.access import NO_CERTIFICATE
from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import apply, apply_edit, check, prepare, up
from pivgate.gate.caddy import find_caddy
from pivgate.gate.caddyfile import CaddyfileError
from pivgate.gate.knock import Outcome
from pivgate.gate.process import running
from pivgate.gate.status import read_status

pytestmark = pytest.mark.interop


def test_up_serves_what_was_proved(place: Place, alice: Client) -> None:
    applied = up(place.home)

    assert applied.started
    assert applied.pid == place.running().pid
    assert [(site.host, site.groups) for site in applied.sites] == [
        ("a.test", ("admins",)),
        ("b.test", ("editors",)),
    ]
    assert {
        (result.attempt, result.outcome) for result in applied.probes if result.site.startswith("a.")
    } == {
        ("no certificate", Outcome.HANDSHAKE),
        ("a foreign authority's certificate", Outcome.HANDSHAKE),
        ("an expired certificate", Outcome.HANDSHAKE),
        ("a revoked certificate", Outcome.FORBIDDEN),
        ("a revoked certificate, HTTP/2", Outcome.FORBIDDEN),
        ("no encryption", Outcome.WANTS_TLS),
        ("a handshake for another site behind the gate", Outcome.MISDIRECTED),
        ("a handshake for an unknown name", Outcome.HANDSHAKE),
        ("a handshake for no name", Outcome.HANDSHAKE),
    }
    assert place.ask(alice, "a") == "200 welcome to a"
    assert place.ask(alice, "b").startswith("403")
    status = read_status(place.home, {("admins", alice.fingerprint)})
    assert status.is_sound
    assert not status.pending
    json.dumps(status.as_dict())


def test_a_second_up_keeps_the_process_and_takes_the_new_caddyfile(place: Place, alice: Client) -> None:
    first = up(place.home)
    place.write(place.gated("a"), place.gated("c"))
    assert read_status(place.home, ()).pending

    second = up(place.home)

    assert (second.started, second.pid) == (False, first.pid)
    assert place.ask(alice, "c") == "200 welcome to c"
    assert not read_status(place.home, ()).pending


def test_apply_without_a_running_gate_starts_none_but_audits(place: Place) -> None:
    applied = apply(place.home)

    assert (applied.pid, applied.probes, len(applied.sites)) == (None, (), 2)
    assert running(place.home) is None
    place.write("\nhttp://a.test {\n\timport pivgate admins {\n\t\trespond x\n\t}\n}\n")
    with pytest.raises(GateError):
        apply(place.home)


def test_a_site_without_a_gate_may_stand_beside(place: Place) -> None:
    place.write(place.gated("a"), "\nopen.test {\n\ttls internal\n\trespond hello\n}\n")

    applied = up(place.home)

    assert ("a handshake for a site without a gate", Outcome.MISDIRECTED) in {
        (result.attempt, result.outcome) for result in applied.probes
    }


def test_what_caddy_remarks_is_handed_on(place: Place) -> None:
    place.write(place.gated("a"), "\nopen.test {\n  tls internal\n}\n")

    assert any("not formatted" in warning for warning in up(place.home).warnings)


@pytest.mark.parametrize(
    ("block", "raised", "complaint"),
    [
        ("\na.test {\n\tbogus\n}\n", GateError, r"Caddyfile:\d+: unrecognized directive: bogus"),
        ("\na.test {\n\trespond x\n", CaddyfileError, r"Caddyfile, line \d+: the { is never closed"),
        (
            "\na.test {\n\treverse_proxy {\n\t\tbogus\n\t}\n}\n",
            GateError,
            r"unrecognized subdirective bogus, at .*Caddyfile:\d+",
        ),
        ("\nimport nowhere\n", GateError, r"File to import not found: nowhere, at .*Caddyfile:\d+"),
    ],
)
def test_a_caddyfile_that_does_not_adapt_is_refused_with_file_and_line(
    place: Place, alice: Client, block: str, raised: type[PivgateError], complaint: str
) -> None:
    up(place.home)
    place.write(block)

    with pytest.raises(raised, match=complaint):
        up(place.home)

    assert place.ask(alice, "a") == "200 welcome to a"


def test_an_empty_caddyfile_is_refused(place: Place) -> None:
    place.home.caddyfile.write_text("")

    with pytest.raises(GateError, match="it is empty"):
        up(place.home)


def test_a_caddyfile_in_another_encoding_is_refused(place: Place) -> None:
    place.home.caddyfile.write_bytes(b"# \xff\n")

    with pytest.raises(GateError, match="not UTF-8 at byte 2"):
        up(place.home)


def test_a_missing_caddyfile_is_a_home_error(place: Place) -> None:
    place.home.caddyfile.unlink()

    with pytest.raises(HomeError, match="no Caddyfile"):
        up(place.home)


def test_what_the_audit_refuses_is_not_started(place: Place) -> None:
    place.write(place.gated("a"), f"\nhttp://a.test:{place.other_port} {{\n\trespond open\n}}\n")

    with pytest.raises(GateError):
        up(place.home)

    assert running(place.home) is None
    assert not place.is_listening(place.port)


def test_a_server_that_never_answers_proves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivgate.gate.knock._TIMEOUT", 0.1)
    prepared = prepare(place.home, find_caddy())
    with socket.create_server(("127.0.0.1", place.port)):
        results = probing.probe(prepared.config, prepared.sites[:1], place.home.probes)

    assert {result.outcome for result in results} == {Outcome.UNREACHABLE}
    with pytest.raises(GateError, match=r"could not be proved .*; and \d+ more"):
        probing.raise_if_open(results)


def test_a_site_whose_certificate_is_not_there_yet_keeps_everybody_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_CERTIFICATE_PATIENCE", 0.2)
    place.write(
        "\na.test {\n\timport pivgate-tls admins {\n\t\ttls {\n\t\t\tissuer acme {\n"
        "\t\t\t\tdir https://127.0.0.1:1/nobody\n\t\t\t}\n\t\t}\n\t\tsite {\n\t\t\trespond x\n\t\t}\n\t}\n}\n"
    )

    applied = up(place.home)

    assert Outcome.NOT_READY in {result.outcome for result in applied.probes}
    assert all(result.outcome.keeps_out for result in applied.probes)


def test_a_refused_edit_leaves_the_caddyfile_as_it_was(place: Place, alice: Client) -> None:
    before = place.write(place.gated("a"))
    up(place.home)

    with pytest.raises(GateError):
        apply_edit(place.home, before + "\nbogus.test {\n\tbogus\n}\n")

    assert place.home.caddyfile.read_text() == before
    assert not read_status(place.home, ()).pending
    applied = apply_edit(place.home, before + place.gated("c"))
    assert len(applied.sites) == 2
    assert place.ask(alice, "c") == "200 welcome to c"


def test_a_port_in_use_is_refused_while_the_old_sites_go_on(place: Place, alice: Client) -> None:
    up(place.home)
    with socket.create_server(("127.0.0.1", place.other_port)):
        place.write(place.gated("a"), f"\nhttp://other.test:{place.other_port} {{\n\trespond x\n}}\n")

        with pytest.raises(GateError, match=f"Port {place.other_port} is already in use by"):
            up(place.home)

    assert place.ask(alice, "a") == "200 welcome to a"


def test_an_address_of_another_machine_is_named(place: Place, alice: Client) -> None:
    up(place.home)
    place.write(place.gated("a"), f"\nhttp://other.test:{place.other_port} {{\n\tbind 192.0.2.1\n}}\n")

    with pytest.raises(GateError, match="cannot assign requested address"):
        up(place.home)

    assert place.ask(alice, "a") == "200 welcome to a"


@pytest.mark.parametrize("name", ["expired.pem", "revoked.key", "foreign.pem"])
def test_without_the_certificates_to_try_nothing_is_served(place: Place, name: str) -> None:
    (place.home.probes / name).unlink()

    with pytest.raises(StorageError, match=name.removesuffix(".pem").removesuffix(".key")):
        up(place.home)

    assert running(place.home) is None


def test_check_proves_the_running_gate_and_changes_nothing(place: Place) -> None:
    assert check(place.home).probes == ()
    up(place.home)
    before = AdminApi(place.home.admin_socket).config()

    checked = check(place.home)

    assert len(checked.probes) == len(checked.sites) * 9
    assert all(result.outcome.keeps_out for result in checked.probes)
    assert AdminApi(place.home.admin_socket).config() == before


def test_check_says_when_the_caddyfile_was_not_applied(place: Place) -> None:
    place.write(place.gated("a"))
    up(place.home)
    assert not check(place.home).pending

    place.write(place.gated("a"), place.gated("c"))

    checked = check(place.home)
    assert checked.pending
    assert [site.host for site in checked.sites] == ["a.test"]
    up(place.home)
    assert not check(place.home).pending


def test_check_finds_the_entry_that_admits_everybody(place: Place) -> None:
    up(place.home)
    entry = place.home.access / "everyone" / NO_CERTIFICATE
    entry.parent.mkdir(exist_ok=True)
    entry.touch()

    with pytest.raises(OpenGateError, match="admits everybody"):
        check(place.home)


def test_nobody_without_a_certificate_sees_anything(place: Place) -> None:
    up(place.home)
    gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)

    assert gate.ask(anonymous(), "a.test").status == 0


def test_nothing_is_loaded_into_a_caddy_that_was_started_before_it_was_upgraded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = up(place.home)
    installed = caddy.find_caddy()
    monkeypatch.setattr("pivgate.gate.apply.find_caddy", lambda: installed)
    monkeypatch.setattr(caddy, "OLDEST", (99, 0, 0))
    place.write(place.gated("c"))
    with pytest.raises(caddy.OldCaddyError, match="The gate that runs was started with Caddy 2"):
        up(place.home)
    assert place.running().pid == first.pid
