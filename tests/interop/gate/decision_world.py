# SPDX-License-Identifier: Apache-2.0
"""People, keys and certificates that change through pivgate's own code, and what a model knows of them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.serialization import Encoding
from tests.interop.gate.conftest import Place
from tests.interop.gate.decision_model import Shown
from tests.interop.gate.pki import Authority, Client

from pivgate.enrolment import access
from pivgate.enrolment.local import LocalEnrolment
from pivgate.errors import HomeError, RefusedError
from pivgate.registry.states import KeyState, RevocationReason
from pivgate.registry.store import Registry

WHO = "the test"
USERS = ("alice", "bob", "carol")
# Ours is valid at every moment from which the others are; whoever winds a clock must not matter.
DAYS = {Shown.OURS: (-9, 30), Shown.EXPIRED: (-9, -1), Shown.EARLY: (1, 30), Shown.STRANGERS: (-9, 30)}
# Days from now at which each is put in force, so that its entry is in the tree.
PUT_IN_FORCE = {Shown.OURS: 0, Shown.EXPIRED: -2, Shown.EARLY: 2, Shown.STRANGERS: 0}


@dataclass
class Card:
    """A certificate, and what the model knows of it: ``stands`` until it is revoked or superseded."""

    client: Client
    shown: Shown
    user: str
    serial: int
    stands: bool = True


@dataclass
class World:
    """A registry and the access tree of a running gate; each change is made in both, and in the model.

    What pivgate refuses to do must change nothing, so the model stays as it was.
    """

    place: Place
    stranger: Authority
    registry: Registry
    members: set[tuple[str, str]] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    cards: list[Card] = field(default_factory=list)
    keys: dict[int, KeyState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        access.bring_tree_to_registry(self.place.home, self.registry, actor=WHO, now=self.now)

    @property
    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def in_force(self, card: Card) -> bool:
        """Say whether a certificate opens anything, as far as the registry goes."""
        return card.stands and self.keys[card.serial] is KeyState.ACTIVE

    def hire(self, user: str) -> None:
        """Add a person."""
        self.registry.add_user(user, display_name=user, email=None, actor=WHO, now=self.now)
        self.users.add(user)

    def enrol(self, user: str, serial: int, shown: Shown) -> None:
        """Put a certificate in force, on a new key or in place of the one that the key has."""
        self.registry.register_key(
            serial, model="m", firmware="5.7.4", form_factor="f", user=user, actor=WHO, now=self.now
        )
        issuer = self.stranger if shown is Shown.STRANGERS else self.place.authority
        client = issuer.client(user, days=DAYS[shown])
        moment = self.now + timedelta(days=PUT_IN_FORCE[shown])
        der = client.certificate.public_bytes(Encoding.DER)
        self.registry.record_certificate(der, serial, "client", actor=WHO, now=moment)
        enrolment = LocalEnrolment(
            self.place.home,
            self.registry,
            user,
            unlock=_nothing_to_sign,
            authority_certificate=self.place.authority.certificate,
            client_days=1,
            actor=WHO,
            clock=lambda: moment,
        )
        enrolment.activate(client.certificate)
        self._fell(lambda card: card.serial == serial)
        self.keys[serial] = KeyState.ACTIVE
        self.cards.append(Card(client, shown, user, serial))

    def join(self, user: str, group: str) -> None:
        """Let somebody into a group, which may be new."""
        if group not in {known.name for known in self.registry.groups()}:
            self.registry.add_group(group, actor=WHO, now=self.now)
        self.registry.add_member(group, user, actor=WHO, now=self.now)
        access.grant(self.place.home, self.registry, user, actor=WHO, now=self.now)
        self.members.add((group, user))

    def leave(self, user: str, group: str) -> None:
        """Take somebody out of a group."""
        access.leave_group(self.place.home, self.registry, group, user, actor=WHO, now=self.now)
        self.members.discard((group, user))

    def disband(self, group: str) -> None:
        """Remove a group."""
        access.remove_group(self.place.home, self.registry, group, actor=WHO, now=self.now)
        self.members -= {pair for pair in self.members if pair[0] == group}

    def revoke(self, card: Card) -> None:
        """Revoke a certificate."""
        access.revoke_certificates(
            self.place.home,
            self.registry,
            [self.registry.certificate(card.client.fingerprint)],
            RevocationReason.UNSPECIFIED,
            actor=WHO,
            now=self.now,
        )
        card.stands = False

    def retire(self, card: Card) -> None:
        """End a key."""
        key = self.registry.key(card.serial)
        access.revoke_key(
            self.place.home,
            self.registry,
            key,
            RevocationReason.CESSATION_OF_OPERATION,
            actor=WHO,
            now=self.now,
        )
        self.keys[card.serial] = KeyState.RETIRED
        self._fell(lambda other: other.serial == card.serial)

    def move(self, card: Card, state: KeyState) -> None:
        """Suspend a key, lose it, damage it, or find it again."""
        key = self.registry.key(card.serial)
        access.set_key_state(self.place.home, self.registry, key, state, "because", actor=WHO, now=self.now)
        self.keys[card.serial] = state

    def dismiss(self, user: str) -> None:
        """Remove a person."""
        access.remove_user(self.place.home, self.registry, user, actor=WHO, now=self.now)
        self.users.discard(user)
        self.members -= {pair for pair in self.members if pair[1] == user}
        self._fell(lambda card: card.user == user)

    def try_to(self, change: Callable[[], None]) -> bool:
        """Make a change; return whether pivgate did."""
        try:
            change()
        except (RefusedError, HomeError):
            return False
        return True

    def _fell(self, chosen: Callable[[Card], bool]) -> None:
        for card in self.cards:
            if chosen(card):
                card.stands = False


@contextmanager
def made_world(place: Place, stranger: Authority) -> Iterator[World]:
    """Empty the tree of a running gate and begin with a registry in which nobody is."""
    with tempfile.TemporaryDirectory(dir=place.home.root) as folder:
        path = Path(folder)
        with Registry.create(path / "registry.db", path / "head") as registry:
            yield World(place, stranger, registry)


def _nothing_to_sign() -> NoReturn:
    raise AssertionError("the certificate is there already")
