# SPDX-License-Identifier: Apache-2.0
"""Bring the log of events to the Caddyfile and the upstreams' files, as the access tree to the registry.

What is there and no event tells of is told now, and so is what is gone. So nothing is lost when a command is
killed before its events, nothing is told twice, nor what was taken back before anybody told of it; and what
was edited by hand is told as well.
"""

import json
from typing import TYPE_CHECKING

from pivgate.cli.workplace import actor, now
from pivgate.errors import StorageError
from pivgate.settings import Home

if TYPE_CHECKING:
    from pivgate.registry.store import Registry


def tell(home: Home, registry: "Registry", caddyfile: str) -> None:
    """Write the events that are missing: about sites, and about certificates between gate and upstreams.

    Args:
        home: The home, locked by the caller, its upstreams' files settled.
        registry: Where it is recorded.
        caddyfile: The Caddyfile's text.

    Raises:
        CaddyfileError: The Caddyfile's quotes or braces do not close.
        StorageError: It cannot be recorded; the next command does it.
    """
    _tell_sites(registry, caddyfile)
    tell_upstreams(home, registry)


def _tell_sites(registry: "Registry", caddyfile: str) -> None:
    from pivgate.gate.caddyfile import sites
    from pivgate.gate.caddyfile_address import key_of

    told: dict[str, str] = {}
    for event in registry.events(action="site"):
        told.pop(key_of(event.subject), None)
        if event.action == "site.add":
            told[key_of(event.subject)] = event.subject
    there = {key_of(site.address): site for site in sites(caddyfile)}
    for key in sorted(told.keys() - there.keys()):
        registry.append_event("site.remove", told[key], actor=actor(), now=now())
    for key in sorted(there.keys() - told.keys()):
        site = there[key]
        detail = {"upstream": site.upstream, "allow": site.group}
        registry.append_event("site.add", site.address, detail, actor=actor(), now=now())


def tell_upstreams(home: Home, registry: "Registry") -> None:
    """Write the events that are missing about certificates between gate and upstreams.

    Args:
        home: The home, locked by the caller, its upstreams' files settled.
        registry: Where it is recorded.

    Raises:
        StorageError: It cannot be recorded; the next command does it.
    """
    from pivgate.enrolment.upstream import in_use
    from pivgate.gate.caddyfile_address import key_of
    from pivgate.gate.upstream_block import folders

    # For each site and role, the certificate that was told of last.
    told: dict[str, dict[str, str]] = {}
    for event in registry.events(action="upstream"):
        detail = json.loads(event.detail)
        if event.action == "upstream.remove":
            told.pop(key_of(event.subject), None)
        elif "fingerprint" in detail:
            told.setdefault(key_of(event.subject), {})[detail["role"]] = detail["fingerprint"]
    there = folders(home)
    for address in sorted(told.keys() - {folder.address for folder in there}):
        registry.append_event("upstream.remove", address, actor=actor(), now=now())
    for folder in there:
        try:
            certificates = in_use(folder)
        except StorageError:
            # One upstream's damage keeps nothing else from being told; who renews it says so.
            continue
        for each in certificates:
            known = told.get(folder.address, {}).get(each.role)
            if known != each.fingerprint:
                registry.append_event(
                    "upstream.renew" if known else "upstream.issue",
                    each.upstream,
                    {
                        "role": each.role,
                        "fingerprint": each.fingerprint,
                        "not_after": each.not_after.isoformat(),
                    },
                    actor=actor(),
                    now=now(),
                )
