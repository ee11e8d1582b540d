# SPDX-License-Identifier: Apache-2.0
"""The table of examinations: in which area each is, and which facts it judges."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pivgate.doctor import (
    authority_signs,
    browsers_signs,
    card_signs,
    gate_signs,
    home_signs,
    machine_signs,
    people_signs,
    registry_signs,
    served_signs,
    sites_signs,
    upstreams_signs,
)
from pivgate.doctor.authority_facts import AuthorityFacts
from pivgate.doctor.browsers_facts import BrowsersFacts
from pivgate.doctor.card_facts import CardFacts
from pivgate.doctor.finding import Area, Finding, Unseen
from pivgate.doctor.gate_facts import GateFacts
from pivgate.doctor.home_facts import HomeFacts
from pivgate.doctor.machine_facts import MachineFacts
from pivgate.doctor.registry_facts import RegistryFacts, TreeFacts
from pivgate.doctor.served_facts import ServedFacts
from pivgate.doctor.service_facts import ServiceFacts
from pivgate.doctor.sites_facts import CaddyFacts, SitesFacts
from pivgate.doctor.upstreams_facts import UpstreamsFacts


@dataclass(frozen=True)
class Examination:
    """One question, to which a sound home has nothing to say.

    Attributes:
        area: Where it belongs.
        examine: Judges the facts; pure. Its documentation is the question.
        facts: What it judges, in the order of its arguments; ``datetime`` is the time.
    """

    area: Area
    examine: Callable[..., Iterable[Finding | Unseen]]
    facts: tuple[type[Any], ...]


EXAMINATIONS: Final = (
    Examination(Area.HOME, home_signs.settings, (HomeFacts,)),
    Examination(Area.HOME, home_signs.privacy, (HomeFacts,)),
    Examination(Area.HOME, home_signs.owners, (HomeFacts,)),
    Examination(Area.HOME, home_signs.way_there, (HomeFacts,)),
    Examination(Area.HOME, home_signs.room, (HomeFacts,)),
    Examination(Area.HOME, home_signs.reserve, (HomeFacts,)),
    Examination(Area.HOME, home_signs.lock, (HomeFacts,)),
    Examination(Area.MACHINE, machine_signs.synchronised, (MachineFacts,)),
    Examination(Area.MACHINE, authority_signs.clock_and_authority, (AuthorityFacts, datetime)),
    Examination(Area.MACHINE, authority_signs.clock_and_log, (RegistryFacts, AuthorityFacts, datetime)),
    Examination(Area.REGISTRY, registry_signs.registry, (RegistryFacts,)),
    Examination(Area.REGISTRY, registry_signs.log, (RegistryFacts,)),
    Examination(Area.REGISTRY, registry_signs.tree, (TreeFacts,)),
    Examination(Area.AUTHORITY, authority_signs.certificate, (AuthorityFacts, datetime)),
    Examination(Area.AUTHORITY, authority_signs.key, (AuthorityFacts,)),
    Examination(Area.AUTHORITY, authority_signs.probes, (AuthorityFacts,)),
    Examination(Area.AUTHORITY, authority_signs.revocation_list, (HomeFacts, RegistryFacts, datetime)),
    Examination(Area.PEOPLE, people_signs.keys, (RegistryFacts,)),
    Examination(Area.PEOPLE, people_signs.unfinished, (RegistryFacts,)),
    Examination(Area.PEOPLE, people_signs.certificates, (RegistryFacts, datetime)),
    Examination(Area.SITES, sites_signs.caddyfile, (SitesFacts,)),
    Examination(Area.SITES, sites_signs.snippet, (SitesFacts,)),
    Examination(Area.SITES, sites_signs.holes, (SitesFacts,)),
    Examination(Area.SITES, sites_signs.groups, (SitesFacts, RegistryFacts)),
    Examination(Area.SITES, served_signs.own_certificates, (SitesFacts,)),
    Examination(Area.SITES, served_signs.dates, (SitesFacts, ServedFacts, datetime)),
    Examination(Area.SITES, served_signs.shared, (SitesFacts, ServedFacts)),
    Examination(Area.SITES, served_signs.names, (ServedFacts,)),
    Examination(Area.GATE, gate_signs.caddy, (CaddyFacts,)),
    Examination(Area.GATE, gate_signs.running, (GateFacts,)),
    Examination(Area.GATE, gate_signs.proof, (GateFacts,)),
    Examination(Area.GATE, gate_signs.age, (GateFacts, CaddyFacts)),
    Examination(Area.GATE, gate_signs.severing, (GateFacts,)),
    Examination(Area.GATE, gate_signs.sockets, (GateFacts,)),
    Examination(Area.GATE, gate_signs.service, (ServiceFacts,)),
    Examination(Area.GATE, gate_signs.ports, (GateFacts, CaddyFacts)),
    Examination(Area.GATE, served_signs.missing, (ServedFacts,)),
    Examination(Area.UPSTREAMS, upstreams_signs.alive, (UpstreamsFacts,)),
    Examination(Area.UPSTREAMS, upstreams_signs.around, (UpstreamsFacts,)),
    Examination(Area.UPSTREAMS, upstreams_signs.firewall, (UpstreamsFacts,)),
    Examination(Area.UPSTREAMS, upstreams_signs.certificates, (UpstreamsFacts, datetime)),
    Examination(Area.CARD, card_signs.service, (CardFacts,)),
    Examination(Area.CARD, card_signs.usable, (CardFacts,)),
    Examination(Area.CARD, card_signs.secrets, (CardFacts,)),
    Examination(Area.CARD, card_signs.slot, (CardFacts, datetime)),
    Examination(Area.CARD, card_signs.membership, (CardFacts, AuthorityFacts, RegistryFacts, datetime)),
    Examination(Area.BROWSERS, browsers_signs.module, (BrowsersFacts,)),
    Examination(Area.BROWSERS, browsers_signs.sandboxes, (BrowsersFacts,)),
    Examination(Area.BROWSERS, browsers_signs.databases, (BrowsersFacts,)),
)
