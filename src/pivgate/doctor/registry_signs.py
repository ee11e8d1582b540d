# SPDX-License-Identifier: Apache-2.0
"""Examinations of the registry, its log, and the access tree. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.registry_facts import RegistryFacts, TreeFacts

_SHOWN: Final = 3
_CODES: Final = {
    "HomeError": "registry-missing",
    "BehindError": "registry-behind",
    "NewerError": "registry-newer",
}
_MENDS: Final = "`pivgate up` brings the tree to the registry, and records what it changed."


def registry(facts: RegistryFacts) -> Iterator[Finding]:
    """Can the registry be read by this pivgate?"""
    if isinstance(facts.content, Trouble):
        code = _CODES.get(facts.content.kind, "registry-damaged")
        yield found(code, str(facts.path), facts.content.message, facts.content.hint)


def log(facts: RegistryFacts) -> Iterator[Finding | Unseen]:
    """Are the events those that were written, and all of them?"""
    if isinstance(facts.content, Trouble):
        yield Unseen("the log of events", "the registry cannot be read")
    for code, path, trouble in (
        ("log-head-lost", facts.head, facts.log.head),
        ("registry-older-copy", facts.path, facts.log.older),
        ("log-broken", facts.path, facts.log.broken),
    ):
        if trouble:
            yield found(code, str(path), trouble.message, trouble.hint)


def tree(facts: TreeFacts) -> Iterator[Finding | Unseen]:
    """Does the access tree admit those whom the registry admits, and nobody else?"""
    if facts.drift is None:
        yield Unseen("the access tree", "the registry cannot be read")
        return
    if isinstance(facts.drift, Trouble):
        yield found("access-unreadable", str(facts.path), facts.drift.message, facts.drift.hint)
        return
    if facts.drift.extra:
        yield found(
            "access-extra",
            _listed("/".join(entry) for entry in facts.drift.extra),
            "it is in the access tree but not in the registry: its holder gets in and must not",
            f"{_MENDS} Find out who put it there.",
        )
    if facts.drift.missing:
        yield found(
            "access-missing",
            _listed("/".join(entry) for entry in facts.drift.missing),
            "it is in the registry but not in the access tree: its holder is refused",
            _MENDS,
        )
    if facts.drift.foreign:
        yield found(
            "access-foreign",
            _listed(facts.drift.foreign),
            "it is in the access tree and is no entry",
            f"{_MENDS} Find out who put it there.",
        )


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:_SHOWN]) + (
        f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    )
