# SPDX-License-Identifier: Apache-2.0
import base64

import pytest

from pivgate.client.gatekeeper import Gatekeeper, RequestRefusedError

KEEPER = Gatekeeper(8080, "the-token")
HOST = (b"host", b"127.0.0.1:8080")
TOKEN = (b"pivgate-token", b"the-token")


def basic(text: str) -> tuple[bytes, bytes]:
    return (b"authorization", b"Basic " + base64.b64encode(text.encode()))


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, TOKEN],
        [(b"host", b"LOCALHOST:8080"), TOKEN],
        [HOST, basic("anybody:the-token")],
        [HOST, (b"authorization", b"bearer the-token")],
        [HOST, basic("bob:for the site"), TOKEN],
        [HOST, TOKEN, (b"origin", b"http://127.0.0.1:8080")],
        [HOST, TOKEN, (b"sec-fetch-site", b"none")],
        [HOST, TOKEN, (b"sec-fetch-site", b"same-origin")],
        [HOST, TOKEN, (b"content-length", b"3")],
        [HOST, TOKEN, (b"transfer-encoding", b"chunked")],
    ],
)
def test_programs_with_the_token_get_in(headers: list[tuple[bytes, bytes]]) -> None:
    KEEPER.admit(b"GET", b"/", headers)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, [TOKEN]),
        (403, [HOST, HOST, TOKEN]),
        (403, [(b"host", b"127.0.0.1"), TOKEN]),
        (403, [(b"host", b"127.0.0.1:8081"), TOKEN]),
        (403, [(b"host", b"evil.example:8080"), TOKEN]),
        (403, [(b"host", b""), TOKEN]),
        (403, [HOST, TOKEN, (b"origin", b"null")]),
        (403, [HOST, TOKEN, (b"origin", b"https://127.0.0.1:8080")]),
        (403, [HOST, TOKEN, (b"origin", b"http://localhost:8080")]),
        (403, [HOST, TOKEN, (b"origin", b"http://127.0.0.1:8080"), (b"origin", b"http://evil.example")]),
        (403, [HOST, TOKEN, (b"sec-fetch-site", b"same-site")]),
        (403, [HOST, TOKEN, (b"sec-fetch-site", b"cross-site")]),
        (400, [HOST, TOKEN, (b"content-length", b"3"), (b"transfer-encoding", b"chunked")]),
        (401, [HOST]),
        (401, [HOST, (b"pivgate-token", b"the-toke")]),
        (401, [HOST, (b"pivgate-token", b"the-token2")]),
        (401, [HOST, (b"pivgate-token", b"")]),
        (401, [HOST, (b"pivgate-token", b"\xff")]),
        (401, [HOST, basic("the-token")]),
        (401, [HOST, basic("the-token:")]),
        (401, [HOST, (b"authorization", b"Basic the-token")]),
        (401, [HOST, (b"authorization", b"Digest the-token")]),
        (401, [HOST, (b"authorization", b"the-token")]),
    ],
)
def test_everybody_else_is_refused(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        KEEPER.admit(b"GET", b"/", headers)
    assert refused.value.status == status
    assert "the-token" not in refused.value.words


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET", b"http://127.0.0.1:8080/"),
        (b"GET", b"*"),
        (b"GET", b"x"),
        (b"CONNECT", b"evil.example:443"),
    ],
)
def test_it_is_no_forward_proxy(method: bytes, target: bytes) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        KEEPER.admit(method, target, [HOST, TOKEN])
    assert refused.value.status == 400
    KEEPER.admit(b"OPTIONS", b"*", [HOST, TOKEN])


def test_the_token_is_told_from_a_password_for_the_site() -> None:
    assert KEEPER.carries_token(basic("x:the-token")[1])
    assert KEEPER.carries_token(b"Bearer the-token")
    assert not KEEPER.carries_token(basic("bob:secret")[1])
    assert not KEEPER.carries_token(b"Digest the-token")
