# SPDX-License-Identifier: Apache-2.0
"""The golden adapted configuration, with names for the places that tests change in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        """The routes of the gate: connection, upgrade, tree, name, CONNECT, headers, e-mail, block."""
        return self.beside[0]["handle"][0]["routes"]

    @property
    def tree(self) -> dict[str, Any]:
        return self.gate[2]

    @property
    def lookup(self) -> dict[str, Any]:
        return self.tree["match"][0]["not"][0]["file"]

    @property
    def headers(self) -> list[dict[str, Any]]:
        return self.gate[5]["handle"]

    @property
    def block(self) -> list[dict[str, Any]]:
        return self.gate[7]["handle"][0]["routes"]

    @property
    def verdict_routes(self) -> list[dict[str, Any]]:
        return self.verdict["routes"][0]["handle"][0]["routes"][0]["handle"][0]["routes"]


def assert_refused(change: Change, expected: str) -> None:
    """Change the configuration, and see the audit refuse it with these words."""
    config = Config()
    change(config)
    assert config.json != Config().json, "the change must change something"
    with pytest.raises(AuditError) as caught:
        audit(config.json, EXPECTED)
    assert expected in caught.value.message
    assert caught.value.hint


def route(*handlers: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"handle": list(handlers), **others}


def proxy(**request: Any) -> dict[str, Any]:
    return {"handler": "reverse_proxy", "headers": {"request": request}}


def request_headers(**request: Any) -> dict[str, Any]:
    return {"handler": "headers", "request": request}
