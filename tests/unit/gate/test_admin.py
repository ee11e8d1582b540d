# SPDX-License-Identifier: Apache-2.0
"""What is told to Caddy's admin API, and what its answers mean."""

import json
from pathlib import Path

import pytest
from tests.unit.gate.answering import answering, reply

from pivgate.errors import GateError
from pivgate.gate.admin import AdminApi, LoadRefusedError, at_home
from pivgate.gate.unix_http import BrokeOffError, NotRunningError, listener


def test_the_admin_api_stays_at_home_whatever_the_caddyfile_says() -> None:
    config = {"admin": {"listen": ":2019", "remote": {}, "config": {"persist": True}}, "apps": {"http": {}}}

    assert at_home(config, Path("/h/admin.sock")) == {
        "admin": {"listen": "unix//h/admin.sock|0200", "config": {"persist": False}},
        "apps": {"http": {}},
    }
    assert config["admin"] == {"listen": ":2019", "remote": {}, "config": {"persist": True}}


def test_a_configuration_is_sent_whole_and_never_skipped_as_unchanged() -> None:
    with answering(reply("200 OK")) as (socket, requests):
        config = at_home({"apps": {}}, socket)
        AdminApi(socket).load(config)

    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /load HTTP/1.1\r\n")
    assert b"Cache-Control: must-revalidate" in head
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == config


def test_a_refusal_has_caddys_own_words() -> None:
    said = json.dumps({"error": 'loading config: loading new config: unknown field "x"'})
    with answering(reply("400 Bad Request", said)) as (socket, _):
        with pytest.raises(LoadRefusedError) as caught:
            AdminApi(socket).load(at_home({}, socket))

    assert caught.value.reason == 'unknown field "x"'
    assert 'unknown field "x"' in caught.value.message


@pytest.mark.parametrize("body", ["", "no JSON", "[]", '{"other": 1}', "\N{SNOWMAN}"])
def test_a_refusal_in_other_words_is_one_too(body: str) -> None:
    with answering(reply("500 Internal Server Error", body)) as (socket, _), pytest.raises(LoadRefusedError):
        AdminApi(socket).load(at_home({}, socket))


@pytest.mark.parametrize("listen", [None, "localhost:2019", "unix//elsewhere|0200"])
def test_a_configuration_that_would_move_the_api_is_not_sent(listen: str | None) -> None:
    with answering(reply("200 OK")) as (socket, requests):
        for config in ({"admin": {"listen": listen}}, {"admin": None}, {}):
            with pytest.raises(GateError, match="would move Caddy's admin API"):
                AdminApi(socket).load(config)

    assert requests == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 ", b"\x15\x03\x01\0\x02\x02F"])
def test_an_answer_that_breaks_off_is_told_apart(answer: bytes) -> None:
    with answering(answer) as (socket, _):
        with pytest.raises(BrokeOffError):
            AdminApi(socket).config()
        with pytest.raises(BrokeOffError):
            AdminApi(socket).load(at_home({}, socket))


def test_no_answer_in_time_is_a_broken_off_one() -> None:
    with answering(b"") as (socket, _), pytest.raises(BrokeOffError):
        AdminApi(socket, timeout=0.0001).config()


@pytest.mark.parametrize(("body", "expected"), [("null", {}), ("{}", {}), ('{"apps": {}}', {"apps": {}})])
def test_the_running_configuration_is_read(body: str, expected: dict[str, object]) -> None:
    with answering(reply("200 OK", body)) as (socket, requests):
        assert AdminApi(socket).config() == expected

    assert requests[0].startswith(b"GET /config/ HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer", [reply("200 OK", "hello"), reply("200 OK", "[]"), reply("404 Not Found", "{}")]
)
def test_what_is_no_configuration_is_refused(answer: bytes) -> None:
    with answering(answer) as (socket, _), pytest.raises(GateError):
        AdminApi(socket).config()


def test_nobody_there_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        AdminApi(tmp_path / "s").config()
    assert listener(tmp_path / "s") is None
    with answering(b"") as (socket, _):
        stale = socket.rename(tmp_path / "stale") if len(str(tmp_path)) < 90 else socket
    assert listener(stale) is None


def test_a_socket_that_is_a_file_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "s").touch()

    with pytest.raises(NotRunningError):
        AdminApi(tmp_path / "s").config()
