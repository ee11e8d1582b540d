# SPDX-License-Identifier: Apache-2.0
"""Whether a route or a TLS policy concerns a host: yes, no, or only the request can tell."""

from collections.abc import Callable, Iterable
from enum import Enum

from pivgate.gate.audit_node import Node


class Match(Enum):
    """What can be said of a matcher when only the host is known."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


# Stands for any name under a wildcard that the configuration does not name by itself.
_ANY_LABEL = "pivgate-any-name"


def representative(pattern: str) -> str:
    """Return a host that a pattern stands for: itself, or some name under the wildcard."""
    return pattern.lower().replace("*", _ANY_LABEL)


def route_match(route: Node, host: str) -> Match:
    """Say whether a route takes requests for a host. Without matchers it takes all."""
    sets = route["match"].items()
    return _any(_matcher_set(entry, host) for entry in sets) if sets else Match.YES


def policy_match(policy: Node, name: str) -> Match:
    """Say whether a TLS connection policy is chosen for a server name."""
    results = []
    for matcher in policy["match"].members():
        if matcher == "sni":
            names = policy["match"]["sni"].texts()
            results.append(_any(_pattern(entry, name, _covers_server_name) for entry in names))
        else:
            results.append(Match.MAYBE)
    return _all(results)


def names_host(route: Node, host: str) -> bool:
    """Say whether a route has a host matcher, and that matcher takes the host."""
    return any(
        "host" in entry.members() and _matcher_set(entry, host) is not Match.NO
        for entry in route["match"].items()
    )


def hosts_of(route: Node) -> list[str]:
    """Return the host patterns of a route."""
    return [name.lower() for entry in route["match"].items() for name in entry["host"].texts()]


def _matcher_set(matchers: Node, host: str) -> Match:
    return _all(_matcher(matchers[name], name, host) for name in matchers.members())


def _matcher(value: Node, name: str, host: str) -> Match:
    if name == "host":
        return _any(_pattern(entry, host, _covers_host) for entry in value.texts())
    if name == "not":
        return _inverse(_any(_matcher_set(entry, host) for entry in value.items()))
    return Match.MAYBE


def _pattern(pattern: str, name: str, covers: Callable[[str, str], bool]) -> Match:
    if "{" in pattern:
        return Match.MAYBE
    return Match.YES if covers(pattern.lower(), name) else Match.NO


def _covers_host(pattern: str, host: str) -> bool:
    # modules/caddyhttp/matchers.go, MatchHost: an asterisk stands for exactly one label, anywhere.
    ours, theirs = host.split("."), pattern.split(".")
    return len(ours) == len(theirs) and all(
        label in ("*", name) for label, name in zip(theirs, ours, strict=True)
    )


def _covers_server_name(pattern: str, name: str) -> bool:
    # certmagic, MatchWildcard: asterisks replace labels from the left only.
    labels = name.split(".")
    spellings = [name] + [".".join(["*"] * count + labels[count:]) for count in range(1, len(labels) + 1)]
    return pattern in spellings


def _any(results: Iterable[Match]) -> Match:
    seen = set(results)
    if Match.YES in seen:
        return Match.YES
    return Match.MAYBE if Match.MAYBE in seen else Match.NO


def _all(results: Iterable[Match]) -> Match:
    seen = set(results)
    if Match.NO in seen:
        return Match.NO
    return Match.MAYBE if Match.MAYBE in seen else Match.YES


def _inverse(result: Match) -> Match:
    return {Match.YES: Match.NO, Match.NO: Match.YES, Match.MAYBE: Match.MAYBE}[result]
