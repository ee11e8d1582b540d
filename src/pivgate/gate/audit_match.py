# SPDX-License-Identifier: Apache-2.0
"""Whether a route or a TLS policy concerns a host: yes, no, or only the request can tell."""

from collections.abc import Iterable
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
            results.append(_server_names(policy["match"]["sni"].texts(), name))
        else:
            results.append(Match.MAYBE)
    return _all(results)


def hosts_of(route: Node) -> list[str]:
    """Return the host patterns of a route."""
    return [name.lower() for entry in route["match"].items() for name in entry["host"].texts()]


class RoutesByHost:
    """A list of routes, of which those for one host are found without trying all.

    A gate may have a thousand sites, each of which is audited against the routes of all others.
    """

    def __init__(self, routes: list[Node]) -> None:
        self._routes = routes
        self._plain: dict[str, list[int]] = {}
        self._other: list[int] = []
        for index, route in enumerate(routes):
            names = _plain_names(route)
            if names is None:
                self._other.append(index)
            for name in names or ():
                self._plain.setdefault(name, []).append(index)

    def concerning(self, host: str) -> list[Node]:
        """Return the routes that may take requests for a host, in their order."""
        found = sorted({*self._other, *self._plain.get(host, ())})
        return [self._routes[index] for index in found]

    def naming(self, host: str) -> list[Node]:
        """Return the routes with a host matcher that takes the host."""
        return [
            route
            for route in self.concerning(host)
            if any(
                "host" in entry.members() and _matcher_set(entry, host) is not Match.NO
                for entry in route["match"].items()
            )
        ]


def _plain_names(route: Node) -> list[str] | None:
    """Return a route's hosts when nothing else can match it: no wildcard, no placeholder, no other way in."""
    sets = route["match"].items()
    names = [entry["host"].texts() for entry in sets]
    if not sets or not all(names) or any(set("*{") & set(name) for entry in names for name in entry):
        return None
    return [name.lower() for entry in names for name in entry]


def _matcher_set(matchers: Node, host: str) -> Match:
    return _all(_matcher(matchers[name], name, host) for name in matchers.members())


def _matcher(value: Node, name: str, host: str) -> Match:
    if name == "host":
        return _any(_host_name(entry, host) for entry in value.texts())
    if name == "not":
        return _inverse(_any(_matcher_set(entry, host) for entry in value.items()))
    return Match.MAYBE


def _host_name(pattern: str, host: str) -> Match:
    if "{" in pattern:
        return Match.MAYBE
    return Match.YES if _covers_host(pattern.lower(), host) else Match.NO


def _covers_host(pattern: str, host: str) -> bool:
    # modules/caddyhttp/matchers.go, MatchHost: an asterisk stands for exactly one label, anywhere.
    ours, theirs = host.split("."), pattern.split(".")
    return len(ours) == len(theirs) and all(
        label in ("*", name) for label, name in zip(theirs, ours, strict=True)
    )


def _server_names(patterns: list[str], name: str) -> Match:
    # certmagic, MatchWildcard: asterisks replace labels from the left only.
    labels = name.split(".")
    spellings = {".".join(["*"] * count + labels[count:]) for count in range(len(labels) + 1)}
    if not spellings.isdisjoint(pattern.lower() for pattern in patterns):
        return Match.YES
    return Match.MAYBE if any("{" in pattern for pattern in patterns) else Match.NO


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
