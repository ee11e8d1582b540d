# SPDX-License-Identifier: Apache-2.0
"""A container that is a site's upstream by its own address, on the gate's machine."""

from pathlib import Path

import pytest
from tests.interop.firewall.conftest import Street
from tests.interop.firewall.docker_shape import (
    FOUR,
    INSIDE,
    PUBLISHED,
    SIX,
    by_the_bridge,
    container,
    publish,
)
from tests.interop.firewall.lab import Box

pytestmark = pytest.mark.interop


@pytest.fixture
def home(street: Street) -> Path:
    path = street.upstream.root / "home"
    secret = street.upstream.root / "secret"
    secret.write_text("correct horse battery staple")
    street.upstream.good("--home", path, "init", "--passphrase-file", secret, "--https-port", "8443")
    for site, upstream in (("four.test", f"{FOUR}:{INSIDE}"), ("six.test", f"[{SIX}]:{INSIDE}")):
        street.upstream.good("--home", path, "site", "add", site, upstream)
    return path


def straight(box: Box) -> list[bool]:
    return [box.reaches(each, INSIDE) for each in (FOUR, SIX)]


def by_port(street: Street, box: Box) -> list[bool]:
    return [box.reaches(each, PUBLISHED) for each in (street.upstream.four, street.upstream.six)]


@pytest.mark.parametrize("how", ["iptables", "nftables"])
def test_it_is_closed_straight_and_by_any_published_port(street: Street, home: Path, how: str) -> None:
    container(street.lab, street.upstream)
    publish(street.upstream, how)
    by_the_bridge(street.stranger, street.upstream)
    assert straight(street.stranger) == by_port(street, street.stranger) == [True, True]

    street.upstream.good("--home", home, "firewall", "apply")

    assert straight(street.stranger) == by_port(street, street.stranger) == [False, False]
    assert straight(street.upstream) == [True, True]

    street.upstream.good("--home", home, "firewall", "apply", "--gate", street.stranger.four)
    assert straight(street.stranger) == [True, False]

    street.upstream.good("--home", home, "firewall", "apply", "--gate-user", "www-data")
    assert straight(street.upstream) == [False, False]
    assert [street.upstream.reaches(each, INSIDE, user=33) for each in (FOUR, SIX)] == [True, True]
