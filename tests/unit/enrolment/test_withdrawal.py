# SPDX-License-Identifier: Apache-2.0
"""Withdrawing access: the tree first, whatever the registry says or fails to say."""

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
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
from pivgate.enrolment import access
from pivgate.enrolment.access import (
    bring_tree_to_registry,
    grant,
    leave_group,
    narrow_tree,
    remove_group,
    revoke_certificates,
    set_key_state,
)
from pivgate.errors import BusyError, InputError, StorageError
from pivgate.gate.access import withdraw
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
    bring_tree_to_registry(home, registry, actor="test", now=NOW)
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


def test_while_another_holds_the_registry_the_tree_is_closed_and_that_is_said(
    home: Home, registry: Registry, authority: Authority
) -> None:
    certificate = admitted(home, registry, authority, "alice", KEY)
    with (
        closing(sqlite3.connect(home.registry, isolation_level=None)) as other,
        Registry.open(home.registry, home.audit_head, patience=0.05) as impatient,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError) as caught:
            set_key_state(home, impatient, registry.key(KEY), KeyState.LOST, "", actor="test", now=NOW)
    assert "refuses them already, but that is not recorded" in caught.value.message
    assert "`pivgate up` would let them in again" in caught.value.hint
    assert entries(home) == set()
    assert registry.certificate(certificate.fingerprint).state is CertificateState.ACTIVE

    set_key_state(home, registry, registry.key(KEY), KeyState.LOST, "", actor="test", now=NOW)

    assert not bring_tree_to_registry(home, registry, actor="test", now=NOW)


def test_what_the_registry_does_not_know_is_taken_out_after_a_withdrawal(
    home: Home, registry: Registry, authority: Authority
) -> None:
    """As after an older copy of the registry was put back."""
    hers = admitted(home, registry, authority, "alice", KEY)
    his = admitted(home, registry, authority, "bob", KEY + 1)
    (home.access / "everyone" / ("d" * 64)).touch()
    revoke_certificates(home, registry, [hers], RevocationReason.UNSPECIFIED, actor="test", now=NOW)
    narrow_tree(home, registry, actor="carol", now=NOW)
    assert entries(home) == {f"everyone/{his.fingerprint}"}
    event = registry.events(action="gate.mended")[-1]
    assert event.actor == "carol"
    assert json.loads(event.detail) == {"added": "", "removed": f"everyone/{'d' * 64}"}


def test_what_has_only_expired_is_told_from_what_somebody_put_there(
    home: Home, registry: Registry, authority: Authority
) -> None:
    his = admitted(home, registry, authority, "bob", KEY)
    strays = sorted(f"everyone/{number:064x}" for number in range(1, 31))
    for stray in strays:
        (home.access / stray).touch()
    later = his.not_after + timedelta(days=1)
    narrow_tree(home, registry, actor="test", now=later)
    removed = json.loads(registry.events(action="gate.mended")[-1].detail)["removed"]
    assert removed == f"{', '.join(strays[:20])} and 11 more"
    (home.access / "everyone").mkdir(exist_ok=True)
    (home.access / f"everyone/{his.fingerprint}").touch()
    narrow_tree(home, registry, actor="test", now=later)
    removed = json.loads(registry.events(action="gate.mended")[-1].detail)["removed"]
    assert removed == f"everyone/{his.fingerprint} (expired)"


