# SPDX-License-Identifier: Apache-2.0
"""Applying a Caddyfile with a real Caddy: proved before it counts, taken back when it opens the gate."""

import copy
import json
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Authority, Client, anonymous
from tests.interop.gate.standing_gate import StandingGate

from pivgate.errors import GateError, HomeError, OpenGateError, StorageError
from pivgate.gate import probe as probing
from pivgate.gate.access import NO_CERTIFICATE
from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import Prepared, apply, apply_edit, check, prepare, put_into_force, up
from pivgate.gate.caddy import find_caddy
from pivgate.gate.knock import Outcome
from pivgate.gate.process import Running, running
from pivgate.gate.status import read_status

pytestmark = pytest.mark.interop


def welcome(place: Place, client: Client, host: str) -> str:
    """Ask for a site. A load that fails may still cost a connection that comes just then."""
    gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)
    reply = gate.ask(client.context(), f"{host}.test")
    deadline = time.monotonic() + 5
    while reply.status == 0 and time.monotonic() < deadline:
        reply = gate.ask(client.context(), f"{host}.test")
    return f"{reply.status} {reply.body}".strip()


def current(place: Place) -> Running:
    found = running(place.home)
    assert found is not None
    return found


@pytest.fixture
def alice(place: Place) -> Client:
    client = place.authority.client("alice")
    place.admit("admins", client)
    return client


def test_up_serves_what_was_proved(place: Place, alice: Client) -> None:
    applied = up(place.home)

    assert applied.started
    assert applied.pid == current(place).pid
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
    assert welcome(place, alice, "a") == "200 welcome to a"
    assert welcome(place, alice, "b").startswith("403")
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
    assert welcome(place, alice, "c") == "200 welcome to c"
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
    ("block", "complaint"),
    [
        ("\na.test {\n\tbogus\n}\n", r"Caddyfile:\d+: unrecognized directive: bogus"),
        ("\na.test {\n\trespond x\n", r"Caddyfile:\d+"),
        (
            "\na.test {\n\treverse_proxy {\n\t\tbogus\n\t}\n}\n",
            r"unrecognized subdirective bogus, at .*Caddyfile:\d+",
        ),
        ("\nimport nowhere\n", r"File to import not found: nowhere, at .*Caddyfile:\d+"),
    ],
)
def test_a_caddyfile_that_does_not_adapt_is_refused_with_file_and_line(
    place: Place, alice: Client, block: str, complaint: str
) -> None:
    up(place.home)
    place.write(block)

    with pytest.raises(GateError, match=complaint):
        up(place.home)

    assert welcome(place, alice, "a") == "200 welcome to a"


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


# What follows hands Caddy configurations that the audit would have refused, to see that the probes do too.

Change = Callable[[dict[str, Any], Place], None]


