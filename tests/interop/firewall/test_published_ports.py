# SPDX-License-Identifier: Apache-2.0
"""Containers: a port that Docker publishes, and a container that is an upstream by its own address."""

import pytest
from tests.interop.firewall.conftest import ALL, CLOSED, Street
from tests.interop.firewall.docker_shape import (
    FOUR,
    INSIDE,
    PUBLISHED,
    SIX,
    container,
    publish,
)
from tests.interop.firewall.lab import Box

pytestmark = pytest.mark.interop


@pytest.fixture(params=["iptables", "nftables"])
def docker(street: Street, request: pytest.FixtureRequest) -> Box:
    """The upstream's machine runs a container behind port 8080; returns the container."""
    inside = container(street.lab, street.upstream)
    publish(street.upstream, request.param)
    return inside


def test_a_published_port_is_closed_before_docker_accepts_it(
    street: Street, docker: Box, gates: tuple[str, ...]
) -> None:
    before = street.upstream.ruleset()
    assert street.seen(PUBLISHED) == ALL

    street.upstream.good("firewall", "apply", "--port", str(PUBLISHED), *gates)

    assert street.seen(PUBLISHED) == CLOSED
    street.stranger.serve(PUBLISHED)
    assert docker.reaches(street.stranger.four, PUBLISHED)
    assert docker.reaches(street.stranger.six, PUBLISHED)

    street.upstream.good("firewall", "undo", "--yes")
    assert street.seen(PUBLISHED) == ALL
    assert street.upstream.ruleset() == before


def test_it_stays_closed_when_docker_makes_its_rules_anew(street: Street, gates: tuple[str, ...]) -> None:
    container(street.lab, street.upstream)
    street.upstream.good("firewall", "apply", "--port", str(PUBLISHED), *gates)
    for _ in range(2):
        publish(street.upstream, "iptables")
        assert street.seen(PUBLISHED) == CLOSED


def test_the_proxy_of_docker_in_user_space_is_closed_too(
    street: Street, docker: Box, gates: tuple[str, ...]
) -> None:
    # It listens on every address for whatever no rule rewrites: calls from other containers, for one.
    street.upstream.serve(PUBLISHED)
    other_container = (street.upstream.four, "172.17.0.1")
    assert [docker.reaches(each, PUBLISHED) for each in other_container] == [True, True]
    street.upstream.good("firewall", "apply", "--port", str(PUBLISHED), *gates)
    assert [docker.reaches(each, PUBLISHED) for each in other_container] == [False, False]
    assert street.upstream.reaches("127.0.0.1", PUBLISHED)


def test_rules_that_rewrite_before_everybody_else(street: Street, gates: tuple[str, ...]) -> None:
    container(street.lab, street.upstream)
    for family, target in (("ip", f"{FOUR}:{INSIDE}"), ("ip6", f"[{SIX}]:{INSIDE}")):
        chain = (
            f"chain p {{ type nat hook prerouting priority -190; tcp dport {PUBLISHED} dnat to {target}; }};"
        )
        street.upstream.run("nft", f"table {family} early {{ {chain} }}")
    nobody_here = {"itself 4": False, "itself 6": False}
    assert street.seen(PUBLISHED) == {**ALL, **nobody_here}
    street.upstream.good("firewall", "apply", "--port", str(PUBLISHED), *gates)
    assert street.seen(PUBLISHED) == {**CLOSED, **nobody_here}
