# SPDX-License-Identifier: Apache-2.0
"""One site named in the handshake, another in the request, in every way that a request can name one."""

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.interop.gate.attackers.conftest import Siege, sent
from tests.interop.gate.attackers.http2 import exchange

pytestmark = pytest.mark.interop

# {site} is where the attacker gets in, {port} the gate's; a.test is what everybody is after.
HOSTS = (
    "a.test",
    "A.TEST",
    "a.test.",
    "a.test:443",
    "a.test:{port}",
    "a.test:",
    "a.test:0{port}",
    "a.test:{port}:1",
    "a.test:x",
    "x.wide.test:{port}",
    "*.wide.test",
    "{site}@a.test",
    "a.test@{site}",
    "{site},a.test",
    "{site} a.test",
    "{site}\ta.test",
    "{site}\0a.test",
    "{site}/a.test",
    "a.test#{site}",
    "a.test%00{site}",
    "%61.test",
    "a\u3002test",
    "\uff41.test",
    "127.0.0.1",
    "127.0.0.1:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]",
    "[a.test]",
    "2130706433",
    "0x7f.1",
    "localhost",
    "pivgate.verdict",
    "",
    " ",
    ".",
    ":{port}",
)
TARGETS = (
    "https://a.test/",
    "https://a.test:{port}/",
    "http://a.test/",
    "HTTPS://A.TEST/",
    "//a.test/",
    "///a.test/",
    "https://{site}@a.test/",
    "https://a.test@{site}/",
    "https://a.test\\@{site}/",
    "ftp://a.test/",
    "unix:///a.test/",
    "file:///etc/passwd",
    "a.test",
    "a.test:{port}",
    "@a.test/",
    "?https://a.test/",
    "*",
    "",
)
METHODS = ("CONNECT", "TRACE", "OPTIONS", "TRACK", "DEBUG", "PRI", "PROPFIND", "get", "G@T", "X" * 8000)
FORWARDED = (
    "X-Forwarded-Host: a.test",
    "X-Host: a.test",
    "X-Original-Host: a.test",
    "Forwarded: host=a.test",
    "X-Original-URL: https://a.test/",
    "X-Rewrite-URL: https://a.test/",
    "X-HTTP-Method-Override: CONNECT",
    "Alt-Svc: a.test",
    "Host : a.test",
    "host: a.test",
    "\tHost: a.test",
    "Host\0: a.test",
    "Proxy: http://a.test",
)
# Where each gets in; nobody of them may open a.test.
WHERE = [("anonymous", "open.test"), ("mallory", "a.test"), ("mallory", "b.test"), ("bob", "b.test")]


def heads(site: str, port: int) -> list[bytes]:
    """Every HTTP/1.1 request, written for the site where the attacker gets in."""
    own = f"{site}:{port}"
    written = [("GET", "/", [f"Host: {host}"]) for host in HOSTS]
    written += [("GET", "/", [f"Host: {own}", f"Host: {host}"]) for host in HOSTS[:6]]
    written += [("GET", "/", [f"Host: {host}", f"Host: {own}"]) for host in HOSTS[:6]]
    for target in TARGETS:
        written += [("GET", target, [f"Host: {host}"]) for host in (own, "a.test", "")]
    for method in METHODS:
        for target in ("/", "*", "a.test:{port}", "https://a.test/"):
            written += [(method, target, [f"Host: {own}"]), (method, target, ["Host: a.test"])]
    written += [("GET", "/", [f"Host: {own}", line]) for line in FORWARDED]
    written += [("GET", "/", []), ("GET", "https://a.test/", [])]
    return [
        f"{method} {target} HTTP/1.1\r\n{''.join(line + chr(13) + chr(10) for line in lines)}\r\n".replace(
            "{site}", site
        )
        .replace("{port}", str(port))
        .encode()
        for method, target, lines in written
    ]


@pytest.mark.parametrize(("who", "site"), WHERE)
def test_no_way_to_write_a_name_leads_to_another_site(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str, site: str
) -> None:
    requests = heads(site, siege.gate.port)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda data: sent(siege, contexts(who), site, data), requests))
    assert len(answers) > 150
    # bob is answered by the upstream of his own site; nothing else, and nobody else, ever is.
    got = [data for data, answer in zip(requests, answers, strict=True) if b"\r\n\r\nupstream" in answer]
    assert bool(got) == (who == "bob")


