# SPDX-License-Identifier: Apache-2.0
"""What a gated server must be, and who may ask or change the running gate: one fault at a time."""

import copy

import pytest
from tests.unit.gate.audited import HOME, Change, assert_refused, proxy, route

VERDICT = "verdict"

HOLES: dict[str, tuple[Change, str]] = {
    # The admin API.
    "admin absent": (lambda c: c.json.pop("admin"), "localhost:2019"),
    "admin on TCP": (lambda c: c.json["admin"].update(listen="127.0.0.1:2019"), "listens on 127.0.0.1:2019"),
    "admin elsewhere": (lambda c: c.json["admin"].update(listen="unix//tmp/a.sock"), "admin API listens"),
    "admin for all": (
        lambda c: c.json["admin"].update(listen=f"unix/{HOME}/run/admin.sock|0222"),
        "API listens",
    ),
    "admin off": (lambda c: c.json["admin"].update(disabled=True), "switched off"),
    "admin remote": (lambda c: c.json["admin"].update(remote={"listen": ":2021"}), "open to the network"),
    "config fetched": (
        lambda c: c.json["admin"].update(config={"load": {"module": "http"}}),
        "somewhere else",
    ),
    # The server.
    "http port moved here": (lambda c: c.json["apps"]["http"].update(http_port=443), "served on port 443"),
    "served on port 80": (lambda c: c.server.update(listen=[":80"]), "served on port 80"),
    "served on port 80 too": (lambda c: c.server["listen"].append("127.0.0.1:80"), "served on port 80"),
    "a range with port 80": (lambda c: c.server.update(listen=[":79-81"]), "served on port 80"),
    "strict_sni_host false": (lambda c: c.server.update(strict_sni_host=False), "strict_sni_host"),
    "protocols absent": (lambda c: c.server.pop("protocols"), "Other protocols"),
    "protocols empty": (lambda c: c.server.update(protocols=[]), "Other protocols"),
    "protocols with h3": (lambda c: c.server.update(protocols=["h1", "h2", "h3"]), "Other protocols"),
    "protocols with h2c": (lambda c: c.server.update(protocols=["h1", "h2c"]), "Other protocols"),
    "h3 on one address": (lambda c: c.server.update(listen_protocols=[["h1", "h3"]]), "Other protocols"),
    "listener wrapper": (lambda c: c.server.update(listener_wrappers=[{"wrapper": "x"}]), "wrapper `x`"),
    "on a unix socket": (
        lambda c: c.server.update(listen=["unix//run/a.sock"]),
        "listens on unix//run/a.sock",
    ),
    "our header with an underscore": (
        lambda c: c.server.update(expected_underscore_headers=["X_Other", "X_Client_User"]),
        "expected_underscore_headers lets X_Client_User in",
    ),
    "our header with a dot": (
        lambda c: c.server.update(expected_dot_headers=["client.cert"]),
        "expected_dot_headers lets client.cert in",
    ),
    "our header in part": (
        lambda c: c.server.update(expected_dot_headers=["X-Real.IP"]),
        "expected_dot_headers lets X-Real.IP in",
    ),
    "every header with an underscore behind X": (
        lambda c: c.server.update(expected_underscore_headers=["X_*"]),
        "expected_underscore_headers lets X_* in",
    ),
    "many of our headers": (
        lambda c: c.server.update(expected_underscore_headers=["X-Client_S*"]),
        "expected_underscore_headers lets X-Client_S* in",
    ),
    "a name that is ours when every separator is the same": (
        lambda c: c.server.update(expected_underscore_headers=["X~Client_User"]),
        "expected_underscore_headers lets X~Client_User in",
    ),
    "shutdown_delay": (
        lambda c: c.json["apps"]["http"].update(shutdown_delay=300_000_000_000),
        "shutdown_delay is set",
    ),
    # TLS.
    "policies absent": (lambda c: c.server.pop("tls_connection_policies"), "No TLS connection policy"),
    "no client_authentication": (lambda c: c.policies[0].pop("client_authentication"), "no certificate"),
    "empty client_authentication": (lambda c: c.client.clear(), "no certificate"),
    "mode require": (lambda c: c.client.update(mode="require"), "the mode 'require'"),
    "mode request": (lambda c: c.client.update(mode="request"), "the mode 'request'"),
    "mode verify_if_given": (lambda c: c.client.update(mode="verify_if_given"), "the mode 'verify_if_given'"),
    "mode absent": (lambda c: c.client.pop("mode"), "the mode '' instead of"),
    "ca absent": (lambda c: c.client.pop("ca"), "verifies against something else"),
    "ca other": (lambda c: c.client["ca"].update(pem_files=["/etc/ssl/ca.pem"]), "against something else"),
    "ca and another": (lambda c: c.client["ca"]["pem_files"].append("/etc/ssl/ca.pem"), "something else"),
    "ca system": (lambda c: c.client.update(ca={"provider": "system"}), "something else"),
    "deprecated trust": (lambda c: c.client.update(trusted_ca_certs=["MII"]), "something else"),
    "open policy first": (lambda c: c.policies.insert(0, {}), "asks for no certificate"),
    "open policy for some": (
        lambda c: c.policies.insert(0, {"match": {"remote_ip": {"ranges": ["10.0.0.0/8"]}}}),
        "asks for no certificate",
    ),
    "our policy for some": (
        lambda c: c.policies[0]["match"].update(remote_ip={"ranges": ["10.0.0.0/8"]}),
        "asks for no certificate",
    ),
    "open policy by wildcard": (
        lambda c: c.policies.insert(0, {"match": {"sni": ["*.example.com"]}}),
        "asks for no certificate",
    ),
    "open policy by more wildcards": (
        lambda c: c.policies.insert(0, {"match": {"sni": ["*.*.com"]}}),
        "asks for no certificate",
    ),
    "open policy by placeholder": (
        lambda c: c.policies.insert(0, {"match": {"sni": ["{env.NAME}"]}}),
        "asks for no certificate",
    ),
    # The verdict.
    "verdict absent": (lambda c: c.servers.pop("srv1"), "could not be asked"),
    "verdict twice": (lambda c: c.servers.update(srv2=copy.deepcopy(c.verdict)), VERDICT),
    "verdict for all": (
        lambda c: c.verdict.update(listen=[f"unix/{HOME}/run/verdict.sock|0222"]),
        VERDICT,
    ),
    "verdict elsewhere too": (lambda c: c.verdict["listen"].append(":9000"), VERDICT),
    "verdict shadowed": (
        lambda c: c.verdict["routes"].insert(0, route({"handler": "static_response"})),
        VERDICT,
    ),
    "verdict for another host": (lambda c: c.verdict["routes"][0].pop("handle"), VERDICT),
    "verdict without host": (
        lambda c: c.verdict["routes"][0].update(match=[{"host": ["x.test"]}]),
        VERDICT,
    ),
    "verdict of another tree": (
        lambda c: c.verdict_routes[0]["match"][0]["file"].update(root="/srv"),
        VERDICT,
    ),
    "verdict for any path": (lambda c: c.verdict_routes[0]["match"][0].pop("path_regexp"), VERDICT),
    "verdict that always admits": (lambda c: c.verdict_routes[0].pop("match"), VERDICT),
    "verdict that never refuses": (
        lambda c: c.verdict_routes[1]["handle"][0].update(status_code=200),
        VERDICT,
    ),
    "verdict without a refusal": (lambda c: c.verdict_routes.pop(1), VERDICT),
    "verdict that never admits": (
        lambda c: c.verdict_routes[0]["handle"][0].update(status_code=403),
        VERDICT,
    ),
    "verdict that admits in silence": (lambda c: c.verdict_routes[0].update(handle=[]), VERDICT),
    "verdict for some": (
        lambda c: c.verdict["routes"][0]["match"][0].update(path=["/x"]),
        VERDICT,
    ),
    "verdict for some inside": (
        lambda c: c.verdict["routes"][0]["handle"][0]["routes"][0].update(match=[{"path": ["/x"]}]),
        VERDICT,
    ),
    "verdict with something behind": (
        lambda c: c.verdict["routes"][0]["handle"][0]["routes"].append(route(proxy())),
        VERDICT,
    ),
    "verdict that refuses some": (
        lambda c: c.verdict_routes[1].update(match=[{"path": ["/x"]}]),
        VERDICT,
    ),
    "verdict that refuses in silence": (lambda c: c.verdict_routes[1].update(handle=[]), VERDICT),
    "verdict refused by something else": (
        lambda c: c.verdict_routes[1]["handle"][0].update(handler="new"),
        VERDICT,
    ),
    "verdict by proxy": (lambda c: c.verdict_routes[0].update(handle=[proxy()]), VERDICT),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    assert_refused(*HOLES[name])
