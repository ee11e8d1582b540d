# SPDX-License-Identifier: Apache-2.0
"""Ways to tell the upstream that somebody else is calling: one at a time, each refused."""

import copy
from typing import Any

import pytest
from tests.unit.gate.audited import Change, Config, assert_refused, proxy, request_headers, route

from pivgate.gate.snippet import DELETED_HEADERS


def header_set(config: Config, name: str) -> dict[str, Any]:
    return next(step for step in config.headers if name in step["request"].get("set", {}))


USER_SET, UNESCAPED = len(DELETED_HEADERS), len(DELETED_HEADERS) + 1


def drop_header(config: Config, name: str) -> None:
    config.headers.remove(header_set(config, name))


def drop_deletion(config: Config, name: str) -> None:
    config.headers.remove({"handler": "headers", "request": {"delete": [name]}})


def for_some(routes: list[Any], index: int) -> None:
    """Run a route only for requests of some paths."""
    inner = routes[index]
    routes[index] = route({"handler": "subroute", "routes": [inner]}, match=[{"path": ["/x"]}])


def checked_elsewhere(config: Config) -> None:
    """Match on the address, and set the header for those who did not match as well."""
    setting = config.gate[6].pop("handle")
    config.gate[6]["handle"] = [{"handler": "encode"}]
    config.gate.insert(6, route(*setting))


BEFORE = "can answer a request for app.example.com before"
WITHOUT = "is reached for app.example.com without"
FORGED = "is given another value"

