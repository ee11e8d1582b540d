# SPDX-License-Identifier: Apache-2.0
"""Configurations that open the gate, past the audit: a real Caddy shows it, and they are taken back."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Authority, Client

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.access import NO_CERTIFICATE
from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import Prepared, check, prepare, put_into_force, up
from pivgate.gate.caddy import find_caddy
from pivgate.gate.process import running
from pivgate.gate.status import read_status

pytestmark = pytest.mark.interop


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
        put_into_force(place.home, place.running(), caddy, opened(prepared, place, change))

    (place.home.access / "admins" / NO_CERTIFICATE).unlink(missing_ok=True)
    assert "served before is served again" in caught.value.hint
    assert AdminApi(place.home.admin_socket).config() == before
    assert not place.is_listening(place.other_port)
    assert place.ask(alice, "a") == "200 welcome to a"
    assert read_status(place.home, ()).proved


def test_with_nothing_to_go_back_to_the_gate_is_stopped(place: Place) -> None:
    up(place.home)
    (place.home.run / "proven.json").unlink()
    caddy = find_caddy()
    prepared = opened(prepare(place.home, caddy), place, on_another_port)

    with pytest.raises(OpenGateError) as caught:
        put_into_force(place.home, place.running(), caddy, prepared)

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
        put_into_force(place.home, place.running(), caddy, prepared)

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
        put_into_force(place.home, place.running(), caddy, replace(prepared, sites=nobody_there))

    assert not isinstance(caught.value, OpenGateError)
    assert "served before is served again" in caught.value.hint
    assert place.ask(alice, "a") == "200 welcome to a"


def test_a_configuration_that_makes_caddy_break_off_is_taken_back(place: Place, alice: Client) -> None:
    up(place.home)
    caddy = find_caddy()
    before = AdminApi(place.home.admin_socket).config()

    def panic(config: dict[str, Any], place: Place) -> None:
        route = {"match": [{"expression": {"expr": "true"}}], "handle": respond(200, "x")}
        gated_server(config, place)["routes"].append(route)

    with pytest.raises(GateError, match="no answer"):
        put_into_force(place.home, place.running(), caddy, opened(prepare(place.home, caddy), place, panic))

    assert AdminApi(place.home.admin_socket).config() == before
    assert place.ask(alice, "a") == "200 welcome to a"


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