def test_what_is_too_much_goes_even_when_that_cannot_be_recorded(
    home: Home, registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers = admitted(home, registry, authority, "alice", KEY)
    (home.access / "everyone" / ("d" * 64)).touch()

    def full(*_: object, **__: object) -> None:
        raise StorageError("No space left on device", "Free some.")

    monkeypatch.setattr(registry, "append_event", full)
    with pytest.raises(StorageError):
        grant(home, registry, "bob", actor="test", now=NOW)
    assert entries(home) == {f"everyone/{hers.fingerprint}", f"staff/{hers.fingerprint}"}


def test_a_folder_that_cannot_be_read_keeps_nothing_in_the_others(
    home: Home, registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers = admitted(home, registry, authority, "alice", KEY)
    (home.access / "everyone" / ("d" * 64)).touch()
    really = os.open

    def broken(path: str, flags: int, *more: int, dir_fd: int | None = None) -> int:
        if path == "staff":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(path, flags, *more, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(StorageError):
        bring_tree_to_registry(home, registry, actor="test", now=NOW)
    assert entries(home) == {f"everyone/{hers.fingerprint}", f"staff/{hers.fingerprint}"}


def test_what_a_killed_mending_left_is_recorded_before_it_is_gone(
    home: Home, registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted(home, registry, authority, "alice", KEY)
    stray = home.access / "everyone" / ("d" * 64)
    stray.touch()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(access, "synchronise", killed)
    with pytest.raises(KeyboardInterrupt):
        narrow_tree(home, registry, actor="test", now=NOW)
    assert stray.exists()
    assert stray.name in registry.events(action="gate.mended")[-1].detail


def test_nothing_is_mended_where_somebody_is_let_in(
    home: Home, registry: Registry, authority: Authority
) -> None:
    hers = admitted(home, registry, authority, "alice", KEY)
    before = len(registry.events(action="gate.mended"))
    withdraw(home.access, [hers.fingerprint])
    grant(home, registry, "alice", actor="test", now=NOW)
    assert entries(home) == {f"everyone/{hers.fingerprint}", f"staff/{hers.fingerprint}"}
    assert len(registry.events(action="gate.mended")) == before


def test_what_a_removed_user_left_in_the_tree_is_taken_out_all_the_same(
    home: Home, registry: Registry, authority: Authority
) -> None:
    certificate = admitted(home, registry, authority, "alice", KEY)
    registry.remove_user("alice", actor="test", now=NOW)
    assert entries(home) == {f"everyone/{certificate.fingerprint}", f"staff/{certificate.fingerprint}"}
    with pytest.raises(TransitionError):
        set_key_state(home, registry, registry.key(KEY), KeyState.LOST, "", actor="test", now=NOW)
    assert entries(home) == set()


def test_leaving_a_group_takes_those_entries_and_compares_nothing_else_yet(
    home: Home, registry: Registry, authority: Authority
) -> None:
    """Comparing the whole tree takes seconds with 100,000 certificates; severing must not wait for it."""
    hers = admitted(home, registry, authority, "alice", KEY)
    unknown = f"everyone/{'d' * 64}"
    (home.access / unknown).touch()
    leave_group(home, registry, "staff", "alice", actor="test", now=NOW)
    assert entries(home) == {f"everyone/{hers.fingerprint}", unknown}
    assert [one.group for one in registry.groups_of("alice")] == ["everyone"]


def test_everyone_cannot_be_edited_and_trying_shuts_nobody_out(
    home: Home, registry: Registry, authority: Authority
) -> None:
    admitted(home, registry, authority, "alice", KEY)
    before = entries(home)
    with pytest.raises(InputError):
        leave_group(home, registry, "everyone", "alice", actor="test", now=NOW)
    with pytest.raises(InputError):
        remove_group(home, registry, "everyone", actor="test", now=NOW)
    assert entries(home) == before


def test_a_group_that_is_removed_admits_nobody_and_that_is_no_drift(
    home: Home, registry: Registry, authority: Authority
) -> None:
    hers = admitted(home, registry, authority, "alice", KEY)
    before = len(registry.events(action="gate.mended"))
    remove_group(home, registry, "staff", actor="test", now=NOW)
    assert entries(home) == {f"everyone/{hers.fingerprint}"}
    assert len(registry.events(action="gate.mended")) == before


@pytest.mark.parametrize("name", ["../registry", ".", "everyone/x", ""])
def test_a_group_whose_name_is_a_path_removes_nothing(
    home: Home, registry: Registry, authority: Authority, name: str
) -> None:
    admitted(home, registry, authority, "alice", KEY)
    before = entries(home)
    with pytest.raises(InputError):
        remove_group(home, registry, name, actor="test", now=NOW)
    assert entries(home) == before
    assert home.registry.exists()
