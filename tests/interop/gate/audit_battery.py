# SPDX-License-Identifier: Apache-2.0
"""Everything that an attacker tries on a configuration that the audit lets pass; none of it may work."""

import base64
import re
import ssl
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from tests.interop.gate.audit_attacks import opened
from tests.interop.gate.audit_bench import Bench, Request
from tests.interop.gate.audit_talk import talk
from tests.interop.gate.standing_gate import Http2, Reply

from pivgate.gate.addresses import Tcp, parse_listen

PATHS = (
    *("/", "/public/x", "/old", "/api/x", "/gone", "/broken", "/healthz", "/internal/x", "/files/"),
    *(
        "/?group=everyone&user=root",
        "/.well-known/acme-challenge/x",
        "//app.example.com/",
        "/%2e%2e/index.html",
    ),
)
METHODS = ("POST", "OPTIONS", "HEAD", "CONNECT", "BOGUS")
# Whoever attacks knows the password that one of the files asks for, too.
PASSWORD = ("Authorization", f"Basic {base64.b64encode(b'bob:opensesame').decode()}")
WEBSOCKET = (PASSWORD, ("Connection", "Upgrade"), ("Upgrade", "websocket"))
SWITCHING = (PASSWORD, ("Connection", "Upgrade"), ("Upgrade", "h2c"))
NAMING = (PASSWORD, ("Connection", "close, X-Client-User"))
# What a Caddyfile might take from the query.
CHOOSING = "/?user=root&group=everyone&c=close,X-Client-User&u=h2c"
FORGED = (
    PASSWORD,
    ("X-Client-User", "root"),
    ("x-client-role", "root"),
    ("X_Client_User", "root"),
    ("X.Client.User", "root"),
    ("X-Client-User ", "root"),
    ("X-Tenant", "root"),
    ("Client-Cert", "root"),
    ("Forwarded", "for=root"),
)
STRANGE_NAMES = ("x.example.com", "open.example.com", "unknown.test", None)
# Whose handshake must fail: no certificate, another authority's, an expired one.
UNPROVED = ("nobody", "stranger", "expired")
OTHER_HOSTS = (
    "open.example.com",
    "any.example.com",
    "partner.example.com",
    "auth.example.com",
    "unknown.test",
)
EVERYBODY = ("nobody", "stranger", "expired", "revoked", "outsider", "alice")


@dataclass(frozen=True)
class Target:
    """A host that must be shut, and those whom it admits."""

    host: str
    port: int
    admitted: frozenset[str]
    gated: bool


def admits_members(bench: Bench, targets: list[Target], patience: float = 10.0) -> bool:
    """Say whether members get in everywhere; where they do not, it shows little that nobody else does.

    Args:
        bench: The running Caddy.
        targets: The hosts.
        patience: Seconds in which an answer must come.
    """
    requests = [_request(each, next(iter(each.admitted)), headers=(PASSWORD,)) for each in targets]
    return all(opened(bench.ask_patiently(request, patience)) for request in requests)


def fails_everywhere(bench: Bench, targets: list[Target]) -> None:
    """Try everything; fail at the first that works."""
    assert targets
    for target in targets:
        reached = len(bench.upstream.seen)
        for attempt, reply in _attempts(bench, target):
            assert not opened(reply), (attempt, reply)
        assert len(bench.upstream.seen) == reached, "an upstream was reached"
        if target.gated:
            _forges_nothing(bench, target)
    _finds_no_admin(bench)


def _request(target: Target, who: str, path: str = "/", **others: object) -> Request:
    return Request(who, path, **{"host": target.host, "port": target.port, **others})


def _attempts(bench: Bench, target: Target) -> Iterator[tuple[object, Reply]]:
    for who in EVERYBODY:
        if who not in target.admitted:
            yield from _asking(bench, target, who)
    for name in STRANGE_NAMES:
        if name != target.host:
            attempt = _request(target, "nobody", headers=(PASSWORD,), sni=name)
            reply = bench.ask(attempt)
            assert reply.status in (0, 421), (attempt, reply)
            yield attempt, reply
    yield from _other_ports(bench, target)
    _ask_for_other_hosts(bench)


