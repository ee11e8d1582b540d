# SPDX-License-Identifier: Apache-2.0
"""A certificate is believed only if this authority signed it and it is in force."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.errors import RefusedError
from pivgate.yubikey.chain import check_issued


@pytest.fixture
def issued(make_bench):
    bench = make_bench("5.7.4")
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return bench.enrolment.authority, bench.enrolment.authority.issue("alice", public_key), bench.plan.now()


def test_one_that_is_in_force(issued):
    authority, certificate, now = issued
    check_issued(certificate, authority.certificate, now)
    check_issued(certificate, authority.certificate, certificate.not_valid_before_utc)
    check_issued(certificate, authority.certificate, certificate.not_valid_after_utc)


def test_not_yet_in_force(issued):
    authority, certificate, _now = issued
    with pytest.raises(RefusedError, match="not valid before") as caught:
        check_issued(
            certificate, authority.certificate, certificate.not_valid_before_utc - timedelta(seconds=1)
        )
    assert "clock" in caught.value.hint


def test_no_longer_in_force(issued):
    authority, certificate, _now = issued
    with pytest.raises(RefusedError, match="ended on") as caught:
        check_issued(
            certificate, authority.certificate, certificate.not_valid_after_utc + timedelta(seconds=1)
        )
    assert "renew" in caught.value.hint


def test_by_another_authority_of_the_same_name(issued):
    authority, certificate, now = issued
    other = type(authority)()
    assert other.certificate.subject == authority.certificate.subject
    with pytest.raises(RefusedError, match="not signed"):
        check_issued(certificate, other.certificate, now)


def test_by_the_same_key_under_another_name(issued):
    authority, certificate, now = issued
    renamed = authority.issue("other name", authority.key.public_key())
    with pytest.raises(RefusedError, match="not signed"):
        check_issued(certificate, renamed, now)


def test_changed_afterwards(issued):
    authority, certificate, now = issued
    der = certificate.public_bytes(Encoding.DER).replace(b"alice", b"malic")
    with pytest.raises(RefusedError, match="not signed"):
        check_issued(x509.load_der_x509_certificate(der), authority.certificate, now)


def test_an_authority_with_another_kind_of_key(issued):
    authority, certificate, now = issued
    for key in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        with pytest.raises(RefusedError, match="not signed"):
            check_issued(certificate, authority.issue("authority", key.public_key()), now)
