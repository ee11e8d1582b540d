# SPDX-License-Identifier: Apache-2.0
"""pkilint finds nothing in what the authority makes, but for what is listed with its reason."""

import json
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.authority.crl import Revoked, issue_crl
from pivgate.authority.issue import Authority, issue_authority, issue_client, random_serial_number
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import Subject, parse_distinguished_name
from pivgate.authority.request import Request
from pivgate.authority.upstream import create_authority, issue_gate, issue_server

pytestmark = pytest.mark.interop

ACCEPTED = Path(__file__).parents[1] / "vectors" / "authority" / "pkilint-accepted.toml"
HARMLESS = {"DEBUG", "INFO", "NOTICE"}
NOW = datetime.now(UTC)

LEAF_KEYS = {
    "p256": ec.generate_private_key(ec.SECP256R1()).public_key(),
    "p384": ec.generate_private_key(ec.SECP384R1()).public_key(),
    "rsa2048": rsa.generate_private_key(65537, 2048).public_key(),
    "ed25519": ed25519.Ed25519PrivateKey.generate().public_key(),
}


def accepted() -> set[tuple[str, str]]:
    return {
        (line["severity"], line["code"]) for line in tomllib.loads(ACCEPTED.read_text("utf-8"))["finding"]
    }


def findings(linter: str, *arguments: str | Path) -> set[tuple[str, str]]:
    """Run one of pkilint's programs and return severity and code of all that it found."""
    program = Path(sys.executable).with_name(linter)
    done = subprocess.run(
        [program, "lint", "--format", "JSON", *arguments], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return {
        (description["severity"], description["code"])
        for result in json.loads(done.stdout)["results"]
        for description in result["finding_descriptions"]
    }


def pem_file(path: Path, signed: x509.Certificate | x509.CertificateRevocationList) -> Path:
    path.write_bytes(signed.public_bytes(Encoding.PEM))
    return path


@pytest.fixture(params=list(KeyAlgorithm))
def authority(request: pytest.FixtureRequest) -> Authority:
    signer = generate(request.param)
    name = parse_distinguished_name("CN=Example Access,O=Example Ltd,OU=Keys,L=Zürich,DC=example,DC=com,C=CH")
    number = random_serial_number(os.urandom)
    return Authority(issue_authority(name, signer, now=NOW, days=3650, serial_number=number), signer)


def test_every_accepted_finding_is_harmless_and_has_its_reason() -> None:
    for line in tomllib.loads(ACCEPTED.read_text("utf-8"))["finding"]:
        assert line["severity"] in HARMLESS
        assert len(line["reason"]) > 40


def test_authority(authority: Authority, tmp_path: Path) -> None:
    found = findings("lint_pkix_cert", pem_file(tmp_path / "ca.pem", authority.certificate))
    # All that is accepted does occur: what no longer does must leave the list.
    assert found == accepted()


@pytest.mark.parametrize("kind", LEAF_KEYS)
def test_client(authority: Authority, tmp_path: Path, kind: str) -> None:
    issuer = pem_file(tmp_path / "ca.pem", authority.certificate)
    for email in (None, "alice@example.com"):
        certificate = issue_client(
            Request(LEAF_KEYS[kind], b""),
            Subject("alice", email),
            authority,
            now=NOW,
            days=365,
            randomness=os.urandom,
        )
        leaf = pem_file(tmp_path / "leaf.pem", certificate)
        assert findings("lint_pkix_cert", leaf) <= accepted()
        assert findings("lint_pkix_signer_signee_cert_chain", issuer, leaf) <= accepted()


def test_the_way_to_an_upstream(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = create_authority(key, now=NOW, randomness=os.urandom)
    hosts = ("mysite.example.com", ip_address("10.0.0.5"), ip_address("fd00::5"))
    server = issue_server(authority, hosts, key, now=NOW, randomness=os.urandom)
    gate = issue_gate(authority, key, now=NOW, randomness=os.urandom)
    for certificate in (authority.certificate, server.certificate, gate.certificate):
        assert findings("lint_pkix_cert", pem_file(tmp_path / "one.pem", certificate)) <= accepted()


REASONS = ("keyCompromise", "superseded", "cessationOfOperation", "certificateHold", "unspecified")


@pytest.mark.parametrize("reasons", [(), REASONS], ids=["empty", "with entries"])
def test_revocation_list(authority: Authority, tmp_path: Path, reasons: tuple[str, ...]) -> None:
    revoked = [Revoked(random_serial_number(os.urandom), NOW, reason) for reason in reasons]
    crl = issue_crl(authority, revoked, number=7, now=NOW, days=30)
    found = findings("lint_crl", "--type", "CRL", "--profile", "PKIX", pem_file(tmp_path / "crl", crl))
    assert found <= accepted()


def test_the_linter_does_find_faults(authority: Authority, tmp_path: Path) -> None:
    bare = (
        x509.CertificateBuilder()
        .issuer_name(authority.name)
        .subject_name(authority.name)
        .public_key(LEAF_KEYS["p256"])
        .serial_number(1)
        .not_valid_before(authority.starts)
        .not_valid_after(authority.ends)
    )
    leaf = pem_file(tmp_path / "bare.pem", authority.signer.sign_certificate(bare))
    assert any(severity not in HARMLESS for severity, _ in findings("lint_pkix_cert", leaf))
    issuer = pem_file(tmp_path / "ca.pem", authority.certificate)
    assert findings("lint_pkix_signer_signee_cert_chain", issuer, leaf) - accepted()
