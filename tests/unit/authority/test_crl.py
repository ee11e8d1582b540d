# SPDX-License-Identifier: Apache-2.0
"""The revocation list: who is on it, why, until when it counts."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from pivgate.authority.crl import Revoked, issue_crl
from pivgate.authority.issue import Authority
from pivgate.authority.keys import KeyAlgorithm
from pivgate.errors import InputError, RefusedError

NewAuthority = Callable[..., Authority]

REASONS = {
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "affiliationChanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
    "certificateHold": x509.ReasonFlags.certificate_hold,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
}


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_list(now: datetime, new_authority: NewAuthority, algorithm: KeyAlgorithm) -> None:
    authority = new_authority(algorithm)
    lines = [Revoked(7, now - timedelta(days=1), "superseded"), Revoked(2**127, now)]
    crl = issue_crl(authority, lines, number=12, now=now, days=30)
    public_key = authority.certificate.public_key()
    assert crl.is_signature_valid(public_key)  # type: ignore[arg-type]
    assert crl.issuer == authority.name
    assert crl.last_update_utc == now
    assert crl.next_update_utc == now + timedelta(days=30)
    assert {extension.oid: extension.value for extension in crl.extensions} == {
        x509.CRLNumber.oid: x509.CRLNumber(12),
        x509.AuthorityKeyIdentifier.oid: authority.key_identifier,
    }
    assert not any(extension.critical for extension in crl.extensions)
    assert [(entry.serial_number, entry.revocation_date_utc) for entry in crl] == [
        (7, now - timedelta(days=1)),
        (2**127, now),
    ]


def test_empty_list(now: datetime, authority: Authority) -> None:
    assert list(issue_crl(authority, [], number=1, now=now, days=1)) == []


@pytest.mark.parametrize(("reason", "flag"), REASONS.items())
def test_reason(now: datetime, authority: Authority, reason: str, flag: x509.ReasonFlags) -> None:
    (entry,) = issue_crl(authority, [Revoked(7, now, reason)], number=1, now=now, days=1)
    extension = entry.extensions.get_extension_for_class(x509.CRLReason)
    assert extension.value == x509.CRLReason(flag)
    assert not extension.critical


@pytest.mark.parametrize("reason", ["unspecified", "removeFromCRL", "cACompromise", "lost in the lake", ""])
def test_other_reasons_are_left_out_and_the_certificate_is_not(
    now: datetime, authority: Authority, reason: str
) -> None:
    (entry,) = issue_crl(authority, [Revoked(7, now, reason)], number=1, now=now, days=1)
    assert entry.serial_number == 7
    assert len(entry.extensions) == 0


def test_microseconds_are_cut_off(now: datetime, authority: Authority) -> None:
    late = now + timedelta(microseconds=999_999)
    crl = issue_crl(authority, [Revoked(7, late)], number=1, now=late, days=1)
    assert crl.last_update_utc == now
    assert next(iter(crl)).revocation_date_utc == now


def test_it_never_outlasts_the_authority(now: datetime, new_authority: NewAuthority) -> None:
    authority = new_authority(days=10)
    for days, expected in ((9, 9), (10, 10), (11, 10), (365, 10)):
        crl = issue_crl(authority, [], number=1, now=now, days=days)
        assert crl.next_update_utc == now + timedelta(days=expected)


@pytest.mark.parametrize("days", [0, -1, 366])
def test_impossible_numbers_of_days(now: datetime, authority: Authority, days: int) -> None:
    with pytest.raises(InputError, match=f"cannot last {days} days"):
        issue_crl(authority, [], number=1, now=now, days=days)


def test_numbers(now: datetime, authority: Authority) -> None:
    for number in (0, 2**159 - 1):
        issue_crl(authority, [], number=number, now=now, days=1)
    for number in (-1, 2**159):
        with pytest.raises(InputError, match="number"):
            issue_crl(authority, [], number=number, now=now, days=1)


def test_only_an_authority_in_force_signs(now: datetime, authority: Authority) -> None:
    for moment in (authority.starts - timedelta(seconds=1), authority.ends + timedelta(seconds=1)):
        with pytest.raises(RefusedError):
            issue_crl(authority, [], number=1, now=moment, days=1)


def test_ten_thousand_lines(now: datetime, authority: Authority) -> None:
    crl = issue_crl(authority, (Revoked(n, now) for n in range(1, 10_001)), number=1, now=now, days=1)
    assert len(crl) == 10_000
    assert crl.get_revoked_certificate_by_serial_number(5_000) is not None
