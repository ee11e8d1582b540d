# SPDX-License-Identifier: Apache-2.0
"""Caddy's admin API: read the configuration that runs, and hand over another one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.errors import GateError
from pivgate.gate.unix_http import exchange

Config = Mapping[str, Any]
"""Caddy's configuration: the JSON of https://caddyserver.com/docs/json/ as Python has it."""

# On a unix socket Caddy does not look at the Host header; RFC 9112, section 3.2, still demands one.
_HOST = "pivgate.admin"


class LoadRefusedError(GateError):
    """Caddy does not take the configuration; what ran before still runs.

    Attributes:
        reason: Caddy's own words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Caddy does not take the configuration: {reason}",
            "Mend the Caddyfile and run the command again; what was served before still is.",
        )
        self.reason = reason


def admin_address(socket: Path) -> str:
    """Write a unix socket as Caddy does, with the mode that lets only its owner connect."""
    return f"unix/{socket}|0200"


def at_home(config: Config, socket: Path) -> dict[str, Any]:
    """Return the configuration with an admin API that stays where pivgate finds it.

    Two things are settled here, whatever the Caddyfile says. A load that fails still moves the admin API to
    where the failed configuration has it (or to TCP port 2019, open to every local user), so it always has it
    on our socket. And nothing is saved on the side: an old configuration must not come back by `--resume`.
    """
    admin = {"listen": admin_address(socket), "config": {"persist": False}}
    return {**config, "admin": admin}


@dataclass(frozen=True)
class AdminApi:
    """The admin API of a Caddy that listens on a unix socket.

    Attributes:
        socket: That socket.
        timeout: Seconds for one step of an exchange. A load of 5,000 sites takes about one second.
        known_as: The path by which Caddy itself knows that socket, should it have got another name since.
    """

    socket: Path
    timeout: float = 30.0
    known_as: Path | None = None

    def config(self) -> dict[str, Any]:
        """Return the configuration Caddy holds; empty when it holds none.

        It waits while another one is being loaded. After a load that broke off it may be one that
        does not run.

        Raises:
            NotRunningError: No Caddy listens there.
            BrokeOffError: Caddy did not answer.
            GateError: The answer is not a configuration.
        """
        reply = exchange(self.socket, _HOST, "GET", "/config/", timeout=self.timeout)
        try:
            config = json.loads(reply.body)
        except ValueError as error:
            raise GateError(
                f"What listens on {self.socket} answers {reply.status} and no JSON", "Is it Caddy?"
            ) from error
        if reply.status != 200 or not isinstance(config, dict | None):
            raise GateError(
                f"Caddy answers {reply.status} when asked for its configuration",
                "`pivgate down` and `pivgate up` start it afresh.",
            )
        return config or {}

    def load(self, config: Config) -> None:
        """Replace the whole configuration, also when it is the same as before.

        The header makes Caddy read certificate files again that have changed under the same name; without it
        an unchanged configuration is not loaded at all.

        Raises:
            LoadRefusedError: Caddy does not take it; the old one still runs.
            NotRunningError: No Caddy listens there.
            BrokeOffError: Caddy broke off; which configuration runs cannot be told from :meth:`config`.
            GateError: The configuration would move the admin API away; it was not sent.
        """
        wanted = admin_address(self.known_as or self.socket)
        found = (config.get("admin") or {}).get("listen")
        if found != wanted:
            raise GateError(
                f"The configuration would move Caddy's admin API from {wanted} to {found or 'TCP port 2019'}",
                f"Write `admin {wanted}` in the global options of the Caddyfile.",
            )
        reply = exchange(
            self.socket,
            _HOST,
            "POST",
            "/load",
            body=json.dumps(config).encode(),
            headers={"Content-Type": "application/json", "Cache-Control": "must-revalidate"},
            timeout=self.timeout,
        )
        if reply.status != 200:
            raise LoadRefusedError(_reason(reply.body))


def _reason(body: bytes) -> str:
    try:
        reason = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        reason = body.decode(errors="replace").strip()
    # Caddy wraps an error once for every layer it passes; the innermost says what is wrong.
    return str(reason).removeprefix("loading config: ").removeprefix("loading new config: ")
