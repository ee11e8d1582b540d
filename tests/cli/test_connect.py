# SPDX-License-Identifier: Apache-2.0
"""``pivgate connect``: programs that cannot log in with a key use a gated site all the same.

Everything is real but the key: its PC/SC service, pivgate's processes, Caddy, curl, git, httpx and requests.
"""

import base64
import hashlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests

from tests.cli.card_machine import CardMachine, Proxy, alices_gate
from tests.cli.upstream import MIB, running_app

SITE = "app.localhost"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def gate(files: Path) -> Iterator[CardMachine]:
    """A gate whose key is plugged in; it is shared, so tests leave it as it was."""
    with running_app(files) as app, alices_gate(SITE, app) as machine:
        yield machine


@pytest.fixture(scope="module")
def proxy(gate: CardMachine) -> Iterator[Proxy]:
    with gate.connected(SITE) as proxy:
        yield proxy


def curl(proxy: Proxy, path: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--max-time", "30", "--user", f"x:{proxy.token}"),
            *arguments,
            f"{proxy.url}{path}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_sees_who_logs_in_and_not_the_token(proxy: Proxy) -> None:
    for header in (
        ("--header", f"Pivgate-Token: {proxy.token}", "--user", ":"),
        ("--header", f"Authorization: Bearer {proxy.token}", "--user", ":"),
        (),
    ):
        done = curl(proxy, "headers", *header)
        assert done.returncode == 0, done
        assert proxy.token not in done.stdout
        assert base64.b64encode(f"x:{proxy.token}".encode()).decode() not in done.stdout
        sent = {name.lower(): value for name, value in json.loads(done.stdout)}
        assert sent["x-client-user"] == "alice"
        assert sent["host"].startswith(SITE)
        assert "pivgate-token" not in sent


def test_python_requests_logs_in_with_the_token_as_a_password(proxy: Proxy) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = ("x", proxy.token)
        users = [
            dict(session.get(f"{proxy.url}headers", timeout=30).json())["X-Client-User"] for _ in range(3)
        ]
        posted = session.post(f"{proxy.url}headers", data=b"x" * MIB, timeout=30)
    assert users == ["alice"] * 3
    assert posted.status_code != 401


def test_a_password_for_the_site_passes_through(proxy: Proxy) -> None:
    done = subprocess.run(
        [
            *("curl", "--silent", "--user", "bob:secret", "--header", f"Pivgate-Token: {proxy.token}"),
            f"{proxy.url}headers",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    sent = {name.lower(): value for name, value in json.loads(done.stdout)}
    assert base64.b64decode(sent["authorization"].removeprefix("Basic ")) == b"bob:secret"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic " + base64.b64encode(b"x:wrong").decode()},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer wrong"},
        {"Pivgate-Token": ""},
    ],
)
def test_without_the_token_nobody_gets_in(proxy: Proxy, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{proxy.url}headers", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "alice" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_gets_nowhere_even_with_the_token(
    proxy: Proxy, headers: dict[str, str]
) -> None:
    answer = httpx.get(f"{proxy.url}headers", headers=headers, auth=("x", proxy.token))
    assert answer.status_code == 403
    assert "alice" not in answer.text


def test_the_own_origin_becomes_the_sites(gate: CardMachine, proxy: Proxy) -> None:
    own = proxy.url.rstrip("/")
    with proxy.client() as http:
        answer = http.get("/headers", headers={"Origin": own, "Referer": f"{own}/page?x=1"})
    sent = {name.lower(): value for name, value in answer.json()}
    assert sent["origin"] == f"https://{SITE}:{gate.https_port}"
    assert sent["referer"] == f"https://{SITE}:{gate.https_port}/page?x=1"


