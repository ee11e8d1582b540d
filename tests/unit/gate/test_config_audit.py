# SPDX-License-Identifier: Apache-2.0
"""The audit as a whole: what passes, what is returned, and that nothing but a refusal is ever raised."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.audited import (
    CONTENT,
    EXPECTED,
    HOME,
    REDIRECT,
    SITES,
    Change,
    Config,
    request_headers,
    route,
)

from pivgate.errors import GateError
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_state import Passed, covers, entry_group
from pivgate.gate.config_audit import AuditError, AuditInput, audit
from pivgate.gate.snippet import FINGERPRINT_ENTRY


def test_the_golden_configuration_passes() -> None:
    assert audit(Config().json, EXPECTED) == SITES


def swap(items: list[Any], first: int, second: int) -> None:
    items[first], items[second] = items[second], items[first]


def other_server(config: Config, *handlers: dict[str, Any], host: str = "app.example.com") -> None:
    config.servers["srv9"] = {
        "listen": [":8443"],
        "routes": [route(*handlers, match=[{"host": [host]}], terminal=True)],
    }


HARMLESS: dict[str, Change] = {
    "admin socket of its group": lambda c: c.json["admin"].update(listen=f"unix/{HOME}/run/admin.sock|0220"),
    "admin socket of default mode": lambda c: c.json["admin"].update(listen=f"unix/{HOME}/run/admin.sock"),
    "strict_sni_host true": lambda c: c.server.update(strict_sni_host=True),
    "HTTP/1.1 alone": lambda c: c.server.update(protocols=["h1"]),
    "known listener wrapper": lambda c: c.server.update(listener_wrappers=[{"wrapper": "tls"}]),
    "same protocols on one address": lambda c: c.server.update(listen_protocols=[["h1", "h2"]]),
    "unset protocols on one address": lambda c: c.server.update(listen_protocols=[None]),
    "verifier besides": lambda c: c.client.update(verifiers=[{"verifier": "leaf"}]),
    "policy for another name": lambda c: c.policies.insert(0, {"match": {"sni": ["x.test"]}}),
    "policy for deeper names": lambda c: c.policies.insert(0, {"match": {"sni": ["*.app.example.com"]}}),
    "connections dropped": lambda c: c.policies.insert(0, {"drop": True}),
    "refusal in front": lambda c: c.beside.insert(
        0, route({"handler": "static_response", "status_code": "404"}, match=[{"path": ["/x"]}])
    ),
    "connection cut in front": lambda c: c.beside.insert(
        0, route({"handler": "static_response", "abort": True}, match=[{"path": ["/x"]}])
    ),
    "another refusal at the gate": lambda c: c.tree.update(
        handle=[{"handler": "static_response", "status_code": 404}]
    ),
    "another group's header in front": lambda c: c.beside.insert(
        0, route(request_headers(set={"X-Client-User": ["root"]}))
    ),
    "variables in front": lambda c: c.beside.insert(0, route({"handler": "vars", "root": "/srv"})),
    "password in front": lambda c: c.beside.insert(
        0, route({"handler": "authentication", "providers": {"http_basic": {"accounts": []}}})
    ),
    "no shutdown_delay": lambda c: c.json["apps"]["http"].update(shutdown_delay=0),
    "grace_period": lambda c: c.json["apps"]["http"].update(grace_period=10_000_000_000),
    "map in front": lambda c: c.beside.insert(0, route({"handler": "map", "destinations": ["{kind}"]})),
    "headers deleted in the block": lambda c: c.block.insert(
        0, route(request_headers(delete=["X-Client-Email"]))
    ),
    "other headers in the block": lambda c: c.block.insert(
        0, route(request_headers(set={"X-Tenant": ["a"]}))
    ),
    "all headers deleted first": lambda c: c.headers.insert(0, request_headers(delete=["*"])),
    "another identity header set in front": lambda c: c.headers.insert(
        0, request_headers(set={"X-Client-Role": ["root"]})
    ),
    "nothing behind the gate answers": lambda c: (c.block.clear(), c.site.pop("terminal")),
    "checks in another order": lambda c: swap(c.gate, 0, 2),
    "unknown handler in the block": lambda c: c.block.insert(0, route({"handler": "new"})),
    "content behind the gate": lambda c: c.beside.append(route(CONTENT)),
    "errors answered with a text": lambda c: c.server.update(
        errors={"routes": [route({"handler": "static_response", "body": "{err.message}"})]}
    ),
    "errors of another host": lambda c: c.server.update(
        errors={"routes": [route(CONTENT, match=[{"host": ["x.test"]}])]}
    ),
    "errors of all but us": lambda c: c.server.update(
        errors={"routes": [route(CONTENT, match=[{"not": [{"host": ["*.example.com"]}]}])]}
    ),
    "errors answered in a subroute": lambda c: c.server.update(
        errors={"routes": [route({"handler": "subroute", "routes": [route(REDIRECT)]})]}
    ),
    "errors behind the gate": lambda c: c.gate[7]["handle"][0].update(errors={"routes": [route(CONTENT)]}),
    "named route that calls itself": lambda c: (
        c.server.update(named_routes={"x": route({"handler": "invoke", "name": "x"})}),
        c.beside.insert(0, route({"handler": "invoke", "name": "x"})),
    ),
    "unknown handler with headers": lambda c: c.block.insert(0, route({"handler": "new", "headers": "x"})),
    "other hosts by wildcard on another port": lambda c: other_server(c, CONTENT, host="*.x.test"),
    "content for another host": lambda c: c.server["routes"].insert(
        0, route(CONTENT, match=[{"host": ["x.test"]}])
    ),
    "content for all others": lambda c: c.server["routes"].append(route(CONTENT)),
    "content for another host, negated": lambda c: c.server["routes"].insert(
        0, route(CONTENT, match=[{"not": [{"host": ["*.example.com"]}]}])
    ),
    "content for a deeper name": lambda c: c.server["routes"].insert(
        0, route(CONTENT, match=[{"host": ["*.app.example.com"]}])
    ),
    "content for a shorter name": lambda c: c.server["routes"].insert(
        0, route(CONTENT, match=[{"host": ["app.*"]}])
    ),
    "redirect on another port": lambda c: other_server(c, REDIRECT),
    "redirect in a subroute on another port": lambda c: other_server(
        c, {"handler": "subroute", "routes": [route({"handler": "headers"}, REDIRECT)]}
    ),
    "site of another authority": lambda c: (
        c.server["routes"].append(route(CONTENT, match=[{"host": ["x.test"]}])),
        c.policies.insert(
            0,
            {
                "match": {"sni": ["x.test"]},
                "client_authentication": {"ca": {"provider": "file", "pem_files": ["/etc/ssl/ca.pem"]}},
            },
        ),
    ),
    "nothing on another port": lambda c: other_server(c),
    "all other names on another port": lambda c: c.servers.update(
        srv9={"listen": [":8443"], "routes": [route(CONTENT)]}
    ),
    "a path of all other names on another port": lambda c: c.servers.update(
        srv9={"listen": [":8443"], "routes": [route(CONTENT, match=[{"path": ["/x"]}])]}
    ),
    "other host on another port": lambda c: other_server(c, CONTENT, host="x.test"),
    "other application": lambda c: c.json["apps"].update(events={}),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_opens_nothing_passes(name: str) -> None:
    config = Config()
    HARMLESS[name](config)
    assert config.json != Config().json, "the change must change something"
    assert audit(config.json, EXPECTED) == SITES


def test_all_holes_are_told_at_once() -> None:
    config = Config()
    config.server.update(strict_sni_host=False)
    config.gate.remove(config.tree)
    with pytest.raises(AuditError) as caught:
        audit(config.json, EXPECTED)
    assert len(caught.value.findings) == 2
    assert "2 holes" in caught.value.message
    assert {finding.where for finding in caught.value.findings} == {
        "apps.http.servers.srv0.strict_sni_host",
        "apps.http.servers.srv0.routes[0].handle[0].routes[0].handle[0].routes[6].handle[0].routes[0].handle[0]",
    }


def test_a_wildcard_is_told_of_as_it_is_written() -> None:
    config = Config()
    config.site["match"] = [{"host": ["*.example.com"]}]
    del config.server["routes"][1:]
    config.beside.insert(0, route(CONTENT))
    config.server.pop("tls_connection_policies")
    with pytest.raises(AuditError) as caught:
        audit(config.json, EXPECTED)
    assert {finding.host for finding in caught.value.findings} == {"*.example.com"}
    assert "for *.example.com before its certificate was looked up" in caught.value.message
    assert "demands a certificate for *.example.com" in caught.value.message


def test_a_site_that_opted_in_must_be_there() -> None:
    def expecting(*addresses: str) -> AuditInput:
        return AuditInput(
            EXPECTED.authority_pem,
            EXPECTED.access,
            EXPECTED.admin_socket,
            EXPECTED.verdict_socket,
            frozenset(addresses),
        )

    assert audit(Config().json, expecting("https://App.example.com:443", "own.example.com")) == SITES
    assert audit(Config().json, expecting("{$HOST}", "{$SUB:app}.example.com")) == SITES
    with pytest.raises(AuditError, match=r"gone\.example\.com opted in"):
        audit(Config().json, expecting("gone.example.com"))


def test_a_host_on_several_ports_is_several_sites() -> None:
    config = Config()
    config.server.update(listen=["127.0.0.1:8443", "[::1]:8443", ":9443"])
    assert [(site.port, site.listen) for site in audit(config.json, EXPECTED)[:2]] == [
        (8443, ("127.0.0.1:8443", "[::1]:8443")),
        (9443, (":9443",)),
    ]


def test_a_second_gate_behind_the_first_asks_for_its_group_too() -> None:
    config = Config()
    second = copy.deepcopy(config.beside[0])
    second["handle"][0]["routes"][2]["match"][0]["not"][0]["file"]["root"] = f"{HOME}/access/editors"
    config.block.clear()
    config.gate[7]["handle"] = second["handle"]
    assert audit(config.json, EXPECTED)[0].groups == ("admins", "editors")


def test_a_configuration_without_gated_sites_has_none() -> None:
    config = Config()
    del config.servers["srv0"]
    assert audit(config.json, EXPECTED) == []


@pytest.mark.parametrize("config", [{}, {"apps": None}, {"apps": {"http": {"servers": {}}}}])
def test_an_empty_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(AuditError):
        audit(config, EXPECTED)


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("x-client-user", ["x-client-user"]),
        ("X-Client-*", ["x-client-user", "x-client-"]),
        ("*-User", ["x-client-user", "x-user"]),
        ("*CLIENT*", ["x-client-user", "x-client-", "client", "y-x-client-z"]),
        ("x-*-user", []),
    ],
)
def test_deletions_cover_what_caddy_deletes(pattern: str, covered: list[str]) -> None:
    names = ["x-client-user", "x-client-", "x-user", "client", "x-user-name", "y-x-client-z"]
    assert [name for name in names if covers(pattern, name)] == covered


def test_header_operations_take_place_in_caddys_order() -> None:
    def after(**request: Any) -> Passed:
        return Passed(named=True).with_request_headers(Node(request))

    subject = {"X-Client-Subject": ["{http.regexp.pivgate_user.0}"]}
    role = {"X-Client-Role": ["root"]}
    assert after(set=subject).identity == {"x-client-subject"}
    assert after(set=subject, delete=["*"]).identity == {"x-client-subject"}
    assert after(set=subject, delete=["X-Client-*"]).identity == set()
    assert after(set=subject, add=role).forged == {"x-client-role"}
    assert after(set=role, delete=["X-Client-*"]).forged == set()
    assert after(set=role, delete=["X-Other"]).forged == {"x-client-role"}
    assert after(set=subject, replace={"X-Client-Subject": []}).identity == set()


@pytest.mark.parametrize(
    "matcher",
    [None, "x", [], {}, {"root": 1, "try_files": [FINGERPRINT_ENTRY]}, {"root": "/x"}],
)
def test_only_a_lookup_has_a_group(matcher: object) -> None:
    assert entry_group(matcher, HOME / "access") == ""


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a configuration with every key or index of it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@given(st.data())
def test_a_configuration_that_caddy_never_made_is_refused_without_a_traceback(data: st.DataObject) -> None:
    config = Config().json
    container, key = data.draw(st.sampled_from(list(places(config))))
    container[key] = data.draw(st.sampled_from([None, 1, "x", True, [], {}, [1], ["x"], [{}], {"x": 1}]))
    with suppress(GateError):
        audit(config, EXPECTED)
