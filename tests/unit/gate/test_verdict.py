# SPDX-License-Identifier: Apache-2.0
"""What the gate's answers to a question for its verdict mean."""

from pathlib import Path

import pytest
from tests.unit.gate.answering import answering, reply

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.unix_http import BrokeOffError, NotRunningError
from pivgate.gate.verdict import Verdict, ask, await_refusal
from pivgate.settings import Home

FINGERPRINT = "a" * 64


class OneSocket(Home):
    """A home whose verdict socket is somewhere else."""

    @property
    def verdict_socket(self) -> Path:
        return self.root


@pytest.mark.parametrize(
    ("answer", "verdict"), [(reply("200 OK"), Verdict.ADMITTED), (reply("403 Forbidden"), Verdict.REFUSED)]
)
def test_only_two_answers_are_verdicts(answer: bytes, verdict: Verdict) -> None:
    with answering(answer) as (socket, requests):
        assert ask(socket, "admins", FINGERPRINT) is verdict

    assert requests[0].startswith(f"GET /admins/{FINGERPRINT} HTTP/1.1\r\nHost: pivgate.verdict\r\n".encode())


@pytest.mark.parametrize(
    "status", ["204 No Content", "301 Moved", "404 Not Found", "421 Misdirected", "500 Oops"]
)
def test_any_other_answer_proves_nothing(status: str) -> None:
    with answering(reply(status)) as (socket, _), pytest.raises(GateError, match="asked for its verdict"):
        ask(socket, "admins", FINGERPRINT)


def test_every_group_is_asked_about_and_everyone() -> None:
    with answering(reply("403 Forbidden")) as (socket, requests):
        await_refusal(OneSocket(socket), ["staff", "admins"], FINGERPRINT)

    assert [request.split()[1].split(b"/")[1] for request in requests] == [b"admins", b"everyone", b"staff"]


def test_an_open_gate_is_an_error_after_the_patience() -> None:
    with answering(reply("200 OK")) as (socket, requests):
        with pytest.raises(
            OpenGateError, match="still lets the certificate aaaaaaaaaaaaaaaa… in as one of admins"
        ):
            await_refusal(OneSocket(socket), ["admins"], FINGERPRINT, patience=0.03)

    assert len(requests) > 1


def test_nobody_there_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        await_refusal(OneSocket(tmp_path / "s"), [], FINGERPRINT)


def test_a_server_that_is_being_replaced_is_asked_once_more() -> None:
    with answering(reply("403 Forbidden"), drops=1) as (socket, requests):
        assert ask(socket, "admins", FINGERPRINT) is Verdict.REFUSED

    assert len(requests) == 2


def test_a_server_that_never_answers_proves_nothing() -> None:
    with answering(reply("403 Forbidden"), drops=2) as (socket, _), pytest.raises(BrokeOffError):
        ask(socket, "admins", FINGERPRINT)
