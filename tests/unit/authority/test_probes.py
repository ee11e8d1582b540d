# SPDX-License-Identifier: Apache-2.0
"""Each probe is wrong in exactly one way, and right in every other."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pivgate.authority.issue import Authority
from pivgate.authority.keys import KeyAlgorithm
from pivgate.authority.probes import PROBE_NAME, issue_probes
from pivgate.authority.profiles import CLIENT, Contents, extensions
from pivgate.errors import InputError, RefusedError
from pivgate.names import check_user_name

NewAuthority = Callable[..., Authority]
Probes = dict[str, x509.Certificate]


@pytest.fixture(params=list(KeyAlgorithm))
def ours(request: pytest.FixtureRequest, new_authority: NewAuthority, now: datetime) -> Authority:
    return new_authority(request.param, start=now - timedelta(days=10))


@pytest.fixture
def probes(ours: Authority, now: datetime, randomness: Callable[[int], bytes]) -> Probes:
    pems = issue_probes(ours, now=now, randomness=randomness)
    for certificate, key in pems.values():
        private_key = load_pem_private_key(key, None)
        assert isinstance(private_key, ec.EllipticCurvePrivateKey)
        assert private_key.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    return {name: x509.load_pem_x509_certificate(certificate) for name, (certificate, _) in pems.items()}


def test_which_there_are(probes: Probes) -> None:
    assert set(probes) == {"expired", "revoked", "foreign"}
    assert len({probe.serial_number for probe in probes.values()}) == 3


def test_all_look_like_ours(probes: Probes, ours: Authority) -> None:
    for probe in probes.values():
        assert probe.issuer == ours.name
        expected = extensions(CLIENT, Contents(probe.public_key(), ours.key_identifier))
        assert tuple(probe.extensions) == expected
        assert probe.signature_algorithm_oid == ours.certificate.signature_algorithm_oid


def test_expired_is_wrong_only_in_its_dates(probes: Probes, ours: Authority, now: datetime) -> None:
    probes["expired"].verify_directly_issued_by(ours.certificate)
    assert probes["expired"].not_valid_after_utc == now - timedelta(days=1)
    assert probes["expired"].not_valid_before_utc < probes["expired"].not_valid_after_utc


def test_revoked_holds_as_long_as_the_authority(probes: Probes, ours: Authority) -> None:
    probes["revoked"].verify_directly_issued_by(ours.certificate)
    assert probes["revoked"].not_valid_before_utc == ours.starts
    assert probes["revoked"].not_valid_after_utc == ours.ends


def test_foreign_is_wrong_only_in_its_signature(probes: Probes, ours: Authority) -> None:
    with pytest.raises(InvalidSignature):
        probes["foreign"].verify_directly_issued_by(ours.certificate)
    assert probes["foreign"].not_valid_before_utc == ours.starts
    assert probes["foreign"].not_valid_after_utc == ours.ends


def test_no_user_can_have_their_name(probes: Probes) -> None:
    assert {probe.subject.rfc4514_string() for probe in probes.values()} == {f"CN={PROBE_NAME}"}
    with pytest.raises(InputError):
        check_user_name(PROBE_NAME)


def test_only_an_authority_in_force_makes_them(ours: Authority, randomness: Callable[[int], bytes]) -> None:
    for moment in (ours.starts - timedelta(seconds=1), ours.ends + timedelta(seconds=1)):
        with pytest.raises(RefusedError):
            issue_probes(ours, now=moment, randomness=randomness)
