# SPDX-License-Identifier: Apache-2.0
"""Examinations of server certificates and of the names of sites. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.patience import NO_NAME_SERVER
from pivgate.doctor.served_facts import ServedFacts, covers, names_of
from pivgate.doctor.sites_facts import Config, Host, SitesFacts

# Caddy renews what it has issued or fetched when a third of its life is left; whoever brings a certificate
# needs some days.
_SOON: Final = timedelta(days=14)
_PART: Final = 6


def own_certificates(facts: SitesFacts) -> Iterator[Finding]:
    """Can the certificates that the Caddyfile names be used?"""
    if not isinstance(facts.config, Config):
        return
    for one in facts.config.certificates:
        if isinstance(one.certificate, Trouble):
            yield found(
                "server-certificate-unusable",
                str(one.path),
                one.certificate.message,
                "Put certificate and key back, both from the same source; without them Caddy takes no "
                "configuration at all.",
            )


def dates(facts: SitesFacts, served: ServedFacts, now: datetime) -> Iterator[Finding]:
    """Are the server certificates good for long enough?"""
    for what, certificate in _certificates(facts, served):
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        life = ends - begins
        if begins > now:
            yield found(
                "server-certificate-not-yet-valid",
                what,
                f"its certificate is not valid before {begins:%Y-%m-%d %H:%M} UTC: browsers refuse the site",
                "Set this machine's clock, should it be behind. What Caddy signed itself while the clock was "
                "ahead, `pivgate up` has signed anew; a certificate of yours: ask its authority for another.",
            )
        elif ends < now:
            yield found(
                "server-certificate-expired",
                what,
                f"its certificate ended on {ends:%Y-%m-%d %H:%M} UTC: browsers refuse the site",
                "If you bring it yourself, renew it. If Caddy does, its log says why it could not: "
                "`pivgate status` names it. Then `pivgate up`.",
            )
        elif ends < now + min(_SOON, life / _PART):
            yield found(
                "server-certificate-ends-soon",
                what,
                f"its certificate ends on {ends:%Y-%m-%d %H:%M} UTC, and nobody has renewed it",
                "If you bring it yourself, renew it, then `pivgate up`. If Caddy does, its log says why it "
                "could "
                "not.",
            )


def missing(served: ServedFacts) -> Iterator[Finding | Unseen]:
    """Does the running gate have a certificate for each site?"""
    for one in served.hosts:
        if one.asked and one.host.gated and one.certificate is None:
            yield found(
                "server-certificate-missing",
                one.host.name,
                "the gate has no server certificate for it, so no browser gets as far as asking for a key",
                "A public authority must reach the site's name on port 80 or 443: check DNS and the "
                "router, and "
                "Caddy's log. For a name of your own network, write `internal` after the group.",
            )
    if served.left_out:
        yield Unseen("some sites", f"{served.left_out} more were not tried")
    elif served.hosts and not any(one.asked for one in served.hosts):
        yield Unseen("what the sites show to visitors", "the gate does not run")


def names(served: ServedFacts) -> Iterator[Finding | Unseen]:
    """Does each site's name lead somewhere?"""
    for one in served.hosts:
        if one.resolves is None:
            yield Unseen(f"the address of {one.host.name}", NO_NAME_SERVER)
        elif one.host.gated and not one.resolves:
            yield found(
                "site-name-unresolved",
                one.host.name,
                "this machine finds no address for that name; probably nobody does",
                f"Enter it in your DNS, or in /etc/hosts of the machines that use it; "
                f"`getent hosts {one.host.name}` then shows it.",
            )


def shared(facts: SitesFacts, served: ServedFacts) -> Iterator[Finding]:
    """Has every gated site a certificate that no open site has?"""
    if not isinstance(facts.config, Config):
        return
    for what, certificate in _certificates(facts, served):
        covered = [host for host in facts.config.hosts if covers(certificate, host.name)]
        gated = [host for host in covered if host.gated]
        openly = [host for host in covered if not host.gated and _same_port(host, gated)]
        if gated and openly:
            yield found(
                "wildcard-shared",
                what,
                f"one certificate ({', '.join(sorted(names_of(certificate)))}) is for {gated[0].name}, "
                "which is "
                f"gated, and for {openly[0].name}, which is open: browsers use the connection of the one "
                "for the "
                "other (RFC 9113, section 9.1.1), and are answered 421 until they give up",
                f"Give {gated[0].name} a certificate of its own: another name than the wildcard's in the "
                "file, or "
                "let Caddy get it.",
            )


def _same_port(host: Host, others: list[Host]) -> bool:
    ports = {address.port for other in others for address in other.listen}
    return any(address.port in ports for address in host.listen)


def _certificates(facts: SitesFacts, served: ServedFacts) -> list[tuple[str, x509.Certificate]]:
    """Return each server certificate once, with what it is called: its file, else the site that shows it."""
    found_so_far: dict[x509.Certificate, str] = {}
    if isinstance(facts.config, Config):
        for one in facts.config.certificates:
            if not isinstance(one.certificate, Trouble):
                found_so_far.setdefault(one.certificate, str(one.path))
    for met in served.hosts:
        if met.certificate is not None:
            found_so_far.setdefault(met.certificate, met.host.name)
    return [(what, certificate) for certificate, what in found_so_far.items()]
