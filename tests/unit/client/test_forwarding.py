# SPDX-License-Identifier: Apache-2.0
import pytest

from pivgate.client.forwarding import request_headers, response_headers, switching_headers, wants_websocket
from pivgate.client.site import parse_site

SITE = parse_site("https://mysite.com:8443/")
HOST = (b"Host", b"127.0.0.1:8080")


def sent(*headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return request_headers([HOST, *headers], SITE, lambda value: value == b"ours")


def test_the_host_is_the_sites_and_comes_first() -> None:
    assert sent((b"Accept", b"x"), (b"X-Own", b"y")) == [
        (b"Host", b"mysite.com:8443"),
        (b"Accept", b"x"),
        (b"X-Own", b"y"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        (b"Authorization", b"ours"),
        (b"Pivgate-Token", b"any"),
        (b"Proxy-Authorization", b"any"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Keep-Alive", b"timeout=5"),
        (b"TE", b"trailers"),
        (b"Trailer", b"X"),
        (b"Upgrade", b"h2c"),
        (b"CONNECTION", b"close"),
    ],
)
def test_what_is_not_for_the_site_is_left_out(header: tuple[bytes, bytes]) -> None:
    assert sent(header) == [(b"Host", b"mysite.com:8443")]


def test_what_connection_names_is_for_this_connection_only() -> None:
    assert sent((b"Connection", b"close, X-One"), (b"x-one", b"1"), (b"X-Two", b"2"))[1:] == [
        (b"X-Two", b"2")
    ]


def test_other_passwords_and_lengths_pass() -> None:
    headers = [(b"authorization", b"theirs"), (b"Content-Length", b"3"), (b"Expect", b"100-continue")]
    assert sent(*headers)[1:] == headers
    assert sent((b"transfer-encoding", b"chunked"))[1:] == [(b"Transfer-Encoding", b"chunked")]


def test_the_own_origin_is_the_sites() -> None:
    assert sent((b"Origin", b"http://127.0.0.1:8080"), (b"Referer", b"http://127.0.0.1:8080/a?b"))[1:] == [
        (b"Origin", b"https://mysite.com:8443"),
        (b"Referer", b"https://mysite.com:8443/a?b"),
    ]
    assert sent((b"Referer", b"http://127.0.0.1:80801/"))[1:] == [(b"Referer", b"http://127.0.0.1:80801/")]


@pytest.mark.parametrize(
    ("connection", "upgrade", "wanted"),
    [
        (b"Upgrade", b"websocket", True),
        (b"keep-alive, upgrade", b"WebSocket", True),
        (b"keep-alive", b"websocket", False),
        (b"Upgrade", b"h2c", False),
        (b"Upgrade", b"h2c, websocket", False),
    ],
)
def test_only_a_websocket_is_upgraded_to(connection: bytes, upgrade: bytes, wanted: bool) -> None:
    headers = [HOST, (b"Connection", connection), (b"Upgrade", upgrade)]
    assert wants_websocket(headers) is wanted
    passed = (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")
    assert request_headers(headers, SITE, lambda _: False)[1:] == (list(passed) if wanted else [])


def test_an_answers_headers() -> None:
    headers = [
        (b"Content-Length", b"3"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"close"),
        (b"Alt-Svc", b'h3=":443"'),
        (b"Set-Cookie", b"a=b; Secure"),
        (b"Set-Cookie", b"c=d"),
    ]
    assert response_headers(headers, SITE, "http://localhost:1") == headers[-2:]
    assert response_headers(headers[:1], SITE, "http://localhost:1") == headers[:1]
    assert switching_headers([(b"Connection", b"upgrade"), (b"Upgrade", b"websocket"), (b"X", b"y")]) == [
        (b"X", b"y"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
    ]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"https://mysite.com:8443/a?b=c#d", b"http://localhost:1/a?b=c#d"),
        (b"https://MYSITE.com:8443", b"http://localhost:1/"),
        (b"//mysite.com:8443/a", b"http://localhost:1/a"),
        (b"/a", b"/a"),
        (b"https://mysite.com/a", b"https://mysite.com/a"),
        (b"http://mysite.com:8443/a", b"http://mysite.com:8443/a"),
        (b"https://mysite.com.evil.example:8443/", b"https://mysite.com.evil.example:8443/"),
        (b"https://[::1/", b"https://[::1/"),
        (b"https://mysite.com:8443/\xff", b"https://mysite.com:8443/\xff"),
    ],
)
def test_redirects_that_stay_on_the_site_stay_in_the_proxy(location: bytes, expected: bytes) -> None:
    assert response_headers([(b"LOCATION", location)], SITE, "http://localhost:1") == [
        (b"LOCATION", expected)
    ]
