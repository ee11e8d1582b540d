# SPDX-License-Identifier: Apache-2.0
"""Examinations of the Caddyfile, and of the groups that its sites admit. Pure."""

from collections.abc import Iterator
from typing import Final

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.registry_facts import RegistryFacts
from pivgate.doctor.sites_facts import Config, SitesFacts
from pivgate.gate.audit_finding import Kind
from pivgate.registry.records import EVERYONE

# Those that people meet oftest have a section of their own; the audit's own page explains the others.
_HOLES: Final = {
    Kind.ADMIN_EXPOSED: "admin-not-private",
    Kind.ADMIN_OFF: "admin-not-private",
    Kind.ADMIN_REMOTE: "admin-not-private",
    Kind.STRICT_SNI_OFF: "strict-sni-off",
    Kind.PROTOCOLS: "http3-on",
    Kind.SHARED_UPSTREAM: "upstream-shared",
}


def caddyfile(facts: SitesFacts) -> Iterator[Finding | Unseen]:
    """Is there a Caddyfile that Caddy understands?"""
    if not facts.there:
        yield found(
            "caddyfile-missing",
            str(facts.caddyfile),
            "there is no Caddyfile, so nothing can be served",
            "Restore it from a backup. Until the gate is stopped, it serves what it was given last.",
        )
    elif isinstance(facts.config, Trouble):
        yield found("caddyfile-refused", str(facts.caddyfile), facts.config.message, facts.config.hint)
    elif not facts.written:
        yield found(
            "snippet-missing",
            str(facts.snippet),
            "the snippet is not there: the gate was never up, or the file was removed",
            "`pivgate up` writes it.",
        )
    elif facts.config is None:
        yield Unseen("what Caddy makes of the Caddyfile", "there is no Caddy that could be asked")


def snippet(facts: SitesFacts) -> Iterator[Finding]:
    """Is the snippet the one that this pivgate writes?"""
    if facts.written and facts.current is False:
        yield found(
            "snippet-outdated",
            str(facts.snippet),
            "it is from an older pivgate, from before the contact was changed, or was edited by hand: what "
            "this "
            "pivgate would refuse may pass",
            "`pivgate up` writes it anew, proves and loads it.",
        )


def holes(facts: SitesFacts) -> Iterator[Finding]:
    """Would the Caddyfile keep the gate shut?"""
    if not isinstance(facts.config, Config):
        return
    for hole in facts.config.holes:
        yield found(
            _HOLES.get(hole.kind, "gate-hole"),
            f"{hole.file}:{hole.line}" if hole.line else f"{facts.caddyfile} ({hole.where})",
            f"{hole.what}. {hole.risk}",
            f"{hole.remedy} Then `pivgate up`; until then the gate goes on serving what was proved.",
        )


def groups(facts: SitesFacts, registry: RegistryFacts) -> Iterator[Finding | Unseen]:
    """Are there people in the groups that sites admit?"""
    if isinstance(registry.content, Trouble):
        yield Unseen("the groups that sites admit", "the registry cannot be read")
        return
    admitted = {group for group, _ in registry.content.access}
    for site in facts.sites:
        if "{" in site.group or not site.group:
            continue
        if site.group not in registry.content.groups:
            yield found(
                "group-unknown",
                site.address,
                f"it admits the group {site.group}, which the registry does not know: nobody gets in",
                f"`pivgate group add {site.group}` and put people into it, or correct line {site.line} of "
                "the "
                "Caddyfile.",
            )
        elif site.group not in admitted:
            yield found(
                "group-empty",
                site.address,
                f"it admits the group {site.group}, in which nobody has a certificate in force",
                "`pivgate key provision` gives somebody one."
                if site.group == EVERYONE
                else f"`pivgate group members {site.group}` shows who is in it; "
                f"`pivgate group join {site.group} USER` puts somebody into it.",
            )