def exchange(proxy: Proxy, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("POST /x HTTP/1.1\r\n{h}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        ("POST /x HTTP/1.1\r\n{h}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", b"400"),
        ("POST /x HTTP/1.1\r\n{h}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"501"),
        ("POST /x HTTP/1.1\r\n{h}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", b"400"),
        ("GET /x HTTP/1.1\r\n{h}Host: 127.0.0.1\r\n\r\n", b"400"),
        ("GET http://127.0.0.1/x HTTP/1.1\r\n{h}\r\n", b"400"),
        ("CONNECT evil.example:443 HTTP/1.1\r\n{h}\r\n", b"400"),
        ("GET /a b HTTP/1.1\r\n{h}\r\n", b"400"),
        ("GET /x HTTP/1.1\r\n{h}X: a\x00b\r\n\r\n", b"400"),
        ("GET /x HTTP/1.1\r\n{h}X: " + "a" * 200000 + "\r\n\r\n", b"431"),
        ("\x16\x03\x01\x02\x00\x01", b"400"),
    ],
)
def test_an_ambiguous_request_is_refused(proxy: Proxy, request_head: str, status: bytes) -> None:
    good = f"Host: 127.0.0.1:{proxy.port}\r\nPivgate-Token: {proxy.token}\r\n"
    answer = exchange(proxy, request_head.replace("{h}", good).encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:300]


def test_answers_without_a_body_and_a_kept_connection(proxy: Proxy) -> None:
    with proxy.client() as http:
        for _ in range(2):
            assert http.get("/204").status_code == 204
            assert http.get("/304").status_code == 304
            head = http.head("/known")
            assert (head.status_code, head.content) == (404, b"")
            assert http.get("/chunked?3").text == "chunk 0\nchunk 1\nchunk 2\n"
            assert http.get("/until-close").text == "until the end"


def test_redirects_stay_in_the_proxy(gate: CardMachine, proxy: Proxy) -> None:
    own = f"https://{SITE}:{gate.https_port}"
    for location, expected in (
        (f"{own}/there?x=1#y", f"{proxy.url}there?x=1#y"),
        (own, proxy.url),
        ("/there", "/there"),
        ("https://elsewhere.example/", "https://elsewhere.example/"),
        (f"https://{SITE}:1/", f"https://{SITE}:1/"),
        (f"http://{SITE}:{gate.https_port}/", f"http://{SITE}:{gate.https_port}/"),
    ):
        done = curl(proxy, f"redirect?{location}", "--output", os.devnull, "--dump-header", "-")
        expected = expected.partition("#")[0]  # curl does not send it, so it does not come back
        assert f"Location: {expected}\n" in done.stdout, done
    followed = curl(proxy, f"redirect?{own}/headers", "--location")
    assert '"alice"' in followed.stdout


def test_100_mb_down_and_up_in_little_memory(proxy: Proxy) -> None:
    before = proxy.memory()
    down = curl(proxy, f"big?{100 * MIB}", "--output", os.devnull, "--write-out", "%{size_download}")
    assert down.stdout == str(100 * MIB), down
    digest = hashlib.sha256(b"\0" * (100 * MIB)).hexdigest()
    for length in (("--header", "Transfer-Encoding: chunked"), ()):
        with subprocess.Popen(["head", "-c", str(100 * MIB), "/dev/zero"], stdout=subprocess.PIPE) as zeros:
            done = subprocess.run(
                [
                    *("curl", "--silent", "--show-error", "--max-time", "60", "--user", f"x:{proxy.token}"),
                    *("--upload-file", "-", *length, f"{proxy.url}sink"),
                ],
                stdin=zeros.stdout,
                capture_output=True,
                check=False,
            )
        told = json.loads(done.stdout)
        assert (told["length"], told["sha256"]) == (100 * MIB, digest)
    assert proxy.memory() - before < 40 * 1024


def test_an_upload_waits_for_the_go_ahead(proxy: Proxy) -> None:
    done = curl(proxy, "sink", "--verbose", "--header", "Expect: 100-continue", "--data", "hello")
    assert json.loads(done.stdout)["length"] == 5
    assert "HTTP/1.1 100 Continue" in done.stderr


def test_a_refused_upload_is_answered(proxy: Proxy) -> None:
    with subprocess.Popen(["head", "-c", str(20 * MIB), "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        done = subprocess.run(
            [
                *("curl", "--silent", "--max-time", "20", "--user", f"x:{proxy.token}", "--request", "POST"),
                *("--upload-file", "-", "--write-out", "%{http_code}", f"{proxy.url}early"),
            ],
            stdin=zeros.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.endswith("413"), done


def test_parts_of_an_answer_come_as_they_are_sent(proxy: Proxy) -> None:
    with proxy.client() as http, http.stream("GET", "/slow") as answer:
        first = next(answer.iter_text())
    assert first == "data: first\n\n"


def test_a_websocket(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock:
        sock.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}\r\nPivgate-Token: {proxy.token}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, section 1.3
        data = os.urandom(4 * MIB)
        writer = threading.Thread(target=sock.sendall, args=(data,))
        writer.start()
        echoed = b""
        while len(echoed) < len(data) + 5:
            echoed += sock.recv(65536)
        writer.join()
        assert echoed == b"early" + data


def test_no_other_upgrade(proxy: Proxy) -> None:
    done = curl(proxy, "headers", "--http2", "--include")  # asks for h2c
    assert done.stdout.startswith("HTTP/1.1 200"), done


def test_git_clones_and_pushes(proxy: Proxy, files: Path, tmp_path: Path) -> None:
    def git(*arguments: str | Path, check: bool = True) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *map(str, arguments)],
            check=check,
            capture_output=True,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )

    origin, first = files / "repo.git", tmp_path / "first"
    git("init", "--bare", origin)
    git("-C", origin, "config", "http.receivepack", "true")
    git("clone", f"{proxy.url_with_token}git/repo.git", first)
    (first / "large").write_bytes(os.urandom(3 * MIB))
    git("-C", first, "add", ".")
    git("-C", first, "commit", "--message", "large")
    git("-C", first, "push", "origin", "HEAD:refs/heads/main")
    git("-C", origin, "symbolic-ref", "HEAD", "refs/heads/main")
    git("-C", origin, "update-server-info")
    for kind in ("git/repo.git", "repo.git"):  # the smart protocol, and plain files
        second = tmp_path / kind.replace("/", "-")
        git("clone", f"{proxy.url_with_token}{kind}", second)
        assert (second / "large").read_bytes() == (first / "large").read_bytes()
