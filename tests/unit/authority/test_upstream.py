# SPDX-License-Identifier: Apache-2.0
"""The certificates between gate and upstream: judged by OpenSSL, which serves as client and as server."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.authority.issue import Authority
from pivgate.authority.upstream import (
    LEAF_DAYS,
    Host,
    Pair,
    create_authority,
    hosts_of,
    is_due,
    issue_gate,
    issue_server,
)
from pivgate.authority.verify import verify_client
from pivgate.errors import InputError, RefusedError
from pivgate.names import check_user_name

Randomness = Callable[[int], bytes]
HOSTS: tuple[Host, ...] = ("mysite.test", ip_address("10.0.0.5"), ip_address("fd00::5"))
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def way(randomness: Randomness) -> Authority:
    """The authority of one upstream, made now, so that OpenSSL finds it in force."""
    return create_authority(KEY, now=datetime.now(UTC), randomness=randomness)


@pytest.fixture
def server(way: Authority, randomness: Randomness) -> Pair:
    return issue_server(way, HOSTS, KEY, now=datetime.now(UTC), randomness=randomness)


@pytest.fixture
def gate(way: Authority, randomness: Randomness) -> Pair:
    return issue_gate(way, KEY, now=datetime.now(UTC), randomness=randomness)


def openssl_takes(folder: Path, way: Authority, pair: Pair, purpose: str, *more: str) -> bool:
    (folder / "ca.pem").write_bytes(way.certificate.public_bytes(Encoding.PEM))
    (folder / "leaf.pem").write_bytes(pair.certificate_pem)
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", *more, "leaf.pem"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_each_is_for_one_side_alone(tmp_path: Path, way: Authority, server: Pair, gate: Pair) -> None:
    takes = {
        (name, purpose): openssl_takes(tmp_path, way, pair, purpose)
        for name, pair in (("server", server), ("gate", gate))
        for purpose in ("sslserver", "sslclient")
    }
    assert takes == {
        ("server", "sslserver"): True,
        ("server", "sslclient"): False,
        ("gate", "sslserver"): False,
        ("gate", "sslclient"): True,
    }


def test_the_server_is_known_by_its_names_and_no_other(tmp_path: Path, way: Authority, server: Pair) -> None:
    named = {
        name: openssl_takes(tmp_path, way, server, "sslserver", option, name)
        for option, name in (
            ("-verify_hostname", "mysite.test"),
            ("-verify_ip", "10.0.0.5"),
            ("-verify_ip", "fd00::5"),
            ("-verify_hostname", "other.test"),
            ("-verify_ip", "10.0.0.6"),
        )
    }
    assert [name for name, taken in named.items() if not taken] == ["other.test", "10.0.0.6"]
    assert hosts_of(server.certificate) == HOSTS


def test_neither_is_a_users(gate: Pair, server: Pair, way: Authority, authority: Authority) -> None:
    for pair in (gate, server):
        with pytest.raises(InputError):
            check_user_name(pair.certificate.subject.rfc4514_string().removeprefix("CN="))
        for issuer in (way, authority):
            with pytest.raises(RefusedError):
                verify_client(pair.certificate, issuer.certificate, datetime.now(UTC))


def test_another_upstreams_authority_is_another(
    tmp_path: Path, server: Pair, gate: Pair, randomness: Randomness
) -> None:
    other = create_authority(
        ec.generate_private_key(ec.SECP256R1()), now=datetime.now(UTC), randomness=randomness
    )
    assert not openssl_takes(tmp_path, other, server, "sslserver")
    assert not openssl_takes(tmp_path, other, gate, "sslclient")


def test_renewed_when_less_than_a_third_is_left(way: Authority, gate: Pair) -> None:
    start = gate.certificate.not_valid_before_utc
    life = gate.certificate.not_valid_after_utc - start
    second = timedelta(seconds=1)
    assert not is_due(gate.certificate, way.certificate, start + life * 2 / 3 - second)
    assert is_due(gate.certificate, way.certificate, start + life * 2 / 3 + second)
    assert is_due(gate.certificate, way.certificate, start + 2 * life)


def test_not_renewed_for_nothing_when_the_authority_ends_first(
    way: Authority, randomness: Randomness
) -> None:
    near = way.ends - timedelta(days=LEAF_DAYS / 2)
    last = issue_gate(way, KEY, now=near, randomness=randomness)
    assert last.certificate.not_valid_after_utc == way.ends
    assert not is_due(last.certificate, way.certificate, way.ends - timedelta(days=1))
    with pytest.raises(RefusedError):
        issue_gate(way, KEY, now=way.ends + timedelta(days=1), randomness=randomness)


def test_a_certificate_without_names_says_so(gate: Pair) -> None:
    with pytest.raises(ValueError, match="names no server"):
        hosts_of(gate.certificate)


def test_the_key_belongs_to_the_certificate(server: Pair) -> None:
    assert x509.load_pem_x509_certificate(server.certificate_pem).public_key() == KEY.public_key()
    assert b"BEGIN PRIVATE KEY" in server.key_pem
