# SPDX-License-Identifier: Apache-2.0
"""What Caddy is told between two gates: nobody is reached early, and no file of the other is removed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pivgate.errors import GateError
from pivgate.gate.sever_configs import draining, warming
from pivgate.gate.sites import GatedSite

RUN = Path("/home/run")
POLICIES = [{"match": {"sni": ["a.test"]}, "client_authentication": {"mode": "require_and_verify"}}]
CONFIG: dict[str, Any] = {
    "admin": {"listen": "unix//home/run/admin.sock|0200"},
    "logging": {"logs": {}},
    "apps": {
        "tls": {"automation": {"policies": [{"subjects": ["a.test"]}]}},
        "http": {
            "http_port": 8080,
            "servers": {
                "srv0": {
                    "listen": ["127.0.0.1:8443", "[::1]:8443"],
                    "tls_connection_policies": POLICIES,
                    "automatic_https": {"skip": ["c.test"]},
                    "routes": [{"terminal": True}],
                },
                "srv1": {"listen": ["127.0.0.1:8080"], "routes": []},
                "srv2": {"listen": ["unix//home/run/verdict.sock|0200"], "routes": [{}]},
                "srv3": {
                    "listen": [":9443", "unix//run/site.sock"],
                    "tls_connection_policies": POLICIES,
                    "routes": [],
                },
            },
        },
    },
}
SITES = (
    GatedSite("a.test", 8443, ("admins",), ("127.0.0.1:8443", "[::1]:8443")),
    GatedSite("*.b.test", 9443, ("admins",), (":9443",)),
    GatedSite("d.test", 1, ("admins",), (":1",)),
)


def test_warming_reaches_nobody() -> None:
    before = copy.deepcopy(CONFIG)

    warm = warming(CONFIG, SITES, RUN)

    assert before == CONFIG
    servers = warm.config["apps"]["http"]["servers"]
    assert {name: server["listen"] for name, server in servers.items()} == {
        "srv0": ["unix//home/run/warm.0|0200"],
        "srv3": ["unix//home/run/warm.1|0200"],
    }
    assert servers["srv0"]["automatic_https"] == {"skip": ["c.test"], "disable_redirects": True}
    assert servers["srv3"]["automatic_https"] == {"disable_redirects": True}
    for name, server in servers.items():
        assert server["routes"] == CONFIG["apps"]["http"]["servers"][name]["routes"]
        assert server["tls_connection_policies"] == POLICIES
    assert warm.config["apps"]["tls"] == CONFIG["apps"]["tls"]
    assert warm.config["admin"] == CONFIG["admin"]
    assert warm.config["apps"]["http"]["http_port"] == 8080


def test_warming_knocks_once_for_every_name() -> None:
    assert warming(CONFIG, SITES, RUN).knocks == (
        (RUN / "warm.0", "a.test"),
        (RUN / "warm.1", "any.b.test"),
    )


def test_draining_keeps_only_what_listens_on_unix_sockets() -> None:
    before = copy.deepcopy(CONFIG)

    drained = draining(CONFIG)

    assert before == CONFIG
    servers = drained["apps"]["http"]["servers"]
    assert {name: server["listen"] for name, server in servers.items()} == {
        "srv2": ["unix//home/run/verdict.sock|0200"],
        "srv3": ["unix//run/site.sock"],
    }
    assert all(server["automatic_https"] == {"disable": True} for server in servers.values())
    assert servers["srv2"]["routes"] == [{}]
    assert drained["admin"] == CONFIG["admin"]
    assert set(drained["apps"]) == {"http"}


@pytest.mark.parametrize("config", [{}, {"apps": {}}, {"apps": {"http": {}}}, {"apps": None}])
def test_a_configuration_without_sites(config: dict[str, Any]) -> None:
    given = {**config, "admin": CONFIG["admin"]}

    assert draining(given)["apps"]["http"]["servers"] == {}
    assert warming(given, (), RUN).knocks == ()


def test_what_cannot_be_read_is_not_taken_for_a_unix_socket() -> None:
    config = {**CONFIG, "apps": {"http": {"servers": {"x": {"listen": ["fd/3"]}}}}}

    with pytest.raises(GateError, match="fd/3"):
        draining(config)