HOLES: dict[str, tuple[Change, str]] = {
    # Behind the gate: who the upstream is told is calling..
    "connection unchecked": (lambda c: c.gate.pop(0), f"{WITHOUT} the check of the Connection header"),
    "connection pattern changed": (
        lambda c: c.gate[0]["match"][0]["not"][1]["vars_regexp"]["{http.request.header.Connection}"].update(
            pattern=".*"
        ),
        f"{WITHOUT} the check of the Connection header",
    ),
    "connection of another header": (
        lambda c: c.gate[0]["match"][0]["not"][1].update(
            vars_regexp={
                "{http.request.header.X}": c.gate[0]["match"][0]["not"][1]["vars_regexp"].popitem()[1]
            }
        ),
        f"{WITHOUT} the check of the Connection header",
    ),
    "connection taken unasked": (
        lambda c: c.gate[0]["match"][0]["not"][0]["vars"]["{http.request.header.Connection}"].append("x"),
        f"{WITHOUT} the check of the Connection header",
    ),
    "another way past the connection check": (
        lambda c: c.gate[0]["match"][0]["not"].append({"path": ["/x"]}),
        f"{WITHOUT} the check of the Connection header",
    ),
    "upgrade unchecked": (lambda c: c.gate.pop(1), f"{WITHOUT} the check of the Upgrade header"),
    "upgrade pattern changed": (
        lambda c: c.gate[1]["match"][0]["not"][1]["vars_regexp"]["{http.request.header.Upgrade}"].update(
            pattern="^(?i)(websocket|h2c)?$"
        ),
        f"{WITHOUT} the check of the Upgrade header",
    ),
    "upgrade of another header": (
        lambda c: c.gate[1]["match"][0]["not"][1].update(
            vars_regexp={
                "{http.request.header.X}": c.gate[1]["match"][0]["not"][1]["vars_regexp"].popitem()[1]
            }
        ),
        f"{WITHOUT} the check of the Upgrade header",
    ),
    "upgrade taken unasked": (
        lambda c: c.gate[1]["match"][0]["not"][0]["vars"]["{http.request.header.Upgrade}"].append("h2c"),
        f"{WITHOUT} the check of the Upgrade header",
    ),
    "another way past the upgrade check": (
        lambda c: c.gate[1]["match"][0]["not"].append({"path": ["/x"]}),
        f"{WITHOUT} the check of the Upgrade header",
    ),
    "upgrade refusal passes": (
        lambda c: c.gate[1].update(handle=[{"handler": "encode"}]),
        BEFORE,
    ),
    "upgrade checked for some": (
        lambda c: for_some(c.gate, 1),
        f"{WITHOUT} the check of the Upgrade header",
    ),
    "connection refusal passes": (
        # It is in the gate's group: whom it matches, the gate never sees.
        lambda c: c.gate[0].update(handle=[{"handler": "encode"}]),
        BEFORE,
    ),
    "tunnels unrefused": (lambda c: c.gate.pop(4), f"{WITHOUT} the refusal of CONNECT"),
    "other tunnels refused": (
        lambda c: c.gate[4].update(match=[{"method": ["CONNECT"], "path": ["/x"]}]),
        f"{WITHOUT} the refusal of CONNECT",
    ),
    "tunnels go on": (
        lambda c: c.gate[4].update(handle=[{"handler": "encode"}]),
        f"{WITHOUT} the refusal of CONNECT",
    ),
    "subject unchecked": (lambda c: c.gate.pop(3), f"{WITHOUT} the check of the certificate's subject"),
    "subject pattern changed": (
        lambda c: c.gate[3]["match"][0]["not"][0]["vars_regexp"]["{http.request.tls.client.subject}"].update(
            pattern="CN=(.*)"
        ),
        f"{WITHOUT} the check of the certificate's subject",
    ),
    "connection checked for some": (
        lambda c: for_some(c.gate, 0),
        f"{WITHOUT} the check of the Connection header",
    ),
    "subject checked for some": (
        lambda c: for_some(c.gate, 3),
        f"{WITHOUT} the check of the certificate's subject",
    ),
    "address checked for others": (lambda c: checked_elsewhere(c), FORGED),
    "headers not deleted": (
        lambda c: drop_deletion(c, "X-Client*"),
        "deletion of the client's own x-client*",
    ),
    "rare characters not deleted": (
        lambda c: drop_deletion(c, "*!*"),
        "deletion of the client's own *!*",
    ),
    "asterisks not deleted": (lambda c: drop_deletion(c, "***"), "deletion of the client's own ***"),
    "forwarded not deleted": (
        lambda c: drop_deletion(c, "Forwarded"),
        "deletion of the client's own forwarded",
    ),
    "deleted for some": (lambda c: c.gate[5].update(match=[{"path": ["/x"]}]), WITHOUT),
    "deleted at the end": (
        lambda c: c.headers.append(c.headers.pop(DELETED_HEADERS.index("X-Client*"))),
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
        lambda c: c.gate[6]["handle"][0]["request"]["set"].update({"X-Client-Email": ["{query.e}"]}),
        FORGED,
    ),
    "address unchecked": (lambda c: c.gate[6].pop("match"), FORGED),
    "address checked otherwise": (
        lambda c: c.gate[6].update(match=[{"path": ["/x"]}]),
        FORGED,
    ),
    "user set again": (
        lambda c: c.headers.append(copy.deepcopy(header_set(c, "X-Client-User"))),
        "our value of x-client-user",
    ),
    "user deleted again": (
        lambda c: c.headers.append(request_headers(delete=["*-user"])),
        "our value of x-client-user",
    ),
    "all deleted at the end": (
        lambda c: c.headers.append(request_headers(delete=["*"])),
        "our value of x-client-fingerprint, x-client-serial, x-client-subject, x-client-user",
    ),
    "user freed of escapes before it is set": (
        lambda c: c.headers.insert(USER_SET, c.headers.pop(UNESCAPED)),
        "our value of x-client-user",
    ),
    "user freed of more than escapes": (
        lambda c: c.headers[UNESCAPED]["request"]["replace"]["X-Client-User"].append(
            {"search": "a", "replace": "b"}
        ),
        "our value of x-client-user",
    ),
    "another header freed of escapes instead": (
        lambda c: c.headers[UNESCAPED]["request"].update(
            replace={"X-Client-Subject": c.headers[UNESCAPED]["request"]["replace"]["X-Client-User"]}
        ),
        "our value of x-client-user",
    ),
    "another header freed of escapes": (
        lambda c: c.headers.append(
            request_headers(replace={"X-Client-Subject": [{"search_regexp": "\\\\\\+", "replace": "+"}]})
        ),
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
    "set in the block by a rare character": (
        lambda c: c.block.insert(0, route(request_headers(set={"X!Client~User": ["root"]}))),
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
    "set from what an upstream answered": (
        lambda c: c.block.insert(
            0,
            route(
                proxy()
                | {
                    "handle_response": [
                        {"routes": [route(request_headers(set={"X-Client-User": ["{query.u}"]}))]}
                    ]
                }
            ),
        ),
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
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    assert_refused(*HOLES[name])
