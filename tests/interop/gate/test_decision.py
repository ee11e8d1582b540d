# SPDX-License-Identifier: Apache-2.0
"""The decision of the real gate is that of a ten-line model: random sites, people, changes and visits."""

import copy
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.interop.gate.conftest import Place, made_place
from tests.interop.gate.decision_model import (
    GROUPS,
    PATHS,
    Decision,
    Shown,
    Site,
    Visit,
    decide,
    random_sites,
)
from tests.interop.gate.decision_world import USERS, Card, World, made_world
from tests.interop.gate.pki import Authority, anonymous
from tests.interop.gate.standing_gate import REFUSED_IN_HANDSHAKE, Http2, Reply, StandingGate

from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import up
from pivgate.gate.pages import Reason
from pivgate.registry.states import KeyState

pytestmark = pytest.mark.interop

# Changes reach the disk before pivgate says that they are made: in memory that takes no time.
MEMORY = Path("/dev/shm")  # noqa: S108  # made unforeseeable by mkdtemp
SEEDS = (1, 2, 3)
ENROLLED = st.sampled_from((Shown.OURS, Shown.EXPIRED, Shown.EARLY, Shown.STRANGERS))
STATES = (KeyState.SUSPENDED, KeyState.LOST, KeyState.DAMAGED, KeyState.ACTIVE, KeyState.ACTIVE)


class MismatchError(AssertionError):
    """The gate decided something else than the model."""

    def __init__(self, visit: Visit, expected: str, answer: Reply) -> None:
        super().__init__(f"expected {expected!r}, got {answer}, by {visit}")
        self.answer = answer


@dataclass
class Judge:
    """Makes visits, on connections that stay open across changes, and compares with the model."""

    world: World
    port_of: Callable[[Site], StandingGate]
    open_connections: ExitStack
    kept: dict[tuple[str, ...], Any] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def visit(
        self, site: Site, host: str, server_name: str, path: str, card: Card | None, protocol: str
    ) -> None:
        """Make one visit; what comes of it must be what the model says."""
        visit = Visit(
            site,
            host,
            server_name,
            path,
            card.shown if card else Shown.NOTHING,
            card.user if card else "",
            card is not None and self.world.in_force(card),
        )
        expected = decide(visit, self.world.members)
        # A connection that is open is used again, though much has changed since.
        name = (str(site.port), server_name, protocol, card.client.fingerprint if card else "")
        try:
            answer = self._ask(site, name, card, visit, protocol)
        except (ssl.SSLError, ConnectionError):
            answer = REFUSED_IN_HANDSHAKE
        decided = understood(answer)
        if decided != expected:
            raise MismatchError(visit, expected, answer)
        self.seen[decided if isinstance(decided, Decision) else "let in"] += 1
        self.seen[f"{protocol}, {'kept' if name in self.kept else 'lost'}"] += 1

    def _ask(
        self, site: Site, name: tuple[str, ...], card: Card | None, visit: Visit, protocol: str
    ) -> Reply:
        gate = self.port_of(site)
        if (connection := self.kept.get(name)) is None:
            context = card.client.context() if card else anonymous()
            secured = self.open_connections.enter_context(gate.connect(context, visit.server_name, protocol))
            secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Http2(secured) if protocol == "h2" else secured
        if protocol == "h2":
            answer = connection.ask(f"{visit.host}:{gate.port}", visit.path)
        else:
            answer = gate.ask_on(connection, visit.host, path=visit.path)
        if answer != REFUSED_IN_HANDSHAKE:
            self.kept[name] = connection
        return answer


def understood(answer: Reply) -> str:
    """Say what the gate decided."""
    if answer.status in (0, 421):
        return Decision.UNHEARD
    if answer.status == 403 and Reason.NOT_IN_FORCE in answer.body:
        return Decision.NOT_IN_FORCE
    if answer.status == 403 and "you are not in it" in answer.body:
        return Decision.NOT_A_MEMBER
    return answer.body if answer.status == 200 else f"{answer.status} {answer.body}"


def drawn_change(data: st.DataObject, world: World) -> Callable[[], None]:
    """Draw something that an operator may do."""
    user, group = data.draw(st.sampled_from(USERS)), data.draw(st.sampled_from(GROUPS[:3]))
    changes: list[Callable[[], None]] = [
        lambda: world.join(user, group),
        lambda: world.join(user, group),
        lambda: world.leave(user, group),
        lambda: world.disband(group),
        lambda: world.dismiss(user),
        lambda: world.hire(user),
        lambda: world.enrol(user, serial_of(user, 0), Shown.OURS),
        lambda: world.enrol(user, serial_of(user, 1), data.draw(ENROLLED)),
    ]
    if world.cards:
        card = data.draw(st.sampled_from(world.cards))
        changes += [
            lambda: world.revoke(card),
            lambda: world.retire(card),
            *(lambda state=state: world.move(card, state) for state in STATES),  # type: ignore[misc]
        ]
    return data.draw(st.sampled_from(changes))


def serial_of(user: str, which: int) -> int:
    return 31000000 + 10 * USERS.index(user) + which


