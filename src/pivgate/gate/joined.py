# SPDX-License-Identifier: Apache-2.0
"""Join neighbouring changes of a request's headers into one handler that does the same. Pure.

A Caddyfile has a ``headers`` handler for every single change, and a request pays for each. Of one handler,
Caddy applies what is set before what is deleted before what is replaced, and what is set in no order
(modules/caddyhttp/headers, ``HeaderOps.ApplyTo``): joined is only what that cannot change.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

# Placeholders that no change of a header can change.
_FIXED: Final = re.compile(r"\{http\.(?:request\.tls|regexp)\.[a-z0-9_.]+\}")


def joined(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of the same meaning with fewer handlers.

    Args:
        config: Caddy's JSON.
    """
    return {name: _joined(value) for name, value in config.items()}


def _joined(node: Any) -> Any:
    if isinstance(node, list):
        return [_joined(each) for each in node]
    if not isinstance(node, dict):
        return node
    below = {name: _joined(value) for name, value in node.items()}
    if isinstance(below.get("handle"), list):
        below["handle"] = _fewer(below["handle"])
    return below


def _fewer(handlers: list[Any]) -> list[Any]:
    found: list[Any] = []
    for handler in handlers:
        both = _both(found[-1], handler) if found else None
        if both is None:
            found.append(handler)
        else:
            found[-1] = both
    return found


def _both(first: Any, second: Any) -> dict[str, Any] | None:
    """Return one handler that does what two do one after the other; None when there is none for certain."""
    one, other = _only_request(first), _only_request(second)
    if one is None or other is None:
        return None
    request = _deletions(one, other) or _settings(one, other)
    return None if request is None else {"handler": "headers", "request": request}


def _only_request(handler: Any) -> dict[str, Any] | None:
    """Return what is changed by a handler that changes a request's headers, and nothing else."""
    if not isinstance(handler, dict) or handler.keys() != {"handler", "request"}:
        return None
    request = handler["request"]
    return request if handler["handler"] == "headers" and isinstance(request, dict) else None


def _deletions(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    if one.keys() != {"delete"} or other.keys() != {"delete"}:
        return None
    patterns = [*one["delete"], *other["delete"]]
    # "*" alone is done before everything else; a placeholder could stand for it.
    return None if any(name == "*" or "{" in name for name in patterns) else {"delete": patterns}


def _settings(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    if not _is_plain(one) or not _is_plain(other):
        return None
    replaced = _names(one, "replace")
    if _names(other, "set") & (_names(one, "set") | replaced) or _names(other, "replace") & replaced:
        return None
    both = {kind: {**one.get(kind, {}), **other.get(kind, {})} for kind in ("set", "replace")}
    return {kind: changes for kind, changes in both.items() if changes}


def _is_plain(request: dict[str, Any]) -> bool:
    """Say whether a request's headers are only set and replaced, by what no other change can have changed."""
    names = _names(request, "set") | _names(request, "replace")
    texts = [text for values in request.get("set", {}).values() for text in values]
    texts += [text for each in request.get("replace", {}).values() for one in each for text in one.values()]
    # Host is no header to Go, and other placeholders look at it.
    special = any(name == "host" or set("*{") & set(name) for name in names)
    return request.keys() <= {"set", "replace"} and not special and all(_is_fixed(text) for text in texts)


def _is_fixed(text: str) -> bool:
    return not set("{}") & set(_FIXED.sub("", text))


def _names(request: dict[str, Any], kind: str) -> set[str]:
    return {name.lower() for name in request.get(kind, {})}
