# SPDX-License-Identifier: Apache-2.0
"""A site of two groups: every way to write a path so that the first group's opens the second's."""

import posixpath
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import pytest
from tests.interop.gate.attackers.conftest import Siege, sent

pytestmark = pytest.mark.interop

# Bob may open /public/ and nothing else; {any} is a path that is not for him.
TRICKS = (
    "/secret",
    "/",
    "/public",
    "/publicsecret",
    "/public;/x",
    "/public/..",
    "/public/../",
    "/public/../secret",
    "/public/./../secret",
    "/public//../secret",
    "//public/../secret",
    "/public/x/../../secret",
    "/public/x/..//../secret",
    "/public/../../../secret",
    "/public/../public/../secret",
    "/./public/../secret",
    "/public/%2e%2e/secret",
    "/public/%2E%2e/secret",
    "/public/.%2e/secret",
    "/public/%2e/%2e%2e/secret",
    "/public/..%2fsecret",
    "/public/..%2Fsecret",
    "/public/%2e%2e%2fsecret",
    "/public%2f../secret",
    "/public%2f..%2fsecret",
    "/public/x;/../../secret",
    "/PUBLIC/../secret",
    "/public/..?/public/",
    "/secret?/public/",
    "/secret#/public/",
    "/secret%23/public/",
    "/secret%3f/public/",
    "/secret;/public/",
    "/secret%00/public/",
    "/secret/..%00/public/x",
    "\\public\\..\\secret",
    "https://paths.test/public/../secret",
    "https://paths.test/secret",
    "*",
)
# What has one meaning, and what has one to every server that keeps to RFC 3986: bob is let in.
ALLOWED = (
    "/public/x",
    "/Public/x",
    "/%70ublic/x",
    "/public%2fx",
    "/public//x",
    "/public/x/../y",
    "/secret/../public/x",
)


def meant(target: str) -> str:
    """Return the path that an upstream understands: decoded once, dots and double slashes taken out."""
    path = unquote(target.partition("?")[0], encoding="latin-1")
    return posixpath.normpath("/" + path.lstrip("/")).lower()


@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_no_way_to_write_a_path_opens_another(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str
) -> None:
    def visit(target: str) -> bytes:
        lines = f"GET {target} HTTP/1.1\r\nHost: paths.test:{siege.gate.port}\r\nConnection: close\r\n\r\n"
        return sent(siege, contexts(who), "paths.test", lines.encode())

    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(TRICKS, pool.map(visit, TRICKS), strict=True))
        entered = dict(zip(ALLOWED, pool.map(visit, ALLOWED), strict=True))
    assert [target for target, answer in answers.items() if b"\r\n\r\nupstream" in answer] == []
    if who == "bob":
        assert [target for target, answer in entered.items() if b"200 OK" not in answer] == []
    bobs = [one for one in siege.upstream.requests if one.values("x-client-user") == ["bob"]]
    assert [one.target for one in bobs if not meant(one.target).startswith("/public/")] == []
    siege.upstream.forget(bobs)


@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_nor_over_http2(siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str) -> None:
    for target in TRICKS:
        if not target.startswith("/"):
            continue
        reply = siege.gate.ask(contexts(who), "paths.test", path=target, protocol="h2")
        assert reply.status in (0, 400, 403), target
