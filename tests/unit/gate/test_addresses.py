# SPDX-License-Identifier: Apache-2.0
"""Caddy's notation for network addresses."""

from pathlib import Path

import pytest

from pivgate.errors import GateError
from pivgate.gate.addresses import Tcp, Unix, parse_listen

EVERYWHERE = "0.0.0.0"  # noqa: S104 - read, not bound


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":443", [Tcp("", 443)]),
        ("127.0.0.1:8443", [Tcp("127.0.0.1", 8443)]),
        ("localhost:8443", [Tcp("localhost", 8443)]),
        ("tcp/:443", [Tcp("", 443)]),
        ("tcp4/0.0.0.0:443", [Tcp(EVERYWHERE, 443)]),
        ("tcp6/[::1]:443", [Tcp("::1", 443)]),
        ("[fe80::1%eth0]:443", [Tcp("fe80::1%eth0", 443)]),
        (":8000-8002", [Tcp("", 8000), Tcp("", 8001), Tcp("", 8002)]),
        ("unix//run/gate.sock|0200", [Unix(Path("/run/gate.sock"))]),
        ("unix//run/gate.sock", [Unix(Path("/run/gate.sock"))]),
        ("udp/:443", []),
    ],
)
def test_what_can_be_connected_to(text: str, expected: list[Tcp | Unix]) -> None:
    assert parse_listen(text) == tuple(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "443",
        ":0",
        ":70000",
        ":9-8",
        ":443x",
        "fd/3",
        "{env.LISTEN}",
        "a b:443",
        "[::1]",
        ":{env.PORT}",
        "::1:443",
    ],
)
def test_what_cannot_be_connected_to_is_refused(text: str) -> None:
    with pytest.raises(GateError, match="listens on"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("address", "near"),
    [
        (Tcp("", 1), Tcp("127.0.0.1", 1)),
        (Tcp(EVERYWHERE, 1), Tcp("127.0.0.1", 1)),
        (Tcp("::", 1), Tcp("::1", 1)),
        (Tcp("192.0.2.1", 1), Tcp("192.0.2.1", 1)),
    ],
)
def test_every_address_is_reached_by_the_loopback(address: Tcp, near: Tcp) -> None:
    assert address.near == near


def test_they_are_written_as_caddy_does() -> None:
    assert [str(Tcp("::1", 1)), str(Tcp("", 2)), str(Unix(Path("/s")))] == ["[::1]:1", ":2", "unix//s"]
