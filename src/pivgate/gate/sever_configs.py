# SPDX-License-Identifier: Apache-2.0
"""The two configurations between which a gate changes hands, made from the one that is served. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.gate.addresses import Unix, parse_listen
from pivgate.gate.sites import GatedSite

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Warming:
    """A configuration that reaches nobody, and where to see that it is ready.

    Attributes:
        config: Caddy's JSON.
        knocks: For each gated site a unix socket and the name to shake hands with.
    """

    config: dict[str, Any]
    knocks: tuple[tuple[Path, str], ...]


def warming(config: Config, sites: Iterable[GatedSite], folder: Path) -> Warming:
    """Move every server that speaks TLS from its ports to a unix socket, and leave out the others.

    Caddy listens before it has read its server certificates, and who comes meanwhile is turned away; what it
    has read, it keeps when it is given the next configuration. Servers without TLS have nothing to read, and
    on another address than http_port Caddy would fetch certificates for them.

    Args:
        config: What is to be served afterwards.
        sites: The gated sites in it.
        folder: Where the sockets are to be.
    """
    encrypted = {name: one for name, one in _servers(config).items() if one.get("tls_connection_policies")}
    moved, sockets = {}, {}
    for number, (name, server) in enumerate(encrypted.items()):
        socket = folder / f"warm.{number}"
        sockets.update(dict.fromkeys(server.get("listen") or [], socket))
        quiet = {**(server.get("automatic_https") or {}), "disable_redirects": True}
        moved[name] = {**server, "listen": [f"unix/{socket}|0200"], "automatic_https": quiet}
    knocks = {
        (sockets[address], site.host.replace("*", "any"))
        for site in sites
        for address in site.listen
        if address in sockets
    }
    return Warming(_with(config, moved), tuple(sorted(knocks)))


def draining(config: Config) -> dict[str, Any]:
    """Leave out all that listens on a port.

    What listens on a unix socket stays: in closing it, Caddy would remove the file of that name, which is
    another Caddy's by now.
    """
    kept = {}
    for name, server in _servers(config).items():
        sockets = [listen for listen in server.get("listen") or [] if _is_unix(listen)]
        if sockets:
            kept[name] = {**server, "listen": sockets, "automatic_https": {"disable": True}}
    return {**_with({}, kept), "admin": config["admin"]}


def _servers(config: Config) -> Mapping[str, Any]:
    return ((config.get("apps") or {}).get("http") or {}).get("servers") or {}


def _with(config: Config, servers: Mapping[str, Any]) -> dict[str, Any]:
    apps = config.get("apps") or {}
    return {**config, "apps": {**apps, "http": {**(apps.get("http") or {}), "servers": servers}}}


def _is_unix(listen: str) -> bool:
    return all(isinstance(endpoint, Unix) for endpoint in parse_listen(listen))
