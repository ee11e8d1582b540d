# SPDX-License-Identifier: Apache-2.0
"""Ways around the lookup in the access tree: one at a time, each refused."""

from typing import Any

import pytest
from tests.unit.gate.audited import (
    CONTENT,
    HOME,
    REDIRECT,
    Change,
    Config,
    assert_refused,
    proxy,
    request_headers,
    route,
)


def swap(items: list[Any], first: int, second: int) -> None:
    items[first], items[second] = items[second], items[first]


def split_gate(config: Config) -> None:
    """Run the gate only for some requests."""
    config.beside[0]["match"] = [{"path": ["/private/*"]}]
    config.beside.append(route(CONTENT))


def skip_by_group(config: Config) -> None:
    """Of routes with one group only the first match runs: here one that falls through."""
    config.gate.insert(0, route({"handler": "encode"}, group=config.tree["group"], match=[{"path": ["/x"]}]))


def skip_whole_gate_by_group(config: Config) -> None:
    """The same one level up, where the gate's own route matches everything."""
    config.beside[0]["group"] = "g"
    config.beside.insert(0, route({"handler": "encode"}, group="g", match=[{"path": ["/x"]}]))
    config.beside.append(route(CONTENT))


def other_server(config: Config, *handlers: dict[str, Any], host: str = "app.example.com") -> None:
    config.servers["srv9"] = {
        "listen": [":8443"],
        "routes": [route(*handlers, match=[{"host": [host]}], terminal=True)],
    }


BEFORE = "can answer a request for app.example.com before"
CROOKED = "not of the one form"

HOLES: dict[str, tuple[Change, str]] = {
    # The tree.
    "gate absent": (lambda c: c.gate.remove(c.tree), BEFORE),
    "gate behind the block": (lambda c: swap(c.gate, 2, 7), BEFORE),
    "gate for some requests": (split_gate, BEFORE),
    "gate skipped by its group": (skip_by_group, BEFORE),
    "gate skipped as a whole by its group": (skip_whole_gate_by_group, BEFORE),
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
    "gate by a status in other digits": (
        lambda c: c.tree.update(handle=[{"handler": "static_response", "status_code": "\uff14\uff10\uff13"}]),
        BEFORE,
    ),
    "gate by an impossible status": (
        lambda c: c.tree.update(handle=[{"handler": "static_response", "status_code": 600}]),
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
    "root is relative": (lambda c: c.lookup.update(root="admins"), CROOKED),
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
    "login of another kind in front": (
        lambda c: c.beside.insert(0, route({"handler": "authentication", "providers": {"new": {}}})),
        BEFORE,
    ),
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
    "Connection set behind the gate": (
        lambda c: c.block.insert(0, route(request_headers(set={"connection": ["{http.request.uri.query}"]}))),
        "Behind the gate, connection of app.example.com is given another value",
    ),
    "Upgrade added behind the gate": (
        lambda c: c.block.insert(0, route(request_headers(add={"Upgrade": ["websocket", "h2c"]}))),
        "Behind the gate, Upgrade of",
    ),
    "Connection replaced in the proxy": (
        lambda c: c.block.insert(0, route(proxy(replace={"Connection": [{"search": "a", "replace": "b"}]}))),
        "Behind the gate, Connection of",
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
    "another port with an answer's status": (
        lambda c: other_server(c, {"handler": "static_response", "status_code": 200}),
        "serves it without the gate",
    ),
    "another port, deep inside": (
        lambda c: other_server(c, {"handler": "subroute", "routes": [route(REDIRECT), route(proxy())]}),
        "serves it without the gate",
    ),
    "no host": (lambda c: c.site.pop("match"), "no host's name"),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    assert_refused(*HOLES[name])
