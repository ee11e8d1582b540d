# SPDX-License-Identifier: Apache-2.0
"""The golden adapted configuration with one thing changed at a time: what opens something is refused."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import GateError
from pivgate.gate.config_audit import AuditError, AuditInput, audit
from pivgate.gate.sites import GatedSite

GOLDEN = Path(__file__).parents[2] / "golden" / "gate" / "adapted.json"
HOME = Path("/var/lib/pivgate")
EXPECTED = AuditInput(
    authority_pem=HOME / "authority" / "ca.pem",
    access=HOME / "access",
    admin_socket=HOME / "run" / "admin.sock",
    verdict_socket=HOME / "run" / "verdict.sock",
)
SITES = [
    GatedSite("app.example.com", 443, ("admins",), (":443",)),
    GatedSite("own.example.com", 443, ("everyone",), (":443",)),
]
CONTENT = {"handler": "file_server"}
REDIRECT = {"handler": "static_response", "status_code": 308}

Change = Callable[["Config"], None]


class Config:
    """A fresh copy of the golden configuration, with names for the places that tests change."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = json.loads(GOLDEN.read_text())

    @property
    def servers(self) -> dict[str, Any]:
        return self.json["apps"]["http"]["servers"]

    @property
    def server(self) -> dict[str, Any]:
        return self.servers["srv0"]

    @property
    def verdict(self) -> dict[str, Any]:
        return self.servers["srv1"]

    @property
    def policies(self) -> list[dict[str, Any]]:
        return self.server["tls_connection_policies"]

    @property
    def client(self) -> dict[str, Any]:
        return self.policies[0]["client_authentication"]

    @property
    def site(self) -> dict[str, Any]:
        """The top route of app.example.com."""
        return self.server["routes"][0]

    @property
    def beside(self) -> list[dict[str, Any]]:
        """The routes of the site's own block, of which the gate is one."""
        return self.site["handle"][0]["routes"]

    @property
    def gate(self) -> list[dict[str, Any]]:
        """The routes of the gate: connection, tree, name, headers, e-mail, block."""
        return self.beside[0]["handle"][0]["routes"]

    @property
    def tree(self) -> dict[str, Any]:
        return self.gate[1]

    @property
    def lookup(self) -> dict[str, Any]:
        return self.tree["match"][0]["not"][0]["file"]

    @property
    def headers(self) -> list[dict[str, Any]]:
        return self.gate[3]["handle"]

    @property
    def block(self) -> list[dict[str, Any]]:
        return self.gate[5]["handle"][0]["routes"]

    @property
    def verdict_routes(self) -> list[dict[str, Any]]:
        return self.verdict["routes"][0]["handle"][0]["routes"][0]["handle"][0]["routes"]


def test_the_golden_configuration_passes() -> None:
    assert audit(Config().json, EXPECTED) == SITES


def header_set(config: Config, name: str) -> dict[str, Any]:
    return next(step for step in config.headers if name in step["request"].get("set", {}))


def drop_header(config: Config, name: str) -> None:
    config.headers.remove(header_set(config, name))


def drop_deletion(config: Config, name: str) -> None:
    config.headers.remove({"handler": "headers", "request": {"delete": [name]}})


def route(*handlers: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"handle": list(handlers), **others}


def proxy(**request: Any) -> dict[str, Any]:
    return {"handler": "reverse_proxy", "headers": {"request": request}}


def request_headers(**request: Any) -> dict[str, Any]:
    return {"handler": "headers", "request": request}


def swap(items: list[Any], first: int, second: int) -> None:
    items[first], items[second] = items[second], items[first]


def split_gate(config: Config) -> None:
    """Run the gate only for some requests."""
    config.beside[0]["match"] = [{"path": ["/private/*"]}]
    config.beside.append(route(CONTENT))


def skip_by_group(config: Config) -> None:
    """Of routes with one group only the first match runs: here one that falls through."""
    config.gate.insert(0, route({"handler": "encode"}, group=config.tree["group"], match=[{"path": ["/x"]}]))


def other_server(config: Config, *handlers: dict[str, Any], host: str = "app.example.com") -> None:
    config.servers["srv9"] = {
        "listen": [":8443"],
        "routes": [route(*handlers, match=[{"host": [host]}], terminal=True)],
    }