def drawn_visit(data: st.DataObject, judge: Judge, sites: list[Site]) -> None:
    """Draw who visits what, and make the visit."""
    site = data.draw(st.sampled_from(sites))
    host = data.draw(st.sampled_from(site.hosts))
    cards = judge.world.cards
    likely = [card for card in cards if card.shown is Shown.OURS]
    other = data.draw(st.sampled_from([site] * 40 + sites))
    judge.visit(
        site,
        host,
        host if other is site else other.hosts[0],
        data.draw(st.sampled_from(PATHS)),
        data.draw(st.sampled_from([*likely, *likely, *cards, None])),
        data.draw(st.sampled_from(["h1", "h2"])),
    )


@dataclass
class Scene:
    """A running gate, and the sites that it serves just now."""

    place: Place
    stranger: Authority
    seen: Counter[str] = field(default_factory=Counter)
    sites: list[Site] = field(default_factory=list)

    def serve(self, seed: int) -> None:
        """Let the gate, which runs already, serve the sites of a seed."""
        self.sites = random_sites(seed, [self.place.port, self.place.other_port])
        self.place.write(*(site.caddyfile for site in self.sites))
        up(self.place.home)

    def gate(self, site: Site) -> StandingGate:
        return StandingGate(self.place.home.root, self.place.home.authority_certificate, port=site.port)

    def one_story(self, data: st.DataObject, changes: int = 6, visits: int = 10) -> None:
        """People come, things change, and after each change there are visits."""
        with made_world(self.place, self.stranger) as world, ExitStack() as connections:
            judge = Judge(world, self.gate, connections, seen=self.seen)
            for user in USERS[:2]:
                world.hire(user)
                world.enrol(user, serial_of(user, 0), Shown.OURS)
                world.enrol(user, serial_of(user, 1), data.draw(ENROLLED))
                for group in data.draw(st.sets(st.sampled_from(GROUPS[:3]))):
                    world.join(user, group)
            for _ in range(changes):
                self.seen["changes"] += world.try_to(drawn_change(data, world))
                for _ in range(visits):
                    drawn_visit(data, judge, self.sites)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("certificates")
    with made_place(folder, str(MEMORY) if MEMORY.is_dir() else "/tmp") as place:  # noqa: S108
        up(place.home)
        yield Scene(place, Authority(folder))


def stories(count: int) -> settings:
    """The same stories in every run, so that none fails by chance; told once, since each takes a while."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gate_decides_as_the_model_does(scene: Scene, seed: int) -> None:
    scene.seen.clear()
    scene.serve(seed)

    @stories(8)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        scene.one_story(data)

    holds()
    assert scene.seen["let in"] > 20
    assert scene.seen["changes"] > 20
    assert all(scene.seen[decision] > 10 for decision in Decision), scene.seen
    assert all(scene.seen[f"{protocol}, kept"] > 50 for protocol in ("h1", "h2")), scene.seen


Mutation = Callable[[Any], None]


def each(config: Any, key: str) -> Iterator[dict[str, Any]]:
    """Yield every object within a configuration that has a key."""
    if isinstance(config, dict):
        if key in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from each(part, key)


def _wrong_group(config: Any) -> None:
    for matcher in each(config, "try_files"):
        matcher["root"] = matcher["root"].replace("/editors", "/admins")


def _everyone(config: Any) -> None:
    for matcher in each(config, "try_files"):
        matcher["root"] = str(Path(matcher["root"]).with_name("everyone"))


def _no_look_at_the_tree(config: Any) -> None:
    for matcher in each(config, "not"):
        if any("file" in refused for refused in matcher["not"]):
            matcher["not"] = [{"path": ["*"]}]


def _the_folder_will_do(config: Any) -> None:
    for matcher in each(config, "try_files"):
        matcher["try_files"] = ["/"]


def _a_certificate_if_you_like(config: Any) -> None:
    for policy in each(config, "client_authentication"):
        policy["client_authentication"]["mode"] = "verify_if_given"


def _any_certificate(config: Any) -> None:
    for policy in each(config, "client_authentication"):
        policy["client_authentication"]["mode"] = "require"


def _loose_names(config: Any) -> None:
    for server in each(config, "tls_connection_policies"):
        server["strict_sni_host"] = False


@pytest.mark.parametrize(
    "mutation",
    [
        _wrong_group,
        _everyone,
        _no_look_at_the_tree,
        _the_folder_will_do,
        _a_certificate_if_you_like,
        _any_certificate,
        _loose_names,
    ],
    ids=lambda mutation: mutation.__name__.strip("_"),
)
def test_a_gate_that_is_wrong_in_one_thing_is_told_from_the_model(scene: Scene, mutation: Mutation) -> None:
    if not scene.sites:
        scene.serve(SEEDS[0])
    admin = AdminApi(scene.place.home.admin_socket)
    good = admin.config()
    bad = copy.deepcopy(good)
    mutation(bad)
    assert bad != good

    @stories(40)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        scene.one_story(data)

    admin.load(bad)
    try:
        with pytest.raises(MismatchError) as found:
            holds()
    finally:
        admin.load(good)
    # None of these mistakes closes a connection: what was told apart is no accident of loading.
    assert found.value.answer.status in (200, 403)
