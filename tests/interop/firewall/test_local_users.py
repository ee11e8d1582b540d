# SPDX-License-Identifier: Apache-2.0
"""An upstream on the gate's own machine: which of its users reach it."""

import pytest
from tests.interop.firewall.conftest import Street
from tests.interop.firewall.docker_shape import FOUR, PUBLISHED, SIX, container, publish

pytestmark = pytest.mark.interop

GATE, OTHER = 33, 65534  # www-data and nobody, in Debian


def users(street: Street, address: str, port: int = 8000, kind: str = "tcp") -> dict[str, bool]:
    numbers = {"gate": GATE, "other": OTHER, "root": 0}
    return {
        name: street.upstream.reaches(address, port, kind, user=number) for name, number in numbers.items()
    }


EVERYBODY = {"gate": True, "other": True, "root": True}
ONLY_THE_GATE = {"gate": True, "other": False, "root": False}


def test_only_the_gates_user_reaches_it_by_any_address(street: Street) -> None:
    addresses = ("127.0.0.1", "127.0.0.9", "::1", street.upstream.four, street.upstream.six)
    before = street.upstream.ruleset()
    street.upstream.good("firewall", "apply", "--port", "8000", "--gate", "127.0.0.1")
    assert [users(street, each) for each in addresses] == [EVERYBODY] * 5
    words = ("--port", "8000", "--gate", "127.0.0.1", "--gate-user", "www-data")
    street.upstream.good("firewall", "apply", *words)
    assert [users(street, each) for each in addresses] == [ONLY_THE_GATE] * 5
    street.upstream.good("firewall", "undo", "--yes")
    assert [users(street, each) for each in addresses] == [EVERYBODY] * 5
    assert street.upstream.ruleset() == before


def test_udp_too(street: Street) -> None:
    street.upstream.serve(8000, "127.0.0.1", "udp")
    assert users(street, "127.0.0.1", kind="udp") == EVERYBODY
    words = ("--port", "8000", "--gate", "127.0.0.1", "--gate-user", "www-data")
    street.upstream.good("firewall", "apply", *words)
    assert users(street, "127.0.0.1", kind="udp") == ONLY_THE_GATE


def test_other_ports_and_other_machines_are_free_to_all(street: Street) -> None:
    street.upstream.serve(8001)
    street.stranger.serve(8000)
    words = ("--port", "8000", "--gate", "127.0.0.1", "--gate-user", "www-data")
    street.upstream.good("firewall", "apply", *words)
    assert users(street, "127.0.0.1", 8001) == EVERYBODY
    assert users(street, street.stranger.four) == EVERYBODY
    assert users(street, street.stranger.six) == EVERYBODY


@pytest.mark.parametrize("how", ["iptables", "nftables"])
def test_a_published_port_is_for_the_gates_user_too(street: Street, how: str) -> None:
    container(street.lab, street.upstream)
    publish(street.upstream, how)
    addresses = (street.upstream.four, street.upstream.six)
    assert [users(street, each, PUBLISHED) for each in addresses] == [EVERYBODY] * 2
    words = ("--port", str(PUBLISHED), "--gate", "127.0.0.1", "--gate-user", "www-data")
    street.upstream.good("firewall", "apply", *words)
    assert [users(street, each, PUBLISHED) for each in addresses] == [ONLY_THE_GATE] * 2
    # Their own addresses have not been named.
    assert [users(street, each, 80) for each in (FOUR, SIX)] == [EVERYBODY] * 2
