# SPDX-License-Identifier: Apache-2.0
"""The registry and its log, read without changing a byte, and the access tree beside it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.errors import PivgateError
from pivgate.gate.access import Drift, drift
from pivgate.registry.audit import AuditError
from pivgate.registry.head import read_head
from pivgate.registry.records import Certificate, Key, User
from pivgate.registry.states import CertificateState
from pivgate.registry.store import Registry

_CRL = "crl.number"


@dataclass(frozen=True)
class Log:
    """What is wrong with the log of events; one of these at most.

    Attributes:
        head: Why its head file cannot be read.
        older: Why the registry is not the one that the head file speaks of.
        broken: Which event is not what was written.
    """

    head: Trouble | None = None
    older: Trouble | None = None
    broken: Trouble | None = None


@dataclass(frozen=True)
class RegistryContent:
    """What the registry says.

    Attributes:
        users: All who are not removed.
        keys: All that are not retired.
        active: Certificates in the state ``active``, some of which may have ended.
        groups: Names of all groups.
        access: What is to be in the access tree now.
        last_event: When the last event was written; None when there is none.
        last_list: When the last revocation list was signed; None when none was.
    """

    users: tuple[User, ...]
    keys: tuple[Key, ...]
    active: tuple[Certificate, ...]
    groups: frozenset[str]
    access: frozenset[tuple[str, str]]
    last_event: datetime | None
    last_list: datetime | None


@dataclass(frozen=True)
class RegistryFacts:
    """The registry.

    Attributes:
        path: Its file.
        content: What it says, or why it cannot be read.
        log: What is wrong with its log.
    """

    path: Path
    head: Path
    content: RegistryContent | Trouble
    log: Log


@dataclass(frozen=True)
class TreeFacts:
    """The access tree.

    Attributes:
        path: Where it is.
        drift: How it differs from the registry, or why it cannot be read; None when the registry cannot be.
    """

    path: Path
    drift: Drift | Trouble | None


def gather_registry(place: Place) -> RegistryFacts:
    """Read the registry."""
    home = place.home
    try:
        with Registry.look(home.registry, home.audit_head) as registry:
            return RegistryFacts(
                home.registry, home.audit_head, _content(registry, place.now), _log(registry)
            )
    except PivgateError as error:
        return RegistryFacts(home.registry, home.audit_head, Trouble.of(error), Log())


def gather_tree(place: Place, registry: RegistryFacts) -> TreeFacts:
    """Compare the access tree with the registry."""
    tree = place.home.access
    if isinstance(registry.content, Trouble):
        return TreeFacts(tree, None)
    try:
        return TreeFacts(tree, drift(tree, registry.content.access))
    except PivgateError as error:
        return TreeFacts(tree, Trouble.of(error))


def _content(registry: Registry, now: datetime) -> RegistryContent:
    newest = registry.events(last=1)
    lists = registry.events(last=1, action=_CRL)
    return RegistryContent(
        users=registry.users(),
        keys=registry.keys(retired=False),
        active=registry.certificates(state=CertificateState.ACTIVE),
        groups=frozenset(group.name for group in registry.groups()),
        access=registry.access(now),
        last_event=newest[0].time if newest else None,
        last_list=lists[0].time if lists else None,
    )


def _log(registry: Registry) -> Log:
    try:
        read_head(registry.audit_head_path)
    except PivgateError as error:
        return Log(head=Trouble.of(error))
    try:
        registry.verify_audit()
    except AuditError as error:
        try:
            registry.check_head()
        except AuditError as older:
            return Log(older=Trouble.of(older))
        return Log(broken=Trouble.of(error))
    return Log()
