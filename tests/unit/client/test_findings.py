# SPDX-License-Identifier: Apache-2.0
"""What an answer means. Each is seen through the real gate in tests/cli/test_probe.py, except the rarest."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from tlslite.constants import AlertDescription
from tlslite.errors import TLSRemoteAlert

from pivgate.client.findings import Findings, explain_alert, judge_answer
from pivgate.errors import GateError, RefusedError
from pivgate.yubikey.tls_connection import AlertError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FINGERPRINT = "ab" * 32
PAGE = f"refused: Because.\nAsk Grace, room 1, and name this certificate: {FINGERPRINT}\n"


def findings(**more: object) -> Findings:
    return Findings(
        **{
            "url": "https://mysite.com/",
            "address": "mysite.com port 443",
            "subject": "CN=alice",
            "issuer": "CN=authority",
            "fingerprint": FINGERPRINT,
            "not_before": NOW - timedelta(days=1),
            "not_after": NOW + timedelta(days=1),
            "certificate_asked": True,
            **more,
        }
    )  # type: ignore[arg-type]


def alert(description: int) -> AlertError:
    return AlertError(TLSRemoteAlert(SimpleNamespace(description=description, level=2)))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (AlertDescription.unknown_ca, "does not know the authority .* CN=authority"),
        (AlertDescription.bad_certificate, "does not take the certificate on this key, CN=alice"),
        (AlertDescription.certificate_required, "does not take the certificate"),
        (AlertDescription.internal_error, "knows no site of that name"),
        (AlertDescription.unrecognized_name, "knows no site of that name"),
        (AlertDescription.decrypt_error, "decrypt_error"),
    ],
)
def test_alerts_in_plain_words(description: int, words: str) -> None:
    error = explain_alert(alert(description), findings(), NOW)
    assert isinstance(error, RefusedError)
    assert error.hint
    with pytest.raises(RefusedError, match=words):
        raise error


@pytest.mark.parametrize(
    "description", [AlertDescription.protocol_version, AlertDescription.handshake_failure]
)
def test_nothing_in_common(description: int) -> None:
    assert isinstance(explain_alert(alert(description), findings(), NOW), GateError)


@pytest.mark.parametrize(
    "description", [AlertDescription.bad_certificate, AlertDescription.certificate_expired]
)
def test_dates_explain_an_alert(description: int) -> None:
    late = explain_alert(alert(description), findings(), NOW + timedelta(days=2))
    assert "has expired on 2026-06-02" in late.message
    early = explain_alert(alert(description), findings(), NOW - timedelta(days=2))
    assert "not valid before 2026-05-31" in early.message


@pytest.mark.parametrize("status", [200, 204, 302, 404, 500, 502])
def test_what_lets_us_in(status: int) -> None:
    judge_answer(findings(status=status), "")
    judge_answer(findings(status=status), PAGE)  # only a refusal is the gate's


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, PAGE, "The gate refuses: Because"),
        (400, PAGE, "The gate refuses: Because"),
        (403, PAGE.replace(FINGERPRINT, "cd" * 32), "saw another certificate .* cdcd"),
        (403, f"<p>{PAGE}", "the site behind it answers 403"),
        (403, f"{PAGE}more", "the site behind it answers 403"),
        (401, "", "the site behind it answers 401"),
        (421, "", "421"),
    ],
)
def test_what_does_not(status: int, body: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as refusal:
        judge_answer(findings(status=status), body)
    assert refusal.value.hint


def test_the_gates_words_are_kept() -> None:
    found = findings(status=403)
    with pytest.raises(RefusedError):
        judge_answer(found, PAGE)
    assert (found.gate_reason, found.gate_contact) == ("Because.", "Grace, room 1")


def test_a_site_that_asked_for_nothing_is_open() -> None:
    with pytest.raises(RefusedError, match="not behind a gate"):
        judge_answer(findings(status=200, certificate_asked=False), "")
