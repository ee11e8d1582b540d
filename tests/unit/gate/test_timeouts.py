# SPDX-License-Identifier: Apache-2.0
"""The longest life of a request reaches every server and every proxy, and lengthens nothing."""

import copy
from typing import Any

import pytest

from pivgate.gate.timeouts import limited

SECOND = 1_000_000_000


def proxy(**more: Any) -> dict[str, Any]:
    return {"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:1"}], **more}


def config(*handlers: dict[str, Any], **server: Any) -> dict[str, Any]:
    routes = [{"handle": [{"handler": "subroute", "routes": [{"handle": list(handlers)}]}]}]
    named = {"named_routes": {"x": {"handle": [proxy()]}}}
    servers = {"srv0": {"listen": [":443"], "routes": routes, **named, **server}, "srv1": {"listen": [":80"]}}
    return {"admin": {}, "apps": {"tls": {}, "http": {"http_port": 80, "servers": servers}}}


def served(found: dict[str, Any]) -> dict[str, Any]:
    server: dict[str, Any] = found["apps"]["http"]["servers"]["srv0"]
    return server


def handlers(found: dict[str, Any]) -> list[dict[str, Any]]:
    inner: list[dict[str, Any]] = served(found)["routes"][0]["handle"][0]["routes"][0]["handle"]
    return inner


def test_without_limits_nothing_is_changed() -> None:
    given = config(proxy(), write_timeout=5)

    assert limited(given, 0, 0) == given
    assert limited({"admin": {}}, 3, 3) == {"admin": {}}
    assert limited({"apps": {"http": {}}}, 3, 3) == {"apps": {"http": {}}}


def test_every_server_and_every_proxy_is_limited() -> None:
    given = config(proxy(), {"handler": "static_response"})
    before = copy.deepcopy(given)

    found = limited(given, 3, 7)

    assert given == before
    assert (served(found)["read_timeout"], served(found)["write_timeout"]) == (3 * SECOND, 3 * SECOND)
    assert found["apps"]["http"]["servers"]["srv1"] == {
        "listen": [":80"],
        "read_timeout": 3 * SECOND,
        "write_timeout": 3 * SECOND,
    }
    assert handlers(found) == [proxy(stream_timeout=7 * SECOND), {"handler": "static_response"}]
    assert served(found)["named_routes"]["x"]["handle"] == [proxy(stream_timeout=7 * SECOND)]
    assert (found["admin"], found["apps"]["tls"]) == ({}, {})
    assert found["apps"]["http"]["http_port"] == 80


@pytest.mark.parametrize(
    ("there", "becomes"),
    [
        (2 * SECOND, 2 * SECOND),
        (9 * SECOND, 3 * SECOND),
        (0, 3 * SECOND),
        (-1, 3 * SECOND),
        ("1s", 3 * SECOND),
    ],
)
def test_only_what_is_longer_or_not_understood_is_replaced(there: object, becomes: int) -> None:
    found = limited(config(proxy(stream_timeout=there), write_timeout=there, read_timeout=there), 3, 3)

    assert served(found)["write_timeout"] == becomes
    assert served(found)["read_timeout"] == becomes
    assert handlers(found)[0]["stream_timeout"] == becomes


def test_each_limit_stands_alone() -> None:
    assert "stream_timeout" not in handlers(limited(config(proxy()), 3, 0))[0]
    assert "write_timeout" not in served(limited(config(proxy()), 0, 3))
