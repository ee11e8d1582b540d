# SPDX-License-Identifier: Apache-2.0
"""Handlers are joined where Caddy cannot tell the difference, and nowhere else."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.audited import EXPECTED, GOLDEN, SITES

from pivgate.gate.config_audit import audit
from pivgate.gate.joined import joined

Request = dict[str, Any]
Headers = dict[str, str]


def headers(request: Request, **more: Any) -> dict[str, Any]:
    return {"handler": "headers", "request": request, **more}


def together(*handlers: Any) -> list[Any]:
    found: list[Any] = joined({"routes": [{"handle": list(handlers)}]})["routes"][0]["handle"]
    return found


USER = "{http.regexp.pivgate_user.1}"
PLUS = {"search_regexp": r"\\\+", "replace": "+"}


def test_deletions_follow_each_other_in_one_handler() -> None:
    handlers = [headers({"delete": [name]}) for name in ("*!*", "X-Client*", "Forwarded")]
    assert together(*handlers) == [headers({"delete": ["*!*", "X-Client*", "Forwarded"]})]


def test_what_is_set_and_then_replaced_is_one_handler() -> None:
    handlers = [
        headers({"set": {"X-Client-User": [USER]}}),
        headers({"replace": {"X-Client-User": [PLUS]}}),
        headers({"set": {"X-Client-Serial": ["{http.request.tls.client.serial}"]}}),
    ]
    assert together(*handlers) == [
        headers(
            {
                "set": {"X-Client-User": [USER], "X-Client-Serial": ["{http.request.tls.client.serial}"]},
                "replace": {"X-Client-User": [PLUS]},
            }
        )
    ]


SET = headers({"set": {"X-A": ["1"]}})
APART: dict[str, list[Any]] = {
    "deleted, then set": [headers({"delete": ["X-*"]}), SET],
    "set, then deleted": [SET, headers({"delete": ["X-*"]})],
    "everything deleted": [headers({"delete": ["X-A"]}), headers({"delete": ["*"]})],
    "a placeholder that may say everything": [
        headers({"delete": ["X-A"]}),
        headers({"delete": ["{query.x}"]}),
    ],
    "set twice": [SET, headers({"set": {"x-a": ["2"]}})],
    "replaced, then set": [headers({"replace": {"X-A": [PLUS]}}), headers({"set": {"x-A": ["1"]}})],
    "replaced twice": [headers({"replace": {"X-A": [PLUS]}}), headers({"replace": {"X-A": [PLUS]}})],
    "everything replaced": [SET, headers({"replace": {"*": [PLUS]}})],
    "added": [SET, headers({"add": {"X-B": ["1"]}})],
    "set to another header": [SET, headers({"set": {"X-B": ["{http.request.header.X-A}"]}})],
    "set from what looks at headers": [SET, headers({"set": {"X-B": ["{http.request.host}"]}})],
    "a brace by itself": [SET, headers({"set": {"X-B": ["}{http.request.tls.client.serial"]}})],
    "replaced by another header": [SET, headers({"replace": {"X-B": [PLUS | {"replace": "{header.X-A}"}]}})],
    "named by a placeholder": [SET, headers({"set": {"{query.x}": ["1"]}})],
    "the host": [SET, headers({"set": {"Host": ["x"]}})],
    "the response too": [SET, headers({"set": {"X-B": ["1"]}}, response={"set": {"X-C": ["1"]}})],
    "only the response": [SET, {"handler": "headers", "response": {"set": {"X-C": ["1"]}}}],
    "another handler between": [SET, {"handler": "encode"}, headers({"set": {"X-B": ["1"]}})],
    "no handler at all": [SET, "headers"],
}


@pytest.mark.parametrize("name", APART)
def test_what_could_differ_stays_apart(name: str) -> None:
    assert together(*APART[name]) == APART[name]


def test_handlers_of_different_routes_stay_apart() -> None:
    config = {"routes": [{"handle": [SET]}, {"match": [{"path": ["/"]}], "handle": [SET]}]}
    assert joined(config) == config


def test_the_gate_is_the_same_to_the_audit_with_fewer_handlers() -> None:
    config = json.loads(GOLDEN.read_text())
    before = copy.deepcopy(config)
    found = joined(config)
    assert config == before, "the given one is left alone"
    assert audit(found, EXPECTED) == SITES
    count = json.dumps(config).count('"request": {')
    # Of each site: deleted; set and replaced; the address, which is not set for everybody.
    assert json.dumps(found).count('"request": {') == 3 * len(SITES) < count / 7


NAMES = ("X-A", "x-a", "X-B", "B-A")
requests = st.one_of(
    st.fixed_dictionaries(
        {"delete": st.lists(st.sampled_from([*NAMES, "X-*", "*-A", "*b*", "*"]), max_size=2)}
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "set": st.dictionaries(st.sampled_from(NAMES[1:]), st.sampled_from([["1"], ["a+"], [""]])),
            "replace": st.dictionaries(
                st.sampled_from(NAMES[1:]),
                st.sampled_from([[PLUS], [{"search_regexp": "1", "replace": "2"}]]),
            ),
        },
    ),
)


@given(
    st.lists(requests, max_size=6), st.dictionaries(st.sampled_from(["x-a", "x-b", "b-a"]), st.just("a\\+1"))
)
def test_a_request_comes_out_the_same(changes: list[Request], sent: Headers) -> None:
    one_by_one = sent
    for change in changes:
        one_by_one = applied(change, one_by_one)
    at_once = sent
    for handler in together(*(headers(change) for change in changes)):
        at_once = applied(handler["request"], at_once)
    assert at_once == one_by_one


def applied(request: Request, before: Headers) -> Headers:
    """Change headers as one of Caddy's handlers does: delete all, set, delete, replace."""
    found = {} if "*" in request.get("delete", []) else dict(before)
    found |= {name.lower(): values[0] for name, values in request.get("set", {}).items()}
    for pattern in (pattern.lower() for pattern in request.get("delete", []) if pattern != "*"):
        wanted = re.compile(re.escape(pattern).replace(r"\*", ".*"))
        found = {name: value for name, value in found.items() if not wanted.fullmatch(name)}
    for name, replacements in request.get("replace", {}).items():
        for each in replacements if name.lower() in found else []:
            value = found[name.lower()]
            found[name.lower()] = re.sub(each["search_regexp"], each["replace"], value)
    return found
