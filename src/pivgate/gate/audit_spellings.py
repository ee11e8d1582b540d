# SPDX-License-Identifier: Apache-2.0
"""Which header names Caddy lets pass though an upstream may take them for others.

Caddy drops names with an underscore or a dot before anything else looks at them, except those that it is
told to expect (modules/caddyhttp/server.go). The gate relies on that for its own headers.
"""

import re
from typing import Final

from pivgate.gate.audit_finding import Finding, Kind
from pivgate.gate.audit_node import Node
from pivgate.gate.snippet import IDENTITY_HEADERS

OPTIONS: Final = ("expected_underscore_headers", "expected_dot_headers")


def spelling_findings(server: Node) -> list[Finding]:
    """Check that no spelling of an identity header is expected by a server with a gated host on it."""
    return [
        Finding(
            Kind.HEADER_SPELLING,
            f"{option} lets {entry} in",
            server[option].path,
            "An upstream that reads _ and . as - takes it for a header that only the gate may set: whoever "
            "gets in can be anybody to it.",
            f"Remove {entry} from {option}; longer names that begin in another way may stay.",
        )
        for option in OPTIONS
        for entry in server[option].texts()
        if any(_could_be(_folded(entry), _folded(name)) for name in IDENTITY_HEADERS)
    ]


def _could_be(one: str, other: str) -> bool:
    """Say whether some name fits two patterns, each a name or the beginning of one with an asterisk."""
    first, second = one.removesuffix("*"), other.removesuffix("*")
    return (
        first == second
        or (one.endswith("*") and second.startswith(first))
        or (other.endswith("*") and first.startswith(second))
    )


def _folded(pattern: str) -> str:
    return re.sub(r"[^a-z0-9*]", "-", pattern.lower())
