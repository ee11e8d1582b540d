# SPDX-License-Identifier: Apache-2.0
"""Ways past the gate to an upstream that stands behind it, one at a time."""

import copy
from typing import Any

import pytest
from tests.unit.gate.audited import EXPECTED, SITES, Change, Config, assert_refused, route

from pivgate.gate.audit_upstreams import normalised
from pivgate.gate.config_audit import audit

# What the golden configuration's first site proxies to.
BEHIND = Config().block[0]["handle"][0]["upstreams"][0]["dial"]
SHARED = "has no gate, and sends requests to"


def proxying(dial: str, **others: Any) -> dict[str, Any]:
    return {"handler": "reverse_proxy", "upstreams": [{"dial": dial}], **others}


def question(dial: str) -> dict[str, Any]:
    """What `forward_auth` becomes."""
    answer = [{"match": {"status_code": [2]}, "routes": [route({"handler": "vars"})]}]
    return proxying(dial, rewrite={"method": "GET", "uri": "/verify"}, handle_response=answer)


def open_site(config: Config, *handlers: dict[str, Any], **others: Any) -> None:
    config.servers["srv9"] = {"listen": [":8081"], "routes": [route(*handlers)], **others}


def behind(config: Config, dial: str) -> None:
    config.block[0]["handle"][0]["upstreams"] = [{"dial": dial}]


