# SPDX-License-Identifier: Apache-2.0
"""Random sites, and in ten lines what the gate has to decide about a visit to them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

GROUPS = ("admins", "editors", "night-shift", "everyone")


class Decision(StrEnum):
    """How the gate may refuse; who is let in gets the answer of the site instead."""

    UNHEARD = "the handshake fails, or 421"
    NOT_IN_FORCE = "403: the certificate is not in force"
    NOT_A_MEMBER = "403: the holder is not in the group"


class Shown(StrEnum):
    """What a visitor shows in the handshake."""

    OURS = "a certificate of our authority, within its dates"
    EXPIRED = "one of ours that has expired"
    EARLY = "one of ours that is not valid yet"
    STRANGERS = "one of an authority of the same name"
    NOTHING = "no certificate"


@dataclass(frozen=True)
class Rule:
    """What a site does with the paths under a prefix; ``groups`` are asked for in a row."""

    prefix: str
    groups: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Site:
    """One block of the Caddyfile. The first rule that fits the path is the site's."""

    addresses: tuple[str, ...]
    hosts: tuple[str, ...]
    port: int
    rules: tuple[Rule, ...]
    caddyfile: str


@dataclass(frozen=True)
class Visit:
    """A request: what the handshake names, what the request names, and the visitor as the registry has it."""

    site: Site
    host: str
    server_name: str
    path: str
    shown: Shown
    user: str
    in_force: bool


def decide(visit: Visit, members: Iterable[tuple[str, str]]) -> str:
    """Say what the gate must do, given the pairs of group and user: this is all that it is about."""
    if visit.shown is not Shown.OURS or visit.server_name != visit.host:
        return Decision.UNHEARD
    rule = next(rule for rule in visit.site.rules if visit.path.lower().startswith(rule.prefix))
    for group in rule.groups:
        if not visit.in_force:
            return Decision.NOT_IN_FORCE
        if group != "everyone" and (group, visit.user) not in members:
            return Decision.NOT_A_MEMBER
    return rule.answer


def random_sites(seed: int, ports: Sequence[int]) -> list[Site]:
    """Draw one site of every shape, with groups, ports and order of its own."""
    chance = random.Random(seed)  # noqa: S311  # nothing here is secret
    sites = []
    for number, shape in enumerate(chance.sample(list(SHAPES), k=len(SHAPES))):
        groups = chance.sample(GROUPS, k=2)
        sites.append(SHAPES[shape](f"{shape}-{number}", chance.choice(ports), groups[0], groups[1]))
    return sites


def _site(hosts: Sequence[str], port: int, rules: Sequence[Rule], body: str) -> Site:
    # A wildcard is visited by a name under it.
    addresses = tuple(f"{host}:{port}" for host in hosts)
    visited = tuple(host.replace("*", "any") for host in hosts)
    return Site(addresses, visited, port, tuple(rules), f"\n{', '.join(addresses)} {{\n{body}}}\n")


def _plain(name: str, port: int, group: str, _: str) -> Site:
    return _site(
        [f"{name}.test"],
        port,
        [Rule("/", (group,), name)],
        f'\timport pivgate {group} internal {{\n\t\trespond "{name}"\n\t}}\n',
    )


def _own_tls(name: str, port: int, group: str, _: str) -> Site:
    return _site(
        [f"{name}.test"],
        port,
        [Rule("/", (group,), name)],
        f"\timport pivgate-tls {group} {{\n\t\ttls {{\n\t\t\tissuer internal\n\t\t}}\n"
        f'\t\tsite {{\n\t\t\trespond "{name}"\n\t\t}}\n\t}}\n',
    )


def _wildcard(name: str, port: int, group: str, _: str) -> Site:
    return _site(
        [f"*.{name}.test"],
        port,
        [Rule("/", (group,), name)],
        f'\timport pivgate {group} internal {{\n\t\trespond "{name}"\n\t}}\n',
    )


def _several_hosts(name: str, port: int, group: str, _: str) -> Site:
    return _site(
        [f"{name}.test", f"{name}.example", f"*.{name}.example"],
        port,
        [Rule("/", (group,), name)],
        f'\timport pivgate {group} internal {{\n\t\trespond "{name}"\n\t}}\n',
    )


def _two_in_a_row(name: str, port: int, first: str, second: str) -> Site:
    return _site(
        [f"{name}.test"],
        port,
        [Rule("/deep/", (first,), f"{name} hello"), Rule("/", (first, second), name)],
        f'\timport pivgate {first} internal {{\n\t\trespond /deep/* "{name} hello"\n\t}}\n'
        f'\timport pivgate {second} internal {{\n\t\trespond "{name}"\n\t}}\n',
    )


def _paths(name: str, port: int, group: str, _: str) -> Site:
    return _site(
        [f"{name}.test"],
        port,
        [Rule("/deep/", (group,), f"{name} deep"), Rule("/", (group,), name)],
        f"\timport pivgate {group} internal {{\n"
        f'\t\thandle /deep/* {{\n\t\t\trespond "{name} deep"\n\t\t}}\n'
        f'\t\thandle {{\n\t\t\trespond "{name}"\n\t\t}}\n\t}}\n',
    )


SHAPES = {
    "plain": _plain,
    "own-tls": _own_tls,
    "wildcard": _wildcard,
    "several": _several_hosts,
    "in-a-row": _two_in_a_row,
    "paths": _paths,
}
PATHS = ("/", "/deep/x", "/deep/", "/DEEP/x", "/deeper", "/x/deep/", "/deep")
