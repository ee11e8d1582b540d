# SPDX-License-Identifier: Apache-2.0
"""Gathers the facts that are asked for: each once, side by side where one does not need the other."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pivgate.doctor.authority_facts import AuthorityFacts, gather_authority
from pivgate.doctor.browsers_facts import BrowsersFacts, gather_browsers
from pivgate.doctor.card_facts import CardFacts, gather_cards
from pivgate.doctor.gate_facts import GateFacts, gather_gate
from pivgate.doctor.home_facts import HomeFacts, gather_home
from pivgate.doctor.machine_facts import MachineFacts, gather_machine
from pivgate.doctor.place import Place
from pivgate.doctor.registry_facts import RegistryFacts, TreeFacts, gather_registry, gather_tree
from pivgate.doctor.served_facts import ServedFacts, gather_served
from pivgate.doctor.service_facts import ServiceFacts, gather_service
from pivgate.doctor.sites_facts import CaddyFacts, SitesFacts, gather_caddy, gather_sites
from pivgate.doctor.upstreams_facts import UpstreamsFacts, gather_upstreams

Facts = Mapping[type[Any], Any]


@dataclass(frozen=True)
class Gatherer:
    """How one kind of facts is gathered.

    Attributes:
        gather: Takes the place, then the facts it needs. What cannot be understood is a fact as well; of what
            a person could have caused it raises only OSError, for a file that it may not look at.
        needs: Those facts, in the order of its arguments.
        of_home: Whether there must be a home.
    """

    gather: Callable[..., Any]
    needs: tuple[type[Any], ...] = ()
    of_home: bool = True


@dataclass(frozen=True)
class Failed:
    """Stands in the place of facts that could not be gathered.

    Attributes:
        path: The file that could not be looked at.
        reason: Why not, in the system's words.
    """

    path: str
    reason: str


# Each after those it needs.
GATHERERS: Final[dict[type[Any], Gatherer]] = {
    datetime: Gatherer(lambda place: place.now, of_home=False),
    HomeFacts: Gatherer(gather_home),
    MachineFacts: Gatherer(gather_machine, of_home=False),
    RegistryFacts: Gatherer(gather_registry),
    TreeFacts: Gatherer(gather_tree, (RegistryFacts,)),
    AuthorityFacts: Gatherer(gather_authority),
    CaddyFacts: Gatherer(gather_caddy, of_home=False),
    ServiceFacts: Gatherer(gather_service),
    SitesFacts: Gatherer(gather_sites, (CaddyFacts,)),
    GateFacts: Gatherer(gather_gate, (RegistryFacts, CaddyFacts, SitesFacts)),
    ServedFacts: Gatherer(gather_served, (SitesFacts, GateFacts)),
    UpstreamsFacts: Gatherer(gather_upstreams, (SitesFacts,)),
    CardFacts: Gatherer(gather_cards, of_home=False),
    BrowsersFacts: Gatherer(gather_browsers, (CardFacts,), of_home=False),
}


def gather(place: Place, wanted: Iterable[type[Any]]) -> Facts:
    """Gather facts.

    Args:
        place: Where to look.
        wanted: Kinds of facts; what those need is gathered too.

    Returns:
        The facts; in the place of those that could not be gathered, and of those that need them, why.
    """
    kinds = with_needs(wanted)
    futures: dict[type[Any], Future[Any]] = {}
    with ThreadPoolExecutor(len(GATHERERS)) as pool:
        # There is a thread for each, so one that waits for others never keeps them waiting.
        for kind, gatherer in GATHERERS.items():
            if kind in kinds:
                needed = [futures[need] for need in gatherer.needs]
                futures[kind] = pool.submit(_run, gatherer, place, needed)
        return {kind: future.result() for kind, future in futures.items()}


def _run(gatherer: Gatherer, place: Place, needed: list[Future[Any]]) -> Any:
    facts = [future.result() for future in needed]
    if failed := [fact for fact in facts if isinstance(fact, Failed)]:
        return failed[0]
    try:
        return gatherer.gather(place, *facts)
    except OSError as error:
        return Failed(str(error.filename or place.home.root), error.strerror or str(error))


def with_needs(wanted: Iterable[type[Any]]) -> set[type[Any]]:
    """Return kinds of facts with all that they need in turn."""
    kinds = set(wanted)
    for kind in reversed(GATHERERS):
        if kind in kinds:
            kinds.update(GATHERERS[kind].needs)
    return kinds
