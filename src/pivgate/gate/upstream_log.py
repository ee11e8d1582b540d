# SPDX-License-Identifier: Apache-2.0
"""Keep the request out of the log lines about upstreams. Pure.

``reverse_proxy`` hands each request to its logger before it knows whether there is anything to log, and the
logger writes all of it down as JSON at once (modules/caddyhttp/reverseproxy, ``reverseProxy``): a tenth of
what a request costs, for a line that is hardly ever written. An error is logged with its request all the
same, by the server.
"""

from collections.abc import Mapping
from typing import Any, Final

_PROXY: Final = "http.handlers.reverse_proxy"
# What a site's `log` excludes from the default log, and includes in its own.
_ACCESS: Final = "http.log.access"
_LOG: Final = "pivgate-upstreams"
_NO_REQUEST: Final = {"request": {"filter": "delete"}}


def without_requests(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with a log of its own for lines about upstreams, where the default one goes.

    It is left as it is where somebody has chosen which lines to see: with Caddy's ``debug``, or with a log
    that includes or excludes anything but access logs.

    Args:
        config: Caddy's JSON.
    """
    logging = config.get("logging") or {}
    logs = logging.get("logs") or {}
    default = logs.get("default") or {}
    chosen = [name for log in logs.values() for name in (*log.get("include", ()), *log.get("exclude", ()))]
    if default.get("level") == "DEBUG" or not all(name.startswith(_ACCESS) for name in chosen):
        return dict(config)
    wrapped = {"wrap": default["encoder"]} if "encoder" in default else {}
    own = {
        **default,
        "encoder": {"format": "filter", **wrapped, "fields": _NO_REQUEST},
        "include": [_PROXY],
        "exclude": [],
    }
    rest = {**default, "exclude": [*default.get("exclude", ()), _PROXY]}
    return {**config, "logging": {**logging, "logs": {**logs, "default": rest, _LOG: own}}}
