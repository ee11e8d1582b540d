# SPDX-License-Identifier: Apache-2.0
"""Follows every way a request for one host can take through a server's routes.

The walk does not look for a known text. It carries what is proved about all requests that got this far
(``Passed``) through the chain in Caddy's own order, and stops at whatever could answer before enough is
proved: a route that may match and may fall through proves nothing to those after it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_match import Match, route_match
from pivgate.gate.audit_node import Node
from pivgate.gate.audit_state import Passed, is_identity_header

_INSIDE: Final = "Write it inside the block of `import pivgate`, so that it stands behind the gate."
_LOWEST_REFUSAL: Final = 400
_HIGHEST_STATUS: Final = 599

# What may be written into the headers that the gate has checked: what they have already, or what it allows.
_CHECKED: Final = {
    "connection": re.compile(r"\{http\.request\.header\.Connection\}|(?i:keep-alive|close|upgrade)"),
    "upgrade": re.compile(r"\{http\.request\.header\.Upgrade\}|(?i:websocket)"),
}


def is_refusal(handler: Node) -> bool:
    """Say whether a ``static_response`` turns the request away, whatever the request."""
    members = handler.members()
    if members.get("abort") is True:
        return True
    status = str(members.get("status_code", ""))
    return status.isascii() and status.isdigit() and _LOWEST_REFUSAL <= int(status) <= _HIGHEST_STATUS


@dataclass
class Walk:
    """One host's way through one server.

    Attributes:
        host: The host, a name and not a pattern.
        access: The access tree.
        named_routes: The server's named routes, for ``invoke``.
        findings: What was found on the way.
        groups: Every group somebody must be in where something answers, in the order they are asked for.
    """

    host: str
    access: Path
    named_routes: Node
    findings: list[Finding] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    _invoked: list[str] = field(default_factory=list)

    def server(self, routes: Sequence[Node], where: str) -> None:
        """Walk all routes of a server; a request must not come out at their end either."""
        end = self._routes(routes, Passed())
        if end is not None and not end.gated:
            self._found(
                Kind.FALLS_THROUGH,
                f"Requests for {self.host} reach the end of their routes without having been looked up",
                where,
                "Whoever holds any certificate of the authority, revoked or not, gets an answer.",
                "Put the whole site into `import pivgate GROUP { ... }`.",
            )

    def _routes(self, routes: Iterable[Node], state: Passed) -> Passed | None:
        """Walk a list of routes; None when no request comes out at its end."""
        # Of routes with one group, only the first that matches is run.
        used_groups: set[str] = set()
        for route in routes:
            possible = route_match(route, self.host)
            if possible is Match.NO:
                continue
            group = route["group"].text()
            skippable = group in used_groups
            after = self._handlers(route["handle"].items(), state.matched(route))
            if after is not None and route["terminal"].value is True:
                self._end_of_terminal(after, route)
                after = None
            if possible is Match.YES and not skippable:
                state_after = after
            elif after is None:
                state_after = state if skippable else state.refused_unless_matched(route, self.access)
            else:
                state_after = state.meet(after)
            if after is not None and group:
                used_groups.add(group)
            if state_after is None:
                return None
            state = state_after
        return state

    def _end_of_terminal(self, state: Passed, route: Node) -> None:
        if not state.gated:
            self._found(
                Kind.FALLS_THROUGH,
                f"A route ends the chain for {self.host} without having looked up the certificate",
                route.path,
                "Whoever holds any certificate of the authority, revoked or not, gets an answer.",
                "Put the whole site into `import pivgate GROUP { ... }`.",
            )

    def _handlers(self, handlers: Iterable[Node], state: Passed) -> Passed | None:
        current: Passed | None = state
        for handler in handlers:
            if current is None:
                return None
            current = self._handler(handler, current)
        return current

    def _handler(self, handler: Node, state: Passed) -> Passed | None:
        match handler["handler"].text():
            case "subroute":
                self._nested_errors(handler, state)
                return self._routes(handler["routes"].items(), state)
            case "invoke":
                return self._invoke(handler, state)
            case "headers":
                return self._headers(handler, state)
            case "static_response":
                self._answers(handler, state, refusal=is_refusal(handler))
                return None
            case "vars" if "fs" not in handler.members():
                return state
            case "map" if not any("http." in name for name in handler["destinations"].texts()):
                return state
            case "rewrite" | "encode" | "log_append" | "tracing" | "request_body":
                return state
            # What it renders of a refusal is the snippet's own text, in which nothing is the client's.
            case "templates":
                return state
            # It passes a request on, or brings about an error; what answers errors is judged by itself.
            case "authentication" if handler["providers"].members().keys() == {"http_basic"}:
                return state
            case _:
                self._answers(handler, state, refusal=False)
                # Whether it passes requests on is not ours to know; after a finding nothing more is proved.
                return state if state.complete else None

    def _invoke(self, handler: Node, state: Passed) -> Passed | None:
        name = handler["name"].text()
        if name in self._invoked:
            return state
        self._invoked.append(name)
        after = self._routes([self.named_routes[name]], state)
        self._invoked.pop()
        return after

    def _headers(self, handler: Node, state: Passed) -> Passed:
        self._unchecked(handler, handler["request"], state)
        after = state.with_request_headers(handler["request"])
        if state.complete and after.forged:
            self._forged(handler, sorted(after.forged))
            return state
        return after

    def _answers(self, handler: Node, state: Passed, *, refusal: bool) -> None:
        """Judge a handler that may answer or forward."""
        name = handler["handler"].text()
        if refusal and not state.gated:
            return
        if not state.gated:
            self._found(
                Kind.ANSWERS_FIRST,
                f"`{name}` can answer a request for {self.host} before its certificate was looked up",
                handler.path,
                "A certificate that was revoked, or that is in no group, still gets through here.",
                _INSIDE,
            )
        elif state.missing and not refusal:
            self._found(
                Kind.IDENTITY_UNPROVED,
                f"`{name}` is reached for {self.host} without {state.missing}",
                handler.path,
                "The upstream can be told that somebody else is calling.",
                "Use the snippet that pivgate writes, and put the site's directives into its block.",
            )
        else:
            self.groups += [group for group in state.groups if group not in self.groups]
            self._upstream_headers(handler, state)
            # Routes that run on what an upstream answered, as in forward_auth, may change the request, too.
            for response in handler["handle_response"].items():
                after = self._routes(response["routes"].items(), state)
                if after is not None and state.complete and not after.complete:
                    self._forged(handler, sorted(after.forged | (state.identity - after.identity)))

    def _upstream_headers(self, handler: Node, state: Passed) -> None:
        """A ``reverse_proxy`` may set headers of its own, after ours."""
        if handler["handler"].text() != "reverse_proxy":
            return
        request = handler["headers"]["request"]
        names = [*request["add"].members(), *request["set"].members(), *request["replace"].members()]
        self._unchecked(handler, request, state)
        if forged := sorted(name for name in names if is_identity_header(name) or name == "*"):
            self._forged(handler, [name.lower() for name in forged])

    def _unchecked(self, handler: Node, request: Node, state: Passed) -> None:
        """What the gate checked in Connection and Upgrade must not be changed behind it."""
        changed = {name for name in request["replace"].members() if name.lower() in _CHECKED}
        for operation in ("add", "set"):
            for name in request[operation].members():
                allowed = _CHECKED.get(name.lower())
                if allowed and not all(map(allowed.fullmatch, request[operation][name].texts())):
                    changed.add(name)
        if state.complete and changed:
            self._found(
                Kind.IDENTITY_UNPROVED,
                f"Behind the gate, {', '.join(sorted(changed))} of {self.host} is given another value",
                handler.path,
                "A proxy removes what `Connection` names, our headers too, and after another `Upgrade` than "
                "`websocket` nothing is looked up any more.",
                "Remove it: `reverse_proxy` passes WebSockets on by itself.",
            )

    def _forged(self, handler: Node, names: Sequence[str]) -> None:
        self._found(
            Kind.IDENTITY_FORGED,
            f"Behind the gate, {', '.join(names)} of {self.host} is given another value",
            handler.path,
            "The upstream trusts these headers to come from the certificate alone.",
            "Give the upstream a header of another name, such as "
            "`header_up Remote-User {http.request.header.X-Client-User}`.",
        )

    def _nested_errors(self, handler: Node, state: Passed) -> None:
        if not state.gated:
            self.findings += error_findings(handler["errors"]["routes"].items(), self.host)

    def _found(self, kind: Kind, what: str, where: str, risk: str, remedy: str) -> None:
        self.findings.append(Finding(kind, what, where, risk, remedy, self.host))


def error_findings(routes: Iterable[Node], host: str) -> list[Finding]:
    """Find what could give content away in routes that run on errors.

    They run outside the gate, and for requests that showed no certificate at all: a Host that differs from
    the name in the TLS handshake is such an error (421).
    """
    findings: list[Finding] = []
    for route in routes:
        if route_match(route, host) is Match.NO:
            continue
        for handler in route["handle"].items():
            findings += _error_handler(handler, host)
    return findings


def _error_handler(handler: Node, host: str) -> list[Finding]:
    name = handler["handler"].text()
    if name == "subroute":
        return error_findings([*handler["routes"].items(), *handler["errors"]["routes"].items()], host)
    if name in ("static_response", "headers", "vars", "encode", "log_append", "rewrite"):
        return []
    return [
        Finding(
            Kind.ERROR_ANSWERS,
            f"`{name}` answers errors of {host}, and errors are answered outside the gate",
            handler.path,
            "Somebody without any certificate can bring about an error, and gets what this gives.",
            "Answer errors with `respond` alone, or move the handling behind the gate "
            "with `handle_response` in `reverse_proxy`.",
            host,
        )
    ]
