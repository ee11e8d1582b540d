# SPDX-License-Identifier: Apache-2.0
"""Which attempts are made on which sites, at which addresses and under which names."""

from typing import Any

import pytest

from pivgate.errors import GateError
from pivgate.gate.addresses import Tcp
from pivgate.gate.attempts import UNKNOWN_NAME, Attempt, Way, example, plan
from pivgate.gate.sites import GatedSite

AT_HOME = {
    Way.NO_CERTIFICATE,
    Way.FOREIGN,
    Way.EXPIRED,
    Way.REVOKED,
    Way.REVOKED_H2,
    Way.PLAIN,
    Way.UNKNOWN_NAME,
    Way.NO_NAME,
}


def site(host: str, *listen: str, port: int = 443) -> GatedSite:
    return GatedSite(host, port, ("admins",), listen or (":443",))


def config(**servers: tuple[list[str], list[str]]) -> dict[str, Any]:
    """Return servers by name: what they listen on, and the hosts they name."""
    return {
        "apps": {
            "http": {
                "servers": {
                    name: {"listen": listen, "routes": [{"match": [{"host": [host]}]} for host in hosts]}
                    for name, (listen, hosts) in servers.items()
                }
            }
        }
    }


def ways(attempts: tuple[Attempt, ...], host: str) -> set[Way]:
    return {attempt.way for attempt in attempts if attempt.site.startswith(f"{host}:")}


def test_a_site_alone_is_tried_in_every_way_that_there_is() -> None:
    attempts = plan(config(s=([":443"], ["a.test"])), [site("a.test")])

    assert ways(attempts, "a.test") == AT_HOME
    assert {attempt.endpoint for attempt in attempts} == {Tcp("127.0.0.1", 443)}
    names = {attempt.way: attempt.server_name for attempt in attempts}
    assert names[Way.NO_NAME] is None
    assert names[Way.UNKNOWN_NAME] == UNKNOWN_NAME
    assert {name for way, name in names.items() if not way.certainly_nameless} == {"a.test"}
    assert {attempt.host for attempt in attempts} == {"a.test"}


def test_the_names_of_other_sites_on_the_same_server_are_tried() -> None:
    hosts = ["a.test", "b.test", "open.test"]
    attempts = plan(config(s=([":443"], hosts)), [site("a.test"), site("b.test")])

    for host, other in (("a.test", "b.test"), ("b.test", "a.test")):
        assert ways(attempts, host) == AT_HOME | {Way.OTHER_NAME, Way.OPEN_NAME}
        names = {attempt.way: attempt.server_name for attempt in attempts if attempt.host == host}
        assert (names[Way.OTHER_NAME], names[Way.OPEN_NAME]) == (other, "open.test")


def test_the_names_of_sites_elsewhere_are_not() -> None:
    attempts = plan(config(s=([":443"], ["a.test"]), t=([":444"], ["open.test"])), [site("a.test")])

    assert ways(attempts, "a.test") == AT_HOME


@pytest.mark.parametrize("host", ["a.test", "*.test", "A.TEST"])
def test_another_server_that_names_the_host_is_tried_too(host: str) -> None:
    attempts = plan(config(s=([":443"], ["a.test"]), t=([":8080"], [host])), [site("a.test")])

    elsewhere = [attempt for attempt in attempts if attempt.endpoint == Tcp("127.0.0.1", 8080)]
    assert {attempt.way for attempt in elsewhere} == {
        Way.NO_CERTIFICATE,
        Way.FOREIGN,
        Way.EXPIRED,
        Way.REVOKED,
        Way.PLAIN,
    }
    assert {attempt.host for attempt in elsewhere} == {"a.test"}
    assert all(attempt.shown.endswith(", at 127.0.0.1:8080") for attempt in elsewhere)


@pytest.mark.parametrize("host", ["b.test", "*.a.test", "test", "*", "*.*.test", "a.test.example"])
def test_a_server_that_names_other_hosts_is_not(host: str) -> None:
    attempts = plan(config(s=([":443"], ["a.test"]), t=([":8080"], [host])), [site("a.test")])

    assert {attempt.endpoint for attempt in attempts} == {Tcp("127.0.0.1", 443)}


def test_a_gated_wildcard_is_tried_by_an_example() -> None:
    attempts = plan(config(s=([":443"], ["*.test", "open.test"])), [site("*.test")])

    assert {attempt.host for attempt in attempts} == {example("*.test")} == {"pivgate-probe.test"}
    names = {attempt.way: attempt.server_name for attempt in attempts}
    assert names[Way.REVOKED] == "pivgate-probe.test"
    assert names[Way.OPEN_NAME] == "open.test"


def test_a_host_that_is_gated_on_two_ports_is_tried_once_on_each() -> None:
    servers = config(s=([":443", ":8443"], ["a.test"]))
    sites = [site("a.test", ":443"), site("a.test", ":8443", port=8443)]

    attempts = plan(servers, sites)

    assert len(attempts) == len(set(attempts)) == 2 * len(AT_HOME)
    assert {(attempt.site, attempt.endpoint, attempt.port) for attempt in attempts} == {
        ("a.test:443", Tcp("127.0.0.1", 443), 443),
        ("a.test:8443", Tcp("127.0.0.1", 8443), 8443),
    }


def test_only_the_sites_own_port_of_a_range_is_its_own() -> None:
    sites = [site("a.test", ":8000-8001", port=8000), site("a.test", ":8000-8001", port=8001)]

    assert len(plan(config(s=([":8000-8001"], ["a.test"])), sites)) == 2 * len(AT_HOME)


def test_no_sites_no_attempts() -> None:
    assert plan({}, []) == ()
    assert plan(config(s=([":443"], ["a.test"])), []) == ()


def test_what_cannot_be_connected_to_cannot_be_proved() -> None:
    with pytest.raises(GateError, match="fd/3"):
        plan(config(s=(["fd/3"], ["a.test"])), [site("a.test", "fd/3")])


@pytest.mark.parametrize(
    ("way", "certificate"),
    [
        (Way.NO_CERTIFICATE, None),
        (Way.NO_NAME, None),
        (Way.UNKNOWN_NAME, None),
        (Way.OPEN_NAME, None),
        (Way.PLAIN, None),
        (Way.FOREIGN, "foreign"),
        (Way.EXPIRED, "expired"),
        (Way.REVOKED, "revoked"),
        (Way.REVOKED_H2, "revoked"),
        (Way.OTHER_NAME, "revoked"),
    ],
)
def test_each_way_shows_its_certificate(way: Way, certificate: str | None) -> None:
    assert way.certificate == certificate


def test_a_revoked_certificate_is_tried_over_both_protocols() -> None:
    assert Way.REVOKED.protocols == ("http/1.1",)
    assert Way.REVOKED_H2.protocols[0] == "h2"


def test_a_thousand_sites_are_planned_at_once() -> None:
    hosts = [f"site-{number}.test" for number in range(1000)]

    attempts = plan(config(s=([":443"], hosts)), [site(host) for host in hosts])

    assert len(attempts) == 1000 * (len(AT_HOME) + 1)
