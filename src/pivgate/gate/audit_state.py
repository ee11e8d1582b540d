# SPDX-License-Identifier: Apache-2.0
"""What is proved about every request that has come this far along a chain of handlers."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pivgate.gate.audit_node import Node
from pivgate.gate.snippet import (
    CONNECTION_PATTERN,
    DELETED_HEADERS,
    EMAIL_PATTERN,
    FINGERPRINT_ENTRY,
    GROUP_PATTERN,
    TUNNEL_METHOD,
    UPGRADE_PATTERN,
    USER_PATTERN,
    USUAL_CONNECTIONS,
    USUAL_UPGRADES,
)

_CAPTURE: Final = "pivgate_user"
_USER: Final = "x-client-user"
# Set, but with Go's escapes still in it: not yet what it has to be.
_ESCAPED_USER: Final = f"{_USER} escaped"
_SUBJECT: Final = "x-client-subject"
_EMAIL: Final = "x-client-email"
# Go escapes a plus sign in a distinguished name; the header has the name as it is.
_UNESCAPE: Final = [{"search_regexp": r"\\\+", "replace": "+"}]

_REQUIRED: Final = {
    _USER: f"{{http.regexp.{_CAPTURE}.1}}",
    # The pattern has both ends, so what it matched is the whole subject.
    _SUBJECT: f"{{http.regexp.{_CAPTURE}.0}}",
    "x-client-serial": "{http.request.tls.client.serial}",
    "x-client-fingerprint": "{http.request.tls.client.fingerprint}",
}
_ALLOWED: Final = {**_REQUIRED, _EMAIL: "{http.request.tls.client.san.emails.0}"}
# Who is not refused has matched one of the sets.
_CONNECTION_CHECK: Final = [
    {"vars": {"{http.request.header.Connection}": list(USUAL_CONNECTIONS)}},
    {"vars_regexp": {"{http.request.header.Connection}": {"pattern": CONNECTION_PATTERN}}},
]
_UPGRADE_CHECK: Final = [
    {"vars": {"{http.request.header.Upgrade}": list(USUAL_UPGRADES)}},
    {"vars_regexp": {"{http.request.header.Upgrade}": {"pattern": UPGRADE_PATTERN}}},
]
_SUBJECT_CHECK: Final = [
    {"vars_regexp": {"{http.request.tls.client.subject}": {"name": _CAPTURE, "pattern": USER_PATTERN}}}
]
_TUNNELS: Final = [{"method": [TUNNEL_METHOD]}]
_EMAIL_CHECK: Final = [
    {
        "vars_regexp": {
            "{http.request.tls.client.san.emails.0}": {"name": "pivgate_email", "pattern": EMAIL_PATTERN}
        }
    }
]
_DELETIONS: Final = frozenset(name.lower() for name in DELETED_HEADERS)


@dataclass(frozen=True)
class Passed:
    """What every request has passed.

    Attributes:
        groups: Groups whose folder held an entry for its certificate.
        connection: Its Connection header names nothing that a proxy would remove for the client.
        upgrade: Its Upgrade header names no other protocol than WebSocket.
        tunnelless: Its method is not CONNECT.
        named: Its certificate's subject is one common name in our alphabet, which was captured.
        addressed: Its certificate has an e-mail address that can stand in a header.
        deleted: Patterns of header names that were deleted.
        identity: Identity headers that have our value now, with that value; ours alone.
        forged: Identity headers that have another value than ours, or may have.
    """

    groups: tuple[str, ...] = ()
    connection: bool = False
    upgrade: bool = False
    tunnelless: bool = False
    named: bool = False
    addressed: bool = False
    deleted: frozenset[str] = frozenset()
    identity: frozenset[str] = frozenset()
    forged: frozenset[str] = frozenset()

    @property
    def gated(self) -> bool:
        """Whether the certificate was looked for in the access tree."""
        return bool(self.groups)

    @property
    def missing(self) -> str:
        """What an upstream must not be reached without; empty when nothing is missing."""
        if not self.connection:
            return "the check of the Connection header"
        if not self.upgrade:
            return "the check of the Upgrade header"
        if not self.tunnelless:
            return "the refusal of CONNECT"
        if not self.named:
            return "the check of the certificate's subject"
        if not self.deleted >= _DELETIONS:
            return "the deletion of the client's own " + ", ".join(sorted(_DELETIONS - self.deleted))
        absent = sorted((_REQUIRED.keys() - self.identity) | self.forged)
        return "our value of " + ", ".join(absent) if absent else ""

    @property
    def complete(self) -> bool:
        """Whether an upstream may answer."""
        return self.gated and not self.missing

    def meet(self, other: "Passed") -> "Passed":
        """Return what holds when either way may have been taken."""
        return Passed(
            groups=tuple(group for group in self.groups if group in other.groups),
            connection=self.connection and other.connection,
            upgrade=self.upgrade and other.upgrade,
            tunnelless=self.tunnelless and other.tunnelless,
            named=self.named and other.named,
            addressed=self.addressed and other.addressed,
            deleted=self.deleted & other.deleted,
            identity=self.identity & other.identity,
            forged=self.forged | other.forged,
        )

    def refused_unless_matched(self, route: Node, access: Path) -> "Passed":
        """Add what is proved by a route that ends every request it matches, for those it does not match."""
        if group := gate_group(route, access):
            return replace(self, groups=(*self.groups, group))
        if route["match"].value == _TUNNELS:
            return replace(self, tunnelless=True)
        negated = _negated(route)
        if negated == _CONNECTION_CHECK:
            return replace(self, connection=True)
        if negated == _UPGRADE_CHECK:
            return replace(self, upgrade=True)
        if negated == _SUBJECT_CHECK:
            return replace(self, named=True)
        return self

    def matched(self, route: Node) -> "Passed":
        """Add what is proved for requests that a route matches."""
        return replace(self, addressed=True) if route["match"].value == _EMAIL_CHECK else self

    def with_request_headers(self, operations: Node) -> "Passed":
        """Apply a ``headers`` handler in Caddy's order: delete all, add, set, delete, replace."""
        state = self
        deletions = [name.lower() for name in operations["delete"].texts()]
        if "*" in deletions:
            state = replace(state, identity=frozenset(), forged=frozenset())
        for name in operations["add"].members():
            state = state._forge(name)
        for name in operations["set"].members():
            state = state._set(name, operations["set"][name].texts())
        for pattern in deletions:
            state = state if pattern == "*" else state._delete(pattern)
        for name, replacements in operations["replace"].members().items():
            if name.lower() == _USER and replacements == _UNESCAPE and _ESCAPED_USER in state.identity:
                state = replace(state, identity=state.identity - {_ESCAPED_USER} | {_USER})
            else:
                state = state._forge(name)
        return state

    def _set(self, name: str, values: list[str]) -> "Passed":
        state = self._forge(name)
        name = name.lower()
        proved = {_USER: self.named, _SUBJECT: self.named, _EMAIL: self.addressed}.get(name, True)
        if values != [_ALLOWED.get(name)] or not proved:
            return state
        ours = _ESCAPED_USER if name == _USER else name
        return replace(state, identity=state.identity | {ours}, forged=state.forged - {name})

    def _delete(self, pattern: str) -> "Passed":
        return replace(
            self,
            deleted=self.deleted | {pattern},
            identity=frozenset(name for name in self.identity if not covers(pattern, name.split()[0])),
            forged=frozenset(name for name in self.forged if not covers(pattern, name)),
        )

    def _forge(self, name: str) -> "Passed":
        name = name.lower()
        names = {known for known in _ALLOWED if name in ("*", known)} | (
            {name} if is_identity_header(name) else set()
        )
        identity = frozenset(known for known in self.identity if known.split()[0] not in names)
        return replace(self, identity=identity, forged=self.forged | names)