def _asking(bench: Bench, target: Target, who: str) -> Iterator[tuple[object, Reply]]:
    for protocol in ("h1", "h2"):
        first = _request(target, who, headers=(PASSWORD,), protocol=protocol)
        reply = bench.ask(first)
        yield first, reply
        assert reply.status == 0 or who not in UNPROVED, (first, reply)
        if reply.status == 0:
            continue
        with suppress(ssl.SSLError, ConnectionError), bench.connect(first) as connection:
            speaker = Http2(connection) if protocol == "h2" else None
            for path in PATHS:
                for headers in ((PASSWORD,), FORGED[:3]):
                    said = speaker.ask(target.host, path, _small(headers)) if speaker else None
                    yield (who, protocol, path), said or talk(connection, target.host, path, headers)
    if reply.status:
        for method in METHODS:
            attempt = _request(target, who, headers=(PASSWORD,), method=method)
            yield attempt, bench.ask(attempt)
        for headers in (WEBSOCKET, FORGED, (PASSWORD, ("Connection", "close, Authorization"))):
            attempt = _request(target, who, headers=headers)
            yield attempt, bench.ask(attempt)


def _ports(bench: Bench) -> list[int]:
    """Return every port of the configuration, as the file names it."""
    number = {moved: port for port, moved in bench.ports.items()}
    http = bench.config["apps"]["http"]
    texts = {text for server in http["servers"].values() for text in server["listen"]}
    ends = {end.port for text in texts for end in parse_listen(text) if isinstance(end, Tcp)}
    return sorted(number[port] for port in ends | {http["http_port"]})


def _ask_for_other_hosts(bench: Bench) -> None:
    """Go to every other site; whoever calls sees to it that the gated upstream heard nothing of it."""
    for port in _ports(bench):
        for host in OTHER_HOSTS:
            for plain in (True, False):
                headers = (("X-Client-User", "root"), ("X-To", bench.filled("UPSTREAM")))
                for path in ("/", "/broken", "/gone", "/healthz"):
                    bench.ask(Request("stranger", path, host, port=port, plain=plain, headers=headers))


def _other_ports(bench: Bench, target: Target) -> Iterator[tuple[object, Reply]]:
    """Ask every port of the configuration for the host, with and without TLS."""
    for port in _ports(bench):
        for plain in (True, False):
            attempt = _request(target, "nobody", headers=(PASSWORD,), port=port, plain=plain)
            reply = bench.ask(attempt)
            # Another site may be open there: what is not to be had is anything that stands behind the gate.
            elsewhere = reply.status == 308 and reply.header("Location").startswith("https://")
            yield attempt, Reply(0) if elsewhere or reply.body == "" else reply


def _forges_nothing(bench: Bench, target: Target) -> None:
    """Let a member try to be somebody else, or nobody."""
    before = len(bench.upstream.seen)
    forged = tuple(each for each in FORGED if " " not in each[0])
    for path in ("/", CHOOSING, f"/public/x{CHOOSING[1:]}", f"/api/x{CHOOSING[1:]}"):
        for protocol, headers in (("h1", forged), ("h2", _small(FORGED[:2])), ("h1", NAMING)):
            bench.ask(_request(target, "alice", path, headers=headers, protocol=protocol))
        switched = bench.ask(_request(target, "alice", path, headers=SWITCHING))
        assert switched.status != 101, switched
    for headers in bench.upstream.seen[before:]:
        told = {name: value for name, value in headers.items() if _reads_as_ours(name)}
        assert {name: value for name, value in told.items() if "root" in value} == {}, headers
        assert told.get("x-client-user") == "alice", headers
        assert headers.get("upgrade") in (None, "", "websocket"), headers


def _reads_as_ours(name: str) -> bool:
    return re.sub(r"[^a-z0-9]", "-", name.lower()).startswith(("x-client-", "client-cert", "forwarded"))


def _small(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers)


def _finds_no_admin(bench: Bench) -> None:
    with pytest.raises(ConnectionRefusedError):
        bench.admin_on_tcp().request("GET", "/config/")
    assert not bench.admin_socket.stat().st_mode & (stat.S_IRWXO)
