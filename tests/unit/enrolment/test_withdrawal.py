# SPDX-License-Identifier: Apache-2.0
"""Withdrawing access: the tree first, whatever the registry says or fails to say."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.authority.issue import Authority, issue_authority, issue_client, random_serial_number
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import Subject, parse_distinguished_name
from pivgate.authority.request import parse_request
from pivgate.enrolment.access import bring_tree_to_registry, revoke_certificates, set_key_state
from pivgate.registry.records import Certificate
from pivgate.registry.states import CertificateState, KeyState, RevocationReason, TransitionError
from pivgate.registry.store import Registry
from pivgate.settings import Home

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEY = 31000001


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def registry(home: Home) -> Iterator[Registry]:
    with Registry.create(home.registry, home.audit_head) as registry:
        for user in ("alice", "bob"):
            registry.add_user(user, display_name=user, email=None, actor="test", now=NOW)
        registry.add_group("staff", actor="test", now=NOW)
        registry.add_member("staff", "alice", actor="test", now=NOW)
        yield registry


@pytest.fixture(scope="module")
def authority() -> Authority:
    signer = generate(KeyAlgorithm.ED25519)
    name = parse_distinguished_name("CN=test authority")
    serial_number = random_serial_number(os.urandom)
    return Authority(issue_authority(name, signer, now=NOW, days=30, serial_number=serial_number), signer)


def admitted(home: Home, registry: Registry, authority: Authority, user: str, serial: int) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    der = issue_client(
        parse_request(request.public_bytes(Encoding.DER)),
        Subject(user, None),
        authority,
        now=NOW,
        days=10,
        randomness=os.urandom,
    ).public_bytes(Encoding.DER)
    registry.register_key(
        serial, model="m", firmware="5.7.4", form_factor="f", user=user, actor="test", now=NOW
    )
    recorded = registry.record_certificate(der, serial, "client", actor="test", now=NOW)
    certificate = registry.activate_certificate(recorded.fingerprint, actor="test", now=NOW)
    bring_tree_to_registry(home, registry, NOW)
    return certificate


def entries(home: Home) -> set[str]:
    return {str(path.relative_to(home.access)) for path in home.access.rglob("*") if path.is_file()}


def test_the_groups_are_those_of_whom_it_is_taken_from(
    home: Home, registry: Registry, authority: Authority
) -> None:
    hers = admitted(home, registry, authority, "alice", KEY)
    his = admitted(home, registry, authority, "bob", KEY + 1)
    reason = RevocationReason.KEY_COMPROMISE
    withdrawal = revoke_certificates(home, registry, [hers], reason, actor="test", now=NOW)
    assert withdrawal.fingerprints == (hers.fingerprint,)
    assert withdrawal.groups == ("everyone", "staff")
    assert entries(home) == {f"everyone/{his.fingerprint}"}
    hers = registry.certificate(hers.fingerprint)
    both = revoke_certificates(home, registry, [hers, his], reason, actor="test", now=NOW)
    assert (both.fingerprints, both.groups) == ((his.fingerprint,), ("everyone",))


def test_the_tree_is_closed_before_anything_is_asked_of_the_registry(
    home: Home, registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = admitted(home, registry, authority, "alice", KEY)

    def broken(*_: object) -> frozenset[tuple[str, str]]:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "access", broken)
    with pytest.raises(KeyboardInterrupt):
        revoke_certificates(
            home, registry, [certificate], RevocationReason.UNSPECIFIED, actor="test", now=NOW
        )
    assert entries(home) == set()
    assert registry.certificate(certificate.fingerprint).state is CertificateState.ACTIVE


def test_what_a_removed_user_left_in_the_tree_is_taken_out_all_the_same(
    home: Home, registry: Registry, authority: Authority
) -> None:
    certificate = admitted(home, registry, authority, "alice", KEY)
    registry.remove_user("alice", actor="test", now=NOW)
    assert entries(home) == {f"everyone/{certificate.fingerprint}", f"staff/{certificate.fingerprint}"}
    with pytest.raises(TransitionError):
        set_key_state(home, registry, registry.key(KEY), KeyState.LOST, "", actor="test", now=NOW)
    assert entries(home) == set()