BEFORE = "can answer a request for app.example.com before"
CROOKED = "not of the one form"
WITHOUT = "is reached for app.example.com without"
FORGED = "is given another value"
VERDICT = "verdict"

HOLES: dict[str, tuple[Change, str]] = {
    # The admin API.
    "admin absent": (lambda c: c.json.pop("admin"), "localhost:2019"),
    "admin on TCP": (lambda c: c.json["admin"].update(listen="127.0.0.1:2019"), "admin API listens"),
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
    # TLS.
    "policies absent": (lambda c: c.server.pop("tls_connection_policies"), "No TLS connection policy"),
    "no client_authentication": (lambda c: c.policies[0].pop("client_authentication"), "no certificate"),
    "empty client_authentication": (lambda c: c.client.clear(), "no certificate"),
    "mode require": (lambda c: c.client.update(mode="require"), "the mode 'require'"),
    "mode request": (lambda c: c.client.update(mode="request"), "the mode 'request'"),
    "mode verify_if_given": (lambda c: c.client.update(mode="verify_if_given"), "the mode 'verify_if_given'"),
    "mode absent": (lambda c: c.client.pop("mode"), "the mode"),
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
    # The tree.
    "gate absent": (lambda c: c.gate.remove(c.tree), BEFORE),
    "gate behind the block": (lambda c: swap(c.gate, 1, 5), BEFORE),
    "gate for some requests": (split_gate, BEFORE),
    "gate skipped by its group": (skip_by_group, BEFORE),
    "gate that ends nothing": (lambda c: c.tree.update(handle=[{"handler": "encode"}]), BEFORE),
    "gate that answers 200": (
        lambda c: c.tree.update(handle=[{"handler": "static_response", "status_code": 200}]),
        BEFORE,
    ),
    "gate that redirects": (lambda c: c.tree.update(handle=[REDIRECT]), BEFORE),
    "gate by a placeholder's status": (
        lambda c: c.tree.update(handle=[{"handler": "static_response", "status_code": "{query.s}"}]),
        BEFORE,
    ),
    "gate without a status": (lambda c: c.tree.update(handle=[{"handler": "static_response"}]), BEFORE),
    "gate by an error": (lambda c: c.tree.update(handle=[{"handler": "error", "status_code": 403}]), BEFORE),
    "gate for some who are unlisted": (lambda c: c.tree["match"][0].update(path=["/private/*"]), BEFORE),
    "gate with an exception": (
        lambda c: c.tree["match"][0]["not"].append({"path": ["/public/*"]}),
        BEFORE,
    ),
    "gate with an exception inside": (
        lambda c: c.tree["match"][0]["not"][0].update(path=["/public/*"]),
        BEFORE,
    ),
    "gate the other way round": (
        lambda c: c.tree.update(match=c.tree["match"][0]["not"]),
        BEFORE,
    ),
    "gate negated twice": (
        lambda c: c.tree.update(match=[{"not": [{"not": c.tree["match"][0]["not"]}]}]),
        BEFORE,
    ),
    "refusal for some": (
        lambda c: c.tree["handle"].insert(0, {"handler": "subroute", "routes": [route(CONTENT)]}),
        BEFORE,
    ),
    "root with a glob": (lambda c: c.lookup.update(root=f"{HOME}/access/adm*"), CROOKED),
    "root with brackets": (lambda c: c.lookup.update(root=f"{HOME}/access/[a]dmins"), CROOKED),
    "root above": (lambda c: c.lookup.update(root=f"{HOME}/access/.."), CROOKED),
    "root is the tree": (lambda c: c.lookup.update(root=f"{HOME}/access"), CROOKED),
    "root with a placeholder": (lambda c: c.lookup.update(root=f"{HOME}/access/{{query.g}}"), CROOKED),
    "root below a group": (lambda c: c.lookup.update(root=f"{HOME}/access/admins/x"), CROOKED),
    "root with a line end": (lambda c: c.lookup.update(root=f"{HOME}/access/admins\n"), CROOKED),
    "root elsewhere": (lambda c: c.lookup.update(root="/srv/access/admins"), CROOKED),
    "root absent": (lambda c: c.lookup.pop("root"), CROOKED),
    "slash at the end": (
        lambda c: c.lookup.update(try_files=["/{http.request.tls.client.fingerprint}/"]),
        CROOKED,
    ),
    "second file": (lambda c: c.lookup["try_files"].append("/public"), CROOKED),
    "serial number": (lambda c: c.lookup.update(try_files=["/{http.request.tls.client.serial}"]), CROOKED),
    "path of the request": (lambda c: c.lookup.update(try_files=["{http.request.uri.path}"]), CROOKED),
    "policy": (lambda c: c.lookup.update(try_policy="largest_size"), CROOKED),
    "fallback policy": (lambda c: c.lookup.update(try_policy="first_exist_fallback"), CROOKED),
    "split path": (lambda c: c.lookup.update(split_path=[".x"]), CROOKED),
    "other file system": (lambda c: c.lookup.update(fs="other"), CROOKED),
    # In front of the gate.
    "content in front": (lambda c: c.beside.insert(0, route(CONTENT)), BEFORE),
    "content for some in front": (
        lambda c: c.beside.insert(0, route(CONTENT, match=[{"path": ["/x"]}])),
        BEFORE,
    ),
    "content in front of all": (lambda c: c.server["routes"].insert(0, route(CONTENT)), BEFORE),
    "content by wildcard in front": (
        lambda c: c.server["routes"].insert(0, route(CONTENT, match=[{"host": ["*.example.com"]}])),
        BEFORE,
    ),
    "content by wildcard in the middle": (
        lambda c: c.server["routes"].insert(0, route(CONTENT, match=[{"host": ["app.*.com"]}])),
        BEFORE,
    ),
    "content in other case": (
        lambda c: c.server["routes"].insert(0, route(CONTENT, match=[{"host": ["APP.example.COM"]}])),
        BEFORE,
    ),
    "content by placeholder in front": (
        lambda c: c.server["routes"].insert(0, route(CONTENT, match=[{"host": ["{env.HOST}"]}])),
        BEFORE,
    ),
    "content for all but one": (
        lambda c: c.server["routes"].insert(0, route(CONTENT, match=[{"not": [{"host": ["x.test"]}]}])),
        BEFORE,
    ),
    "content for either": (
        lambda c: c.server["routes"].insert(
            0, route(CONTENT, match=[{"host": ["x.test"]}, {"expression": "true"}])
        ),
        BEFORE,
    ),
    "answer in front": (
        lambda c: c.beside.insert(0, route({"handler": "static_response", "body": "hi"})),
        BEFORE,
    ),
    "redirect in front": (lambda c: c.beside.insert(0, route(REDIRECT)), BEFORE),
    "unknown handler in front": (lambda c: c.beside.insert(0, route({"handler": "new"})), BEFORE),
    "content in the same route": (lambda c: c.beside[0]["handle"].insert(0, CONTENT), BEFORE),
    "named route in front": (
        lambda c: (
            c.server.update(named_routes={"x": route(CONTENT)}),
            c.beside.insert(0, route({"handler": "invoke", "name": "x"})),
        ),
        BEFORE,
    ),
    "file system in front": (
        lambda c: c.beside.insert(0, route({"handler": "vars", "fs": "other"})),
        BEFORE,
    ),
    "placeholder mapped in front": (
        lambda c: c.beside.insert(
            0, route({"handler": "map", "destinations": ["{http.request.tls.client.fingerprint}"]})
        ),
        BEFORE,
    ),
    "errors inside": (
        lambda c: c.site["handle"][0].update(errors={"routes": [route(CONTENT)]}),
        "answers errors of app.example.com",
    ),
    "errors of the server": (
        lambda c: c.server.update(errors={"routes": [route(CONTENT)]}),
        "answers errors of app.example.com",
    ),
    "errors of the host": (
        lambda c: c.server.update(
            errors={
                "routes": [
                    route(
                        {"handler": "subroute", "routes": [route(proxy())]},
                        match=[{"host": ["app.example.com"]}],
                    )
                ]
            }
        ),
        "answers errors of app.example.com",
    ),
    "a chain that ends ungated": (lambda c: c.gate.clear(), "ends the chain"),
    "routes that end ungated": (
        lambda c: (c.gate.clear(), c.site.pop("terminal")),
        "reach the end of their routes",
    ),
    # Behind the gate: who the upstream is told is calling.
    "connection unchecked": (lambda c: c.gate.pop(0), f"{WITHOUT} the check of the Connection header"),
    "connection pattern changed": (
        lambda c: c.gate[0]["match"][0]["not"][0]["vars_regexp"]["{http.request.header.Connection}"].update(
            pattern=".*"
        ),
        f"{WITHOUT} the check of the Connection header",
    ),
    "connection of another header": (
        lambda c: c.gate[0]["match"][0]["not"][0].update(
            vars_regexp={
                "{http.request.header.X}": c.gate[0]["match"][0]["not"][0]["vars_regexp"].popitem()[1]
            }
        ),
        f"{WITHOUT} the check of the Connection header",
    ),
    "connection refusal passes": (
        # It is in the gate's group: whom it matches, the gate never sees.
        lambda c: c.gate[0].update(handle=[{"handler": "encode"}]),
        BEFORE,
    ),
    "subject unchecked": (lambda c: c.gate.pop(2), f"{WITHOUT} the check of the certificate's subject"),
    "subject pattern changed": (
        lambda c: c.gate[2]["match"][0]["not"][0]["vars_regexp"]["{http.request.tls.client.subject}"].update(
            pattern="CN=(.*)"
        ),
        f"{WITHOUT} the check of the certificate's subject",
    ),
    "headers not deleted": (
        lambda c: drop_deletion(c, "X-Client-*"),
        "deletion of the client's own x-client-*",
    ),
    "underscores not deleted": (
        lambda c: drop_deletion(c, "X_Client*"),
        "deletion of the client's own x_client*",
    ),
    "forwarded not deleted": (
        lambda c: drop_deletion(c, "Forwarded"),
        "deletion of the client's own forwarded",
    ),
    "deleted for some": (lambda c: c.gate[3].update(match=[{"path": ["/x"]}]), WITHOUT),
    "deleted at the end": (
        lambda c: c.headers.append(c.headers.pop(0)),
        f"{WITHOUT} our value of x-client-f",
    ),
    "user absent": (lambda c: drop_header(c, "X-Client-User"), f"{WITHOUT} our value of x-client-user"),
    "subject absent": (lambda c: drop_header(c, "X-Client-Subject"), "our value of x-client-subject"),
    "serial absent": (lambda c: drop_header(c, "X-Client-Serial"), "our value of x-client-serial"),
    "fingerprint absent": (
        lambda c: drop_header(c, "X-Client-Fingerprint"),
        "our value of x-client-fingerprint",
    ),
    "user escaped": (
        lambda c: c.headers.remove(next(step for step in c.headers if "replace" in step["request"])),
        "our value of x-client-user",
    ),
    "user from the request": (
        lambda c: header_set(c, "X-Client-User")["request"]["set"].update({"X-Client-User": ["{query.u}"]}),
        "our value of x-client-user",
    ),
    "user twice": (
        lambda c: header_set(c, "X-Client-User")["request"]["set"]["X-Client-User"].append("root"),
        "our value of x-client-user",
    ),
    "address from the request": (
        lambda c: c.gate[4]["handle"][0]["request"]["set"].update({"X-Client-Email": ["{query.e}"]}),
        FORGED,
    ),
    "address unchecked": (lambda c: c.gate[4].pop("match"), FORGED),
    "address checked otherwise": (
        lambda c: c.gate[4].update(match=[{"path": ["/x"]}]),
        FORGED,
    ),
    "user added to": (
        lambda c: c.headers.append(request_headers(add={"X-Client-User": ["root"]})),
        FORGED,
    ),
    "user replaced": (
        lambda c: c.headers.append(request_headers(replace={"*": [{"search": "a", "replace": "b"}]})),
        FORGED,
    ),
    "set in the block": (
        lambda c: c.block.insert(0, route(request_headers(set={"x-client-role": ["{query.r}"]}))),
        FORGED,
    ),
    "set in the block by underscore": (
        lambda c: c.block.insert(0, route(request_headers(set={"X_Client_User": ["root"]}))),
        FORGED,
    ),
    "set in the block for some": (
        lambda c: c.block.insert(
            0, route(request_headers(set={"X-Client-User": ["root"]}), match=[{"path": ["/x"]}])
        ),
        FORGED,
    ),
    "set in the block by placeholder": (
        lambda c: c.block.insert(0, route(request_headers(set={"{query.name}": ["root"]}))),
        FORGED,
    ),
    "set in the proxy": (
        lambda c: c.block.insert(0, route(proxy(set={"X-Client-User": ["{query.u}"]}))),
        FORGED,
    ),
    "added in the proxy": (
        lambda c: c.block.insert(0, route(proxy(add={"X.Client.User": ["{query.u}"]}))),
        FORGED,
    ),
    "replaced in the proxy": (
        lambda c: c.block.insert(0, route(proxy(replace={"*": [{"search": "a", "replace": "b"}]}))),
        FORGED,
    ),
    # Other ways to the same name.
    "another port": (lambda c: other_server(c, CONTENT), "serves it without the gate"),
    "another port by wildcard": (
        lambda c: other_server(c, CONTENT, host="*.example.com"),
        "serves it without the gate",
    ),
    "another port with an answer": (
        lambda c: other_server(c, {"handler": "static_response", "body": "hi"}),
        "serves it without the gate",
    ),
    "another port, deep inside": (
        lambda c: other_server(c, {"handler": "subroute", "routes": [route(REDIRECT), route(proxy())]}),
        "serves it without the gate",
    ),
    "no host": (lambda c: c.site.pop("match"), "no host's name"),
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
    "verdict by proxy": (lambda c: c.verdict_routes[0].update(handle=[proxy()]), VERDICT),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    change, expected = HOLES[name]
    config = Config()
    change(config)
    assert config.json != Config().json, "the change must change something"
    with pytest.raises(AuditError) as caught:
        audit(config.json, EXPECTED)
    assert expected in caught.value.message
    assert caught.value.hint


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
    "map in front": lambda c: c.beside.insert(0, route({"handler": "map", "destinations": ["{kind}"]})),
    "headers deleted in the block": lambda c: c.block.insert(
        0, route(request_headers(delete=["X-Client-Email"]))
    ),
    "other headers in the block": lambda c: c.block.insert(
        0, route(request_headers(set={"X-Tenant": ["a"]}))
    ),
    "all headers deleted first": lambda c: c.headers.insert(0, request_headers(delete=["*"])),
    "checks in another order": lambda c: swap(c.gate, 0, 2),
    "unknown handler in the block": lambda c: c.block.insert(0, route({"handler": "new"})),
    "content behind the gate": lambda c: c.beside.append(route(CONTENT)),
    "errors answered with a text": lambda c: c.server.update(
        errors={"routes": [route({"handler": "static_response", "body": "{err.message}"})]}
    ),
    "errors of another host": lambda c: c.server.update(
        errors={"routes": [route(CONTENT, match=[{"host": ["x.test"]}])]}
    ),
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
    "redirect on another port": lambda c: other_server(c, REDIRECT),
    "nothing on another port": lambda c: other_server(c),
    "all other names on another port": lambda c: c.servers.update(
        srv9={"listen": [":8443"], "routes": [route(CONTENT)]}
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
        "apps.http.servers.srv0.routes[0].handle[0].routes[0].handle[0].routes[4].handle[0].routes[0].handle[0]",
    }


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
    second["handle"][0]["routes"][1]["match"][0]["not"][0]["file"]["root"] = f"{HOME}/access/editors"
    config.block.clear()
    config.gate[5]["handle"] = second["handle"]
    assert audit(config.json, EXPECTED)[0].groups == ("admins", "editors")


def test_a_configuration_without_gated_sites_has_none() -> None:
    config = Config()
    del config.servers["srv0"]
    assert audit(config.json, EXPECTED) == []


@pytest.mark.parametrize("config", [{}, {"apps": None}, {"apps": {"http": {"servers": {}}}}])
def test_an_empty_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(AuditError):
        audit(config, EXPECTED)


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
