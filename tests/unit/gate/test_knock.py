# SPDX-License-Identifier: Apache-2.0
"""How an attempt to get in is judged by what comes back."""

import http
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.gate.answering import answering, reply

from pivgate.errors import StorageError
from pivgate.gate.addresses import Unix
from pivgate.gate.attempts import Attempt, Way
from pivgate.gate.knock import Outcome, knock, load_credentials
from pivgate.gate.pages import Reason

# A fatal alert as the first record of a server (RFC 8446, section 6): 80 internal_error, 48 unknown_ca.
INTERNAL_ERROR = b"\x15\x03\x03\x00\x02\x02\x50"
UNKNOWN_CA = b"\x15\x03\x03\x00\x02\x02\x30"
WANTS_TLS = "Client sent an HTTP request to an HTTPS server.\n"


def attempt(way: Way, socket: Path) -> Attempt:
    return Attempt("a.test:443", way, Unix(socket), "a.test", "a.test", 443)


def credentials() -> Mapping[Way, ssl.SSLContext]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return dict.fromkeys(Way, context)


def redirect(status: int, location: str) -> bytes:
    return f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def knocked(way: Way, answer: bytes) -> tuple[Outcome, str]:
    with answering(answer) as (socket, _):
        return knock(attempt(way, socket), credentials())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply("403 Forbidden", f"refused: {Reason.NOT_IN_FORCE}\n"), Outcome.FORBIDDEN),
        (reply("421 Misdirected Request"), Outcome.MISDIRECTED),
        (reply("400 Bad Request", WANTS_TLS), Outcome.WANTS_TLS),
        *((redirect(status, "https://a.test/"), Outcome.WANTS_TLS) for status in (301, 302, 307, 308)),
    ],
)
def test_what_the_gate_says_is_a_refusal(answer: bytes, outcome: Outcome) -> None:
    assert knocked(Way.PLAIN, answer) == (outcome, "")
    assert outcome.keeps_out


@pytest.mark.parametrize(
    "answer",
    [
        *(reply(f"{status.value} Any", "hello") for status in http.HTTPStatus if status >= 200),
        reply("403 Forbidden"),
        reply("403 Forbidden", f"refused: {Reason.NOT_A_MEMBER}\n"),
        reply("200 OK", f"refused: {Reason.NOT_IN_FORCE}\n"),
        reply("421 Misdirected Request", "by the upstream"),
        reply("400 Bad Request", "by the upstream"),
        reply("200 OK", WANTS_TLS),
        redirect(308, "http://a.test/"),
        redirect(308, "/login"),
        redirect(308, ""),
        redirect(303, "https://a.test/"),
        redirect(200, "https://a.test/"),
    ],
)
def test_whatever_else_answers_has_let_us_in(answer: bytes) -> None:
    outcome, detail = knocked(Way.PLAIN, answer)

    assert outcome is Outcome.OPEN
    assert detail == f"answered {answer.split()[1].decode()}"
    assert not outcome.keeps_out


@pytest.mark.parametrize("answer", [b"hello\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/9", b"\0" * 100])
def test_what_is_no_answer_proves_nothing(answer: bytes) -> None:
    outcome, detail = knocked(Way.PLAIN, answer)

    assert outcome is Outcome.UNREACHABLE
    assert detail
    assert not outcome.keeps_out


def test_a_connection_that_is_cut_off_is_tried_again_and_proves_nothing() -> None:
    with answering(b"") as (socket, requests):
        assert knock(attempt(Way.PLAIN, socket), credentials()) == (
            Outcome.UNREACHABLE,
            "the connection is cut off without an answer",
        )

    assert len(requests) == 3


def test_nobody_there_proves_nothing(tmp_path: Path) -> None:
    outcome, detail = knock(attempt(Way.NO_CERTIFICATE, tmp_path / "nobody"), credentials())

    assert outcome is Outcome.UNREACHABLE
    assert "FileNotFoundError" in detail


@pytest.mark.parametrize("way", [way for way in Way if way is not Way.PLAIN])
def test_an_alert_in_the_handshake_is_a_refusal(way: Way) -> None:
    assert knocked_by_record(way, UNKNOWN_CA) == (Outcome.HANDSHAKE, "")


@pytest.mark.parametrize("way", [way for way in Way if way is not Way.PLAIN])
def test_a_missing_server_certificate_is_told_apart(way: Way) -> None:
    nameless = way in (Way.UNKNOWN_NAME, Way.NO_NAME)

    outcome, _ = knocked_by_record(way, INTERNAL_ERROR)

    assert outcome is (Outcome.HANDSHAKE if nameless else Outcome.NOT_READY)
    assert outcome.keeps_out


def test_a_server_without_tls_is_told_apart() -> None:
    assert knocked_by_record(Way.NO_CERTIFICATE, reply("400 Bad Request")) == (Outcome.NO_TLS, "")


@pytest.mark.parametrize("record", [b"\x16\x03\x03\x00\x01\xff", b"\x17\x03\x03\x00\x01\xff"])
def test_a_handshake_that_makes_no_sense_proves_nothing(record: bytes) -> None:
    outcome, detail = knocked_by_record(Way.NO_CERTIFICATE, record)

    assert outcome is Outcome.UNREACHABLE
    assert detail


def knocked_by_record(way: Way, record: bytes) -> tuple[Outcome, str]:
    """Answer a ClientHello."""
    with answering(record, until=b"a.test") as (socket, _):
        return knock(attempt(way, socket), credentials())


@pytest.mark.parametrize("name", ["expired", "revoked", "foreign"])
@pytest.mark.parametrize("kind", ["pem", "key"])
def test_damaged_certificates_to_try_are_a_storage_error(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / f"{name}.{kind}").write_text("no PEM")

    with pytest.raises(StorageError, match="with which the gate is tried"):
        load_credentials(tmp_path)