HOLES: dict[str, tuple[Change, str]] = {
    "on another port": (lambda c: open_site(c, proxying(BEHIND)), SHARED),
    "by another name on the same port": (
        lambda c: c.server["routes"].append(route(proxying(BEHIND), match=[{"host": ["x.test"]}])),
        SHARED,
    ),
    "for all other names on the same port": (
        lambda c: c.server["routes"].append(route(proxying(BEHIND))),
        SHARED,
    ),
    "by a wildcard": (
        lambda c: c.server["routes"].append(route(proxying(BEHIND), match=[{"host": ["*.x.test"]}])),
        SHARED,
    ),
    "for some paths": (
        lambda c: open_site(
            c, {"handler": "subroute", "routes": [route(proxying(BEHIND), match=[{"path": ["/healthz"]}])]}
        ),
        SHARED,
    ),
    "by a named route": (
        lambda c: open_site(
            c, {"handler": "invoke", "name": "x"}, named_routes={"x": route(proxying(BEHIND))}
        ),
        SHARED,
    ),
    "when something goes wrong": (
        lambda c: open_site(c, errors={"routes": [route(proxying(BEHIND))]}),
        SHARED,
    ),
    "when an upstream has answered": (
        lambda c: open_site(
            c, proxying("10.9.9.9:1", handle_response=[{"routes": [route(proxying(BEHIND))]}])
        ),
        SHARED,
    ),
    "as one of several": (
        lambda c: open_site(c, proxying("x:1", upstreams=[{"dial": "10.9.9.9:1"}, {"dial": BEHIND}])),
        SHARED,
    ),
    "to be asked": (lambda c: open_site(c, question(BEHIND)), SHARED),
    "whose good answers are the content": (
        lambda c: (
            behind(c, "10.0.0.7:80"),
            c.block[0]["handle"][0].update(
                rewrite={"method": "GET"}, handle_response=[{"match": {"status_code": [5]}}]
            ),
            open_site(c, proxying("10.0.0.7:80")),
        ),
        SHARED,
    ),
    "found while serving": (
        lambda c: (
            behind(c, "app.internal:8000"),
            open_site(
                c,
                {
                    "handler": "reverse_proxy",
                    "dynamic_upstreams": {"source": "a", "name": "app.internal", "port": "8000"},
                },
            ),
        ),
        SHARED,
    ),
    "found while serving, one of several": (
        lambda c: (
            behind(c, "app.internal:80"),
            open_site(
                c,
                {
                    "handler": "reverse_proxy",
                    "dynamic_upstreams": {
                        "source": "multi",
                        "sources": [{"source": "srv", "name": "x"}, {"source": "a", "name": "app.internal"}],
                    },
                },
            ),
        ),
        SHARED,
    ),
    "on this machine": (lambda c: (behind(c, "localhost:80"), open_site(c, proxying("[::1]:80"))), SHARED),
    "PHP of the same folder": (
        lambda c: (
            behind(c, "unix//run/php.sock"),
            c.block[0]["handle"][0].update(transport={"protocol": "fastcgi"}),
            c.block[0]["handle"].insert(0, {"handler": "vars", "root": "/srv/app"}),
            open_site(
                c,
                {"handler": "vars", "root": "/srv/app"},
                proxying("unix//run/php.sock", transport={"protocol": "fastcgi"}),
            ),
        ),
        SHARED,
    ),
    "PHP of the same folder, without a name": (
        lambda c: (
            behind(c, "unix//run/php.sock"),
            c.block[0]["handle"][0].update(transport={"protocol": "fastcgi", "root": "/srv/app/"}),
            open_site(c, {"handler": "vars", "root": "/srv/app"}),
            c.servers["srv9"]["routes"].append(
                route(proxying("unix//run/php.sock", transport={"protocol": "fastcgi"}))
            ),
        ),
        SHARED,
    ),
    "Caddy itself, open to the network": (
        lambda c: (behind(c, "localhost:8081"), open_site(c, {"handler": "file_server"})),
        "The site on :8081 has no gate, and is itself behind the gate of",
    ),
    "Caddy itself, on one address": (
        lambda c: (
            behind(c, "10.0.0.1:8081"),
            open_site(c, {"handler": "file_server"}, listen=["fd/3", "127.0.0.1:1", "10.0.0.1:8081"]),
        ),
        "The site on 10.0.0.1:8081 has no gate",
    ),
    "chosen by the request": (
        lambda c: open_site(c, proxying("{http.request.header.X-To}")),
        "only known while it serves",
    ),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    assert_refused(*HOLES[name])


HARMLESS: dict[str, Change] = {
    "another upstream": lambda c: open_site(c, proxying("10.9.9.9:8000")),
    "another port of the same upstream": lambda c: open_site(c, proxying(BEHIND.rpartition(":")[0] + ":1")),
    "Caddy itself, on the loopback": lambda c: (
        behind(c, "localhost:8081"),
        open_site(c, {"handler": "file_server"}, listen=["127.0.0.1:8081", "[::1]:8081"]),
    ),
    "Caddy itself, where it only refuses": lambda c: (
        behind(c, "localhost:8081"),
        open_site(c, {"handler": "static_response", "status_code": 404}),
    ),
    "another gated site": lambda c: c.server["routes"].append(copied_site(c)),
    "asked by both, content of neither": lambda c: (
        c.block.insert(0, route(question("10.0.0.9:9000"))),
        open_site(c, proxying("10.0.0.9:9000")),
    ),
    "PHP of another folder": lambda c: (
        behind(c, "unix//run/php.sock"),
        c.block[0]["handle"][0].update(transport={"protocol": "fastcgi", "root": "/srv/app"}),
        open_site(
            c,
            {"handler": "vars", "root": "/srv/open"},
            proxying("unix//run/php.sock", transport={"protocol": "fastcgi"}),
        ),
    ),
}


def copied_site(config: Config) -> dict[str, Any]:
    site = copy.deepcopy(config.site)
    site["match"] = [{"host": ["APP.example.com"]}]
    return site


@pytest.mark.parametrize("name", HARMLESS)
def test_what_opens_nothing_passes(name: str) -> None:
    config = Config()
    HARMLESS[name](config)
    assert config.json != Config().json, "the change must change something"
    assert audit(config.json, EXPECTED) == SITES


def test_without_a_gated_upstream_there_is_nothing_to_share() -> None:
    config = Config()
    config.block.clear()
    open_site(config, proxying("{http.request.header.X-To}"))
    del config.server["routes"][1:]
    assert audit(config.json, EXPECTED)


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "localhost:80",
            "127.0.0.1:80",
            "[::1]:80",
            ":80",
            "0.0.0.0:80",
            "127.9.9.9:80",
            "[::ffff:127.0.0.1]:80",
        ),
        ("LOCALHOST.:80", "tcp/127.0.0.1:80", "app.localhost:80", "[::]:080", "tcp4/localhost:80"),
        ("App.internal:8000", "app.internal.:8000", "tcp/app.internal:8000"),
        ("[2001:db8::1]:80", "[2001:DB8:0::1]:80"),
        ("10.0.0.1:80", "[::ffff:10.0.0.1]:80"),
        (
            "unix//run/app.sock",
            "unix+h2c//run/app.sock",
            "unix//run/./app.sock",
            "unix//run//x/../app.sock|0200",
        ),
        ("srv/_app._tcp.x.test", "srv/_APP._tcp.x.test."),
    ],
)
def test_spellings_of_one_destination_are_one(spellings: tuple[str, ...]) -> None:
    assert len({normalised(each) for each in spellings}) == 1


def test_other_destinations_are_others() -> None:
    dials = [
        *("localhost:80", "localhost:81", "10.0.0.1:80", "app.internal:80", "unix//run/a.sock"),
        *("unix//run/b.sock", "unix/@a", "srv/app.internal"),
    ]
    assert len({normalised(each) for each in dials}) == len(dials)