def pseudo(**changed: str | None) -> list[tuple[str, str]]:
    fields = {"method": "GET", "scheme": "https", "authority": "{site}:{port}", "path": "/"} | changed
    return [(f":{name}", value) for name, value in fields.items() if value is not None]


OVER_HTTP2: dict[str, list[tuple[str, str]]] = {
    **{f"authority {host!a}": pseudo(authority=host) for host in HOSTS},
    **{f"host {host!a}": [*pseudo(), ("host", host)] for host in HOSTS[:6]},
    **{f"host {host!a} alone": [*pseudo(authority=None), ("host", host)] for host in HOSTS[:6]},
    **{f"path {target!a}": pseudo(path=target) for target in TARGETS},
    **{f"method {method[:9]}": pseudo(method=method) for method in METHODS},
    "as usual": pseudo(),
    "two authorities": [*pseudo(), (":authority", "a.test")],
    "two authorities, turned": [(":authority", "a.test"), *pseudo()],
    "two paths": [*pseudo(), (":path", "https://a.test/")],
    "authority after the fields": [*pseudo(authority=None), ("x", "y"), (":authority", "a.test")],
    "an unknown pseudo-header": [*pseudo(), (":host", "a.test")],
    "a response's": [*pseudo(), (":status", "200")],
    "no scheme": pseudo(scheme=None, authority="a.test"),
    "another scheme": pseudo(scheme="http", authority="a.test"),
    "scheme with a host": pseudo(scheme="https://a.test/"),
    "no path": pseudo(path=None),
    "no method": pseudo(method=None),
    "nothing": [("x", "y")],
    "connect": [(":method", "CONNECT"), (":authority", "a.test:{port}")],
    "connect here": [(":method", "CONNECT"), (":authority", "{site}:{port}")],
    "extended connect": [*pseudo(method="CONNECT"), (":protocol", "websocket")],
    "extended connect there": [*pseudo(method="CONNECT", authority="a.test"), (":protocol", "connect-udp")],
    "line end in the method": pseudo(method="GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET"),
    "line end in the path": pseudo(path="/ HTTP/1.1\r\nHost: a.test\r\nX-Client-User: root\r\n\r\n"),
    "space in the path": pseudo(path="/ HTTP/1.1"),
    "line end in the authority": pseudo(authority="{site}\r\nX-Client-User: root"),
    "line end in a field": [*pseudo(), ("x", "y\r\nX-Client-User: root")],
    "line feed in a field": [*pseudo(), ("x", "y\nX-Client-User: root")],
    "NUL in a field": [*pseudo(), ("x", "y\0z")],
    "line end in a name": [*pseudo(), ("x: y\r\nx-client-user", "root")],
    "colon in a name": [*pseudo(), ("x-client-user: root", "y")],
    "capitals in a name": [*pseudo(), ("X-Client-User", "root")],
    "an empty name": [*pseudo(), ("", "root")],
    "chunks": [*pseudo(method="POST"), ("transfer-encoding", "chunked")],
    "a length that is not there": [*pseudo(method="POST"), ("content-length", "99")],
    "two lengths": [*pseudo(method="POST"), ("content-length", "0"), ("content-length", "9")],
    "connection": [*pseudo(), ("connection", "x-client-user")],
    "upgrade": [*pseudo(), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")],
    "te": [*pseudo(), ("te", "chunked")],
}


@pytest.mark.parametrize(("who", "site"), WHERE)
def test_nor_does_any_over_http2(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str, site: str
) -> None:
    def one(fields: list[tuple[str, str]]) -> bytes:
        written = [
            (name, value.replace("{site}", site).replace("{port}", str(siege.gate.port)))
            for name, value in fields
        ]
        return exchange(siege, contexts(who), site, written)

    with ThreadPoolExecutor(16) as pool:
        answers = dict(zip(OVER_HTTP2, pool.map(one, OVER_HTTP2.values()), strict=True))
    got = [name for name, answer in answers.items() if answer == b"upstream"]
    assert bool(got) == (who == "bob")


SERVER_NAMES = (
    None,
    "open.test",
    "b.test",
    "x.wide.test",
    "wide.test",
    "A.TEST",
    "a.test.invalid",
    "any.test",
)


@pytest.mark.parametrize("who", ["anonymous", "mallory", "bob", "stranger"])
def test_no_server_name_opens_the_site_of_others(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str
) -> None:
    for name in SERVER_NAMES:
        for protocol in ("h1", "h2"):
            reply = siege.gate.ask(contexts(who), "a.test", sni=name, protocol=protocol)
            assert reply.status in (0, 403, 421), (name, protocol, reply)
