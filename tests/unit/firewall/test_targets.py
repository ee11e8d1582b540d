# SPDX-License-Identifier: Apache-2.0
"""What may be named in a rule, and what may not."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import InputError
from pivgate.firewall.targets import Ports, Socket, Upstream, parse_gate, parse_ports, parse_upstream

LOOKS_LIKE_NFT = st.text(alphabet='0123456789abcdef.:/-,; {}@"#\n\\$%[]()drop accept', max_size=40)
ANYTHING = LOOKS_LIKE_NFT | st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("172.18.0.0/16", "172.18.0.0/16"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("fd00::1", "fd00::1/128"),
        ("FD00:0:0::/48", "fd00::/48"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ],
)
def test_a_gates_address(text: str, network: str) -> None:
    assert str(parse_gate(text)) == network


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no IP address"),
        ("app.internal", "no IP address"),
        ("10.0.0.256", "no IP address"),
        ("010.0.0.1", "no IP address"),
        ("10.0.0.1/24", "host part"),
        ("10.0.0.0/33", "host part"),
        ("0.0.0.0", "everybody"),  # noqa: S104
        ("0.0.0.0/0", "everybody"),
        ("0.0.0.0/8", "everybody"),
        ("::", "everybody"),
        ("::/0", "everybody"),
        ("::ffff:0.0.0.0/96", "everybody"),
        ("::/64", "everybody"),
        ("224.0.0.1", "nobody's own"),
        ("ff02::1", "nobody's own"),
        ("255.255.255.255", "nobody's own"),
        ("fe80::1%eth0", "interface"),
        ("10.0.0.1, 0.0.0.0/0", "no IP address"),
        ("10.0.0.1 }", "no IP address"),
        ("10.0.0.1\n", "no IP address"),
        ("१०.0.0.1", "no IP address"),
    ],
)
def test_what_is_no_gates_address(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        parse_gate(text)
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("text", "ports"),
    [("1", (1, 1)), ("8000", (8000, 8000)), ("8000-8003", (8000, 8003)), ("65535", (65535, 65535))],
)
def test_ports(text: str, ports: tuple[int, int]) -> None:
    assert parse_ports(text) == Ports(*ports)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "not a port"),
        ("0-80", "not a port"),
        ("65536", "not a port"),
        ("8003-8000", "not a port"),
        ("http", "not a port"),
        ("8000,22", "not a port"),
        (" 8000", "not a port"),
        ("8000\n", "not a port"),
        ("-1", "not a port"),
        ("", "not a port"),
        ("८०", "not a port"),
        ("22", "port 22"),
        ("20-22", "port 22"),
        ("22-80", "port 22"),
        ("1-65535", "port 22"),
    ],
)
def test_what_is_no_port(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        parse_ports(text)
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("10.0.0.1:8000", Upstream("10.0.0.1", 8000)),
        ("[::1]:8000", Upstream("::1", 8000)),
        ("localhost:80", Upstream("localhost", 80)),
        (":8000", Upstream("localhost", 8000)),
        ("App.Internal:8000", Upstream("app.internal", 8000)),
        ("http://app.internal", Upstream("app.internal", 80)),
        ("http://app.internal:8000/", Upstream("app.internal", 8000)),
        ("https://10.0.0.1", Upstream("10.0.0.1", 443)),
        ("h2c://10.0.0.1:50051", Upstream("10.0.0.1", 50051)),
        ("tcp/10.0.0.1:8000", Upstream("10.0.0.1", 8000)),
        ("unix//run/app.sock", Socket("/run/app.sock")),
        ("unix+h2c//run/app.sock", Socket("/run/app.sock")),
        ("unix//run/app.sock|0660", Socket("/run/app.sock")),
    ],
)
def test_upstreams(text: str, upstream: Upstream | Socket) -> None:
    assert parse_upstream(text) == upstream


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app.internal",
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:8000/path",
        "10.0.0.256:80",
        "1.2.3:80",
        "[::1:80",
        "[::g]:80",
        "::1:80",
        "{$UPSTREAM}",
        "{http.request.host}:80",
        "srv:_app._tcp.test",
        "a b:80",
        "-a.test:80",
        "a..test:80",
        f"{'a' * 64}.test:80",
        f"{'a.' * 130}test:80",
        "10.0.0.1:8000-8002",
        "10.0.0.1:8000\n",
        "bücher.test:80",
        "fd/3",
    ],
)
def test_what_is_no_upstream(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_upstream(text)
    assert refusal.value.hint


@given(ANYTHING)
def test_any_text_is_an_address_of_its_own_or_refused(text: str) -> None:
    with suppress(InputError):
        network = parse_gate(text)
        assert ipaddress.ip_network(str(network)) == network
        assert network.prefixlen > 0


@given(ANYTHING)
def test_any_text_is_ports_or_refused(text: str) -> None:
    with suppress(InputError):
        ports = parse_ports(text)
        assert 0 < ports.low <= ports.high < 65536
        assert 22 not in ports


@given(ANYTHING)
def test_any_text_is_an_upstream_or_refused(text: str) -> None:
    with suppress(InputError):
        upstream = parse_upstream(text)
        if isinstance(upstream, Upstream):
            assert set(upstream.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-:")
            assert parse_upstream(str(upstream)) == upstream
