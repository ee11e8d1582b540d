# SPDX-License-Identifier: Apache-2.0
"""Limit how long one request may take, on every server, whatever the Caddyfile says of it. Pure.

Source: https://caddyserver.com/docs/json/apps/http/servers/ and its ``reverse_proxy`` handler; in that JSON a
number is a duration in nanoseconds.
"""

from collections.abc import Mapping
from typing import Any

_NANOSECONDS = 1_000_000_000


def limited(config: Mapping[str, Any], write_timeout: int, stream_timeout: int) -> dict[str, Any]:
    """Return the configuration with the longest life of a request set; a shorter one in it stays.

    Args:
        config: Caddy's JSON.
        write_timeout: Seconds for a request and its answer, both counted from the beginning of the request; 0
            for no limit. What the client sends is limited, too: an upload would else outlive the answer.
        stream_timeout: Seconds for a connection that was upgraded (a WebSocket), which a server's limits do
            not touch; 0 for no limit.
    """
    changed = dict(config)
    servers = ((config.get("apps") or {}).get("http") or {}).get("servers") or {}
    if servers and (write_timeout or stream_timeout):
        http = {**config["apps"]["http"], "servers": {}}
        for name, server in servers.items():
            proxied = _proxies_limited(server, stream_timeout)
            http["servers"][name] = {
                **proxied,
                **_shorter(proxied, "read_timeout", write_timeout),
                **_shorter(proxied, "write_timeout", write_timeout),
            }
        changed["apps"] = {**config["apps"], "http": http}
    return changed


def _shorter(holder: Mapping[str, Any], name: str, seconds: int) -> dict[str, Any]:
    there = holder.get(name)
    limit = seconds * _NANOSECONDS
    if not limit or (isinstance(there, int) and 0 < there <= limit):
        return {}
    return {name: limit}


def _proxies_limited(node: Any, seconds: int) -> Any:
    """Set the limit in every ``reverse_proxy``, however deep in routes and named routes."""
    if isinstance(node, list):
        return [_proxies_limited(each, seconds) for each in node]
    if not isinstance(node, dict):
        return node
    below = {name: _proxies_limited(each, seconds) for name, each in node.items()}
    if below.get("handler") == "reverse_proxy":
        below |= _shorter(below, "stream_timeout", seconds)
    return below
