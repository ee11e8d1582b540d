# SPDX-License-Identifier: Apache-2.0
"""Examinations of the upstreams. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.upstreams_facts import UpstreamsFacts
from pivgate.firewall.reach import Outcome, Way

_DEAD: Final = (Outcome.CLOSED, Outcome.SILENT)

# What listens on the machine for a container whose port is published.
_CONTAINERS: Final = frozenset(
    {"docker-proxy", "rootlesskit", "rootlessport", "conmon", "slirp4netns", "pasta"}
)


def alive(facts: UpstreamsFacts) -> Iterator[Finding | Unseen]:
    """Does each upstream answer?"""
    if not facts.known or facts.trouble:
        yield Unseen("the upstreams", facts.trouble or "what they are is not known without the Caddyfile")
        return
    for upstream in dict.fromkeys(way.upstream for way in facts.ways):
        ways = [way for way in facts.ways if way.upstream == upstream and way.address != "-"]
        if ways and all(way.outcome in _DEAD for way in ways):
            yield found(
                "upstream-down",
                upstream,
                f"nobody answers there ({ways[0].says}): visitors with a key are told 502",
                "Start the program behind the site; `ss -ltnp` on its machine shows what listens.",
            )
    for path, why in facts.dead_sockets:
        yield found(
            "upstream-down",
            f"unix/{path}",
            f"nobody listens there ({why}): visitors with a key are told 502",
            "Start the program behind the site, and let the user who runs Caddy connect to its socket.",
        )
    for way in facts.ways:
        if way.address == "-" and way.outcome is Outcome.UNKNOWN:
            if way.says == "its name has no address":
                yield found(
                    "upstream-down",
                    way.upstream,
                    "its name has no address here: visitors with a key are told 502",
                    f"`getent hosts {way.upstream.rpartition(':')[0]}` has to show one: mend DNS or "
                    "/etc/hosts.",
                )
            else:
                yield Unseen(f"upstream {way.upstream}", way.says)


def around(facts: UpstreamsFacts) -> Iterator[Finding | Unseen]:
    """Is the gate the only way to each upstream?"""
    asked = dict.fromkeys(way.upstream for way in facts.asked)
    exposed = [way for way in facts.ways if way.outcome.is_open and way.upstream not in asked]
    hidden = [way for way in exposed if way.outcome is Outcome.UNKNOWN and way.address != "-"]
    if hidden:
        yield Unseen(
            f"whether others can reach {', '.join(dict.fromkeys(way.upstream for way in hidden))}",
            "only root sees the firewall's rules: `sudo pivgate doctor upstreams`",
        )
    if facts.applied and facts.guard.changed:
        return  # What has opened them is said by itself.
    for upstream in dict.fromkeys(way.upstream for way in exposed if way.outcome is Outcome.OPEN):
        open_ways = [way for way in exposed if way.upstream == upstream and way.outcome is Outcome.OPEN]
        yield _open(upstream, open_ways, facts)
    for upstream in asked:
        by_outcome = {way.outcome: way for way in facts.asked if way.upstream == upstream}
        if way := by_outcome.get(Outcome.OPEN):
            yield found("upstream-open", upstream, f"at {way.address} it {way.says}", way.remedy)
        elif way := by_outcome.get(Outcome.UNKNOWN):
            yield Unseen(f"whom upstream {upstream} lets in", f"it {way.says}. {way.remedy}")


def firewall(facts: UpstreamsFacts) -> Iterator[Finding | Unseen]:
    """Are the firewall's rules still those that were applied?"""
    if not facts.applied:
        return
    if not facts.guard.known:
        yield Unseen("the firewall's rules", "only root sees them: `sudo pivgate doctor upstreams`")
    elif facts.guard.changed or not facts.guard.ports:
        yield found(
            "firewall-changed",
            "firewall",
            "rules were applied, and those in the kernel, or those kept for the next boot, are not as they "
            "were",
            "`sudo pivgate firewall apply`, with the same options as before.",
        )


def certificates(facts: UpstreamsFacts, now: datetime) -> Iterator[Finding]:
    """Are the certificates good by which the gate and an upstream know each other?"""
    if isinstance(facts.endings, Trouble):
        if facts.known:
            trouble = facts.endings
            yield found("upstream-files-damaged", "upstream by mutual TLS", trouble.message, trouble.hint)
        return
    for one in facts.endings:
        if one.not_after is None:
            code = "upstream-certificate-not-given"
        else:
            code = "upstream-certificate-ended" if one.not_after < now else "upstream-certificate-ends-soon"
        yield found(code, one.upstream, one.says, one.remedy)


def _open(upstream: str, ways: list[Way], facts: UpstreamsFacts) -> Finding:
    addresses = ", ".join(dict.fromkeys(way.address for way in ways))
    port = int(upstream.rpartition(":")[2])
    program = facts.programs.get(port, "")
    if program in _CONTAINERS:
        return found(
            "container-port-published",
            upstream,
            f"its container's port is published on every address ({program} listens): whoever reaches "
            f"{addresses} needs no key",
            f"Publish it as 127.0.0.1:{port}:… instead of {port}:…, or close it: `sudo pivgate firewall "
            "apply`.",
        )
    return found(
        "upstream-open",
        upstream,
        f"whoever reaches {addresses} is there without the gate, and needs no key",
        ways[0].remedy,
    )
