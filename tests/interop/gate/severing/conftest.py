# SPDX-License-Identifier: Apache-2.0
"""A home whose gate is up before answers that do not end, and two who hold them open."""

import time
from collections.abc import Iterator

import pytest
from tests.interop.gate.conftest import Place, made_place
from tests.interop.gate.pki import Client
from tests.interop.gate.standing_gate import StandingGate
from tests.interop.gate.streams import HOST, SITE, Stream, endless

from pivgate.gate.apply import up


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home whose gate is up before answers that do not end."""
    with made_place(tmp_path_factory.mktemp("certificates")) as place, endless() as upstream:
        place.write(SITE.format(upstream=upstream))
        yield place


@pytest.fixture
def place(standing: Place) -> Place:
    up(standing.home)
    return standing


@pytest.fixture
def bob(place: Place) -> Client:
    client = place.authority.client("bob")
    place.admit("admins", client)
    return client


def ask(place: Place, client: Client) -> int:
    gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)
    return gate.ask(client.context(), HOST, path="/short").status


def still_open(streams: list[Stream], patience: float = 5.0) -> list[str]:
    deadline = time.monotonic() + patience
    return [one.name for one in streams if not one.await_end(max(0.0, deadline - time.monotonic()))]
