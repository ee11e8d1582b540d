# SPDX-License-Identifier: Apache-2.0
"""A gated site, as the audit finds it in the configuration and as the probes knock at it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GatedSite:
    """One host that only an admitted certificate may open.

    Attributes:
        host: The name as the configuration has it, lower case; may begin with ``*.``.
        port: TCP port it is served on.
        groups: Every group that is asked for on the way to the upstream, outermost first.
        listen: The addresses its server listens on, as Caddy writes them: ``:443``, ``127.0.0.1:8443``.
    """

    host: str
    port: int
    groups: tuple[str, ...]
    listen: tuple[str, ...]
