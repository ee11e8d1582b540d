# SPDX-License-Identifier: Apache-2.0
"""Who may change the running configuration: only who can open our socket."""

import re
from pathlib import Path
from typing import Final

from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_node import Node

_RISK: Final = "Whoever can speak to Caddy's admin API can switch the gate off."


def admin_findings(config: Node, socket: Path) -> list[Finding]:
    """Check the ``admin`` object."""
    admin = config["admin"]
    findings = []
    if admin["disabled"].value is True:
        findings.append(
            Finding(
                Kind.ADMIN_OFF,
                "Caddy's admin API is switched off",
                admin["disabled"].path,
                "pivgate can neither apply a configuration nor see which one is running.",
                _remedy(socket),
            )
        )
    elif not is_private_socket(admin["listen"].text(), socket):
        listen = admin["listen"].text() or "its default, localhost:2019"
        findings.append(
            Finding(
                Kind.ADMIN_EXPOSED,
                f"Caddy's admin API listens on {listen} instead of {socket}",
                admin["listen"].path,
                "Every local user, or a web page in a browser on this machine, may reach it. " + _RISK,
                _remedy(socket),
            )
        )
    if admin["remote"].value is not None:
        findings.append(
            Finding(
                Kind.ADMIN_REMOTE,
                "Caddy's admin API is open to the network",
                admin["remote"].path,
                _RISK,
                "Remove `remote`.",
            )
        )
    if admin["config"]["load"].value is not None:
        findings.append(
            Finding(
                Kind.CONFIG_FETCHED,
                "Caddy fetches its configuration from somewhere else",
                admin["config"]["load"].path,
                "What it fetches replaces the audited configuration, unaudited.",
                "Remove `load` from `admin.config`.",
            )
        )
    return findings


def tcp_findings(config: Node) -> list[Finding]:
    """Check that no TCP port leads to the admin API of a Caddy that pivgate does not run."""
    admin = config["admin"]
    listen = admin["listen"].text() or "localhost:2019"
    if admin["disabled"].value is True or re.fullmatch(r"unix/[^|]+(?:\|0?[0-7]{2}0)?", listen):
        return []
    return [
        Finding(
            Kind.ADMIN_EXPOSED,
            f"Caddy's admin API listens on {listen}",
            admin["listen"].path,
            "Every local user may reach it. Whoever can speak to Caddy's admin API can switch client "
            "authentication off.",
            "Write `admin unix//run/caddy/admin.sock` in the global options; the folder for its user alone.",
        )
    ]


def is_private_socket(listen: str, socket: Path) -> bool:
    """Say whether a listener is that socket, with permissions for nobody outside its group."""
    match = re.fullmatch(r"unix/(?P<path>[^|]+)(?:\|0?[0-7]{2}0)?", listen)
    return match is not None and match["path"] == str(socket)


def _remedy(socket: Path) -> str:
    return f"Write `admin unix/{socket}|0200` in the global options."