def servers(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["apps"]["http"]["servers"]
    return found


def gated_server(config: dict[str, Any], place: Place) -> dict[str, Any]:
    return next(server for server in servers(config).values() if f":{place.port}" in server["listen"][0])


def respond(status: int, body: str) -> list[dict[str, Any]]:
    return [{"handler": "static_response", "status_code": status, "body": body}]


def ungate(config: dict[str, Any], place: Place, status: int = 200, body: str = "welcome") -> None:
    for route in gated_server(config, place)["routes"]:
        if route["match"] == [{"host": ["a.test"]}]:
            route["handle"] = respond(status, body)


def send_away(config: dict[str, Any], place: Place) -> None:
    """What redirects to the same site on the way from plain HTTP is something else over TLS."""
    ungate(config, place, 302, "")
    for route in gated_server(config, place)["routes"]:
        if route["match"] == [{"host": ["a.test"]}]:
            route["handle"][0]["headers"] = {"Location": ["https://a.test/login"]}


def ask_nobody(config: dict[str, Any], place: Place) -> None:
    for policy in gated_server(config, place)["tls_connection_policies"]:
        policy.pop("client_authentication", None)


def on_another_port(config: dict[str, Any], place: Place) -> None:
    servers(config)["other"] = {
        "listen": [f"127.0.0.1:{place.other_port}"],
        "routes": [{"match": [{"host": ["a.test"]}], "handle": respond(200, "welcome")}],
    }


def on_another_port_in_the_clear(config: dict[str, Any], place: Place) -> None:
    on_another_port(config, place)
    servers(config)["other"]["automatic_https"] = {"disable": True}


def on_another_port_by_wildcard(config: dict[str, Any], place: Place) -> None:
    on_another_port(config, place)
    servers(config)["other"]["routes"][0]["match"] = [{"host": ["*.test"]}]


def gate_without_handshake(config: dict[str, Any], place: Place) -> None:
    """No certificate is asked for and none is looked up."""
    ungate(config, place)
    ask_nobody(config, place)


def tree_of_everybody(config: dict[str, Any], place: Place) -> None:
    """The gate looks for the fingerprint of no certificate, and it is there."""
    ask_nobody(config, place)
    (place.home.access / "admins").mkdir(exist_ok=True)
    (place.home.access / "admins" / NO_CERTIFICATE).touch()


def plain_http(config: dict[str, Any], place: Place) -> None:
    """On its http_port Caddy speaks no TLS, whatever the policies say."""
    config["apps"]["http"]["http_port"] = place.port
    ungate(config, place)


OPENINGS: list[tuple[Change, str]] = [
    (lambda config, place: ungate(config, place), "a.test:.* with a revoked certificate"),
    (
        lambda config, place: ungate(config, place, 403, "forbidden"),
        r"a revoked certificate \(answered 403\)",
    ),
    (lambda config, place: ungate(config, place, 421, "mine"), r"a revoked certificate \(answered 421\)"),
    (send_away, r"a revoked certificate \(answered 302\)"),
    (gate_without_handshake, "a.test:.* with no certificate"),
    (on_another_port, "a.test:.* with no certificate, at 127.0.0.1:"),
    (on_another_port_by_wildcard, "a.test:.* with no certificate, at 127.0.0.1:"),
    (on_another_port_in_the_clear, "must refuse: a.test:.* with no encryption, at 127.0.0.1:"),
    (tree_of_everybody, "a.test:.* with no certificate"),
    (plain_http, "a.test:.* with no encryption"),
]


def opened(prepared: Prepared, place: Place, change: Change) -> Prepared:
    config = copy.deepcopy(prepared.config)
    change(config, place)
    return replace(prepared, config=config)


@pytest.mark.parametrize(("change", "complaint"), OPENINGS)
def test_a_configuration_that_lets_somebody_in_is_taken_back(
    running_place: Place, change: Change, complaint: str
) -> None:
    place = running_place
    alice = place.authority.client("alice")
    place.admit("admins", alice)
    caddy = find_caddy()
    prepared = prepare(place.home, caddy)
    before = AdminApi(place.home.admin_socket).config()

    with pytest.raises(OpenGateError, match=complaint) as caught:
        put_into_force(place.home, current(place), caddy, opened(prepared, place, change))

    (place.home.access / "admins" / NO_CERTIFICATE).unlink(missing_ok=True)
    assert "served before is served again" in caught.value.hint
    assert AdminApi(place.home.admin_socket).config() == before
    assert not place.is_listening(place.other_port)
    assert welcome(place, alice, "a") == "200 welcome to a"
    assert read_status(place.home, ()).proved


def test_with_nothing_to_go_back_to_the_gate_is_stopped(place: Place) -> None:
    up(place.home)
    (place.home.run / "proven.json").unlink()
    caddy = find_caddy()
    prepared = opened(prepare(place.home, caddy), place, on_another_port)

    with pytest.raises(OpenGateError) as caught:
        put_into_force(place.home, current(place), caddy, prepared)

    assert "nothing is served" in caught.value.hint
    assert running(place.home) is None
    assert not place.is_listening(place.port)


def test_when_going_back_does_not_close_it_the_gate_is_stopped(place: Place) -> None:
    up(place.home)
    caddy = find_caddy()
    prepared = opened(prepare(place.home, caddy), place, on_another_port)
    record = place.home.run / "proven.json"
    kept = json.loads(record.read_text())
    gate_without_handshake(kept["config"], place)
    record.write_text(json.dumps(kept))

    with pytest.raises(OpenGateError) as caught:
        put_into_force(place.home, current(place), caddy, prepared)

    assert "Going back failed" in caught.value.hint
    assert running(place.home) is None


def test_an_entry_that_admits_whoever_shows_nothing_stops_the_gate(place: Place) -> None:
    up(place.home)
    (place.home.access / "everyone").mkdir()
    (place.home.access / "everyone" / NO_CERTIFICATE).touch()

    with pytest.raises(OpenGateError, match="admits everybody who shows no certificate"):
        up(place.home)

    assert running(place.home) is None


def test_a_first_start_that_lets_somebody_in_ends(place: Place) -> None:
    """Somebody else's certificate, trusted by mistake: the audit sees a file, not what is in it."""
    shutil.copy(place.home.probes / "expired.pem", place.home.probes / "revoked.pem")
    shutil.copy(place.home.probes / "expired.key", place.home.probes / "revoked.key")
    foreign = Authority(place.home.root)
    shutil.copy(foreign.pem, place.home.authority_certificate)
    stranger = foreign.client("stranger")
    shutil.copy(stranger.pem, place.home.probes / "foreign.pem")
    shutil.copy(stranger.key, place.home.probes / "foreign.key")
    place.admit("admins", stranger)

    with pytest.raises(OpenGateError, match="a foreign authority's certificate"):
        up(place.home)

    assert running(place.home) is None
    assert not place.is_listening(place.port)


def test_what_could_not_be_proved_is_taken_back(place: Place, alice: Client) -> None:
    up(place.home)
    caddy = find_caddy()
    prepared = prepare(place.home, caddy)
    nobody_there = tuple(replace(site, listen=("127.0.0.1:1",), port=1) for site in prepared.sites)

    with pytest.raises(GateError, match="could not be proved") as caught:
        put_into_force(place.home, current(place), caddy, replace(prepared, sites=nobody_there))

    assert not isinstance(caught.value, OpenGateError)
    assert "served before is served again" in caught.value.hint
    assert welcome(place, alice, "a") == "200 welcome to a"


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


def test_a_configuration_that_makes_caddy_break_off_is_taken_back(place: Place, alice: Client) -> None:
    up(place.home)
    caddy = find_caddy()
    before = AdminApi(place.home.admin_socket).config()

    def panic(config: dict[str, Any], place: Place) -> None:
        route = {"match": [{"expression": {"expr": "true"}}], "handle": respond(200, "x")}
        gated_server(config, place)["routes"].append(route)

    with pytest.raises(GateError, match="no answer"):
        put_into_force(place.home, current(place), caddy, opened(prepare(place.home, caddy), place, panic))

    assert AdminApi(place.home.admin_socket).config() == before
    assert welcome(place, alice, "a") == "200 welcome to a"


def test_a_refused_edit_leaves_the_caddyfile_as_it_was(place: Place, alice: Client) -> None:
    before = place.write(place.gated("a"))
    up(place.home)

    with pytest.raises(GateError):
        apply_edit(place.home, before + "\nbogus.test {\n\tbogus\n}\n")

    assert place.home.caddyfile.read_text() == before
    assert not read_status(place.home, ()).pending
    applied = apply_edit(place.home, before + place.gated("c"))
    assert len(applied.sites) == 2
    assert welcome(place, alice, "c") == "200 welcome to c"


def test_a_port_in_use_is_refused_while_the_old_sites_go_on(place: Place, alice: Client) -> None:
    up(place.home)
    with socket.create_server(("127.0.0.1", place.other_port)):
        place.write(place.gated("a"), f"\nhttp://other.test:{place.other_port} {{\n\trespond x\n}}\n")

        with pytest.raises(GateError, match=f"Port {place.other_port} is already in use by"):
            up(place.home)

    assert welcome(place, alice, "a") == "200 welcome to a"


def test_an_address_of_another_machine_is_named(place: Place, alice: Client) -> None:
    up(place.home)
    place.write(place.gated("a"), f"\nhttp://other.test:{place.other_port} {{\n\tbind 192.0.2.1\n}}\n")

    with pytest.raises(GateError, match="cannot assign requested address"):
        up(place.home)

    assert welcome(place, alice, "a") == "200 welcome to a"


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


def test_check_finds_a_running_gate_that_was_opened_behind_our_back(place: Place) -> None:
    up(place.home)
    api = AdminApi(place.home.admin_socket)
    config = api.config()
    ungate(config, place)
    api.load(config)

    status = read_status(place.home, ())
    assert not status.proved
    assert not status.drift
    assert not status.is_sound
    with pytest.raises(GateError):
        check(place.home)


def test_nobody_without_a_certificate_sees_anything(place: Place) -> None:
    up(place.home)
    gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)

    assert gate.ask(anonymous(), "a.test").status == 0