def is_identity_header(name: str) -> bool:
    """Say whether an upstream could read a header as one of ours; placeholders in a name could be any.

    Some upstreams read everything but letters and digits as the same separator.
    """
    return re.sub(r"[^a-z0-9]", "-", name.lower()).startswith("x-client-") or "{" in name


def covers(pattern: str, name: str) -> bool:
    """Say whether a deletion such as ``X-Client-*`` deletes a header (modules/caddyhttp/headers)."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("*") and pattern.endswith("*"):
        return pattern[1:-1] in name
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def gate_group(route: Node, access: Path) -> str:
    """Return the group whose folder a route looks into, refusing who is not in it; empty if it does not."""
    match _negated(route):
        case [{"file": matcher, **others}] if not others:
            return entry_group(matcher, access)
        case _:
            return ""


def entry_group(matcher: object, access: Path) -> str:
    """Return the group in whose folder a ``file`` matcher looks for the certificate, in the one sure way.

    No other policy than the default (some match the folder itself), no slash at the end (the same), no
    file system of another kind, and a root without anything that Caddy would expand.
    """
    if not isinstance(matcher, dict) or matcher.keys() != {"root", "try_files"}:
        return ""
    root, prefix = matcher["root"], f"{access}/"
    if (
        matcher["try_files"] != [FINGERPRINT_ENTRY]
        or not isinstance(root, str)
        or not root.startswith(prefix)
    ):
        return ""
    group = root.removeprefix(prefix)
    return group if re.fullmatch(GROUP_PATTERN, group) else ""


def _negated(route: Node) -> object:
    """Return the matcher sets of ``[{"not": sets}]``; None for every other form."""
    match route["match"].value:
        case [{"not": negated, **others}] if not others:
            return negated
        case _:
            return None
