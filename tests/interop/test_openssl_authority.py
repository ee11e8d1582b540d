# SPDX-License-Identifier: Apache-2.0
"""OpenSSL reads, prints and judges what the authority makes, and the authority reads what OpenSSL makes."""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.authority.crl import Revoked, issue_crl
from pivgate.authority.display import describe
from pivgate.authority.issue import Authority, issue_authority, issue_client, random_serial_number
from pivgate.authority.keys import FileSigner, KeyAlgorithm, generate, load_signer
from pivgate.authority.names import Subject, parse_distinguished_name
from pivgate.authority.probes import issue_probes
from pivgate.authority.request import parse_request

pytestmark = pytest.mark.interop

NOW = datetime.now(UTC)

LEAF_KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str


def openssl(*arguments: str | Path, data: bytes = b"") -> Ended:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["openssl", *map(str, arguments)], input=data, capture_output=True, check=False, env=environment
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def new_authority(algorithm: KeyAlgorithm, name: str = "CN=Example Access,O=Example Ltd") -> Authority:
    signer = generate(algorithm)
    certificate = issue_authority(
        parse_distinguished_name(name),
        signer,
        now=NOW,
        days=3650,
        serial_number=random_serial_number(os.urandom),
    )
    return Authority(certificate, signer)


def new_client(authority: Authority, kind: str = "p384", email: str | None = None) -> x509.Certificate:
    key = LEAF_KEYS[kind]()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = csr.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    request = parse_request(signed.public_bytes(Encoding.DER))
    return issue_client(request, Subject("alice", email), authority, now=NOW, days=365, randomness=os.urandom)


def printed(certificate: x509.Certificate) -> str:
    """Ask OpenSSL for its text, in the layout that was its only one until 3.2."""
    options = ("-noout", "-text", "-nameopt", "oneline")
    return openssl("x509", *options, data=certificate.public_bytes(Encoding.PEM)).out


def in_file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def pem(signed: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return signed.public_bytes(Encoding.PEM)


# --- The text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("kind", LEAF_KEYS)
def test_a_client_is_described_as_openssl_does(algorithm: KeyAlgorithm, kind: str) -> None:
    authority = new_authority(algorithm)
    for email in (None, "alice.o'hara+x@example.com"):
        certificate = new_client(authority, kind, email)
        assert describe(certificate) == printed(certificate)


NAMES = [
    "CN=a",
    "CN=Example Access,O=Example Ltd,OU=Keys,OU=Doors,L=Zürich,ST=ZH,DC=example,DC=com,C=CH",
    r"CN=Example\, Access",
    r"CN=1 \+ 1 \< 3\; x \> y",
    r"CN=he said \"no\" \\ left",
    r"CN=\#hash",
    "CN=#",
    "CN=a#b=c",
    "CN=Zürich 門 🔑",
    r"CN=\"\,\\",
]


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("name", NAMES)
def test_an_authority_is_described_as_openssl_does(algorithm: KeyAlgorithm, name: str) -> None:
    authority = new_authority(algorithm, name)
    assert describe(authority.certificate) == printed(authority.certificate)
    client = new_client(authority)
    assert describe(client) == printed(client)


NUMBERS = [
    1,
    9,
    10,
    127,
    128,
    255,
    256,
    2**31,
    2**32 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    2**126,
    2**159 - 1,
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("moment", [datetime(2026, 1, 9, 1, 2, 3, tzinfo=UTC), NOW])
def test_serial_numbers_and_dates_are_described_as_openssl_does(number: int, moment: datetime) -> None:
    certificate = issue_authority(
        parse_distinguished_name("CN=a"),
        generate(KeyAlgorithm.ED25519),
        now=moment,
        days=36525,
        serial_number=number,
    )
    assert describe(certificate) == printed(certificate)


def test_probes_are_described_as_openssl_does() -> None:
    authority = new_authority(KeyAlgorithm.P256)
    for certificate_pem, _ in issue_probes(authority, now=NOW, randomness=os.urandom).values():
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        assert describe(certificate) == printed(certificate)


# --- The judgement -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judge:
    """``openssl verify`` with our authority as the only one it trusts."""

    authority: Authority
    folder: Path

    def verify(self, certificate: bytes, *options: str | Path) -> Ended:
        trusted = in_file(self.folder, "ca.pem", pem(self.authority.certificate))
        leaf = in_file(self.folder, "leaf.pem", certificate)
        return openssl("verify", "-x509_strict", "-CAfile", trusted, *options, leaf)

    def refuses(self, certificate: bytes, reason: str, options: Sequence[str | Path] = ()) -> None:
        ended = self.verify(certificate, "-purpose", "sslclient", *options)
        assert ended.code != 0
        assert reason in ended.err + ended.out


@pytest.fixture(params=list(KeyAlgorithm))
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    return Judge(new_authority(request.param), tmp_path)


@pytest.mark.parametrize("kind", LEAF_KEYS)
def test_verify_accepts_a_client(judge: Judge, kind: str) -> None:
    certificate = pem(new_client(judge.authority, kind, "alice@example.com"))
    ended = judge.verify(certificate, "-purpose", "sslclient", "-check_ss_sig", "-policy_check")
    assert (ended.code, ended.err) == (0, "")


def test_verify_accepts_the_authority(judge: Judge) -> None:
    ended = judge.verify(pem(judge.authority.certificate), "-check_ss_sig")
    assert (ended.code, ended.err) == (0, "")


def test_a_client_serves_no_other_purpose(judge: Judge) -> None:
    certificate = pem(new_client(judge.authority))
    for purpose in ("sslserver", "smimesign", "smimeencrypt", "crlsign", "ocsphelper", "timestampsign"):
        refused = judge.verify(certificate, "-purpose", purpose).code != 0
        # OpenSSL lets anybody help with OCSP; its own checks follow later.
        assert refused is (purpose != "ocsphelper")


def test_a_client_is_no_authority(judge: Judge) -> None:
    key = generate(KeyAlgorithm.P256)
    leaf = new_client(judge.authority)
    below = new_client(Authority(leaf, key))
    between = in_file(judge.folder, "between.pem", pem(leaf))
    judge.refuses(pem(below), "error 79 at 1 depth", ["-untrusted", between])


def test_probes_are_refused_for_their_own_reason(judge: Judge) -> None:
    probes = issue_probes(judge.authority, now=NOW, randomness=os.urandom)
    judge.refuses(probes["expired"][0], "certificate has expired")
    judge.refuses(probes["foreign"][0], "certificate signature failure")
    assert judge.verify(probes["revoked"][0], "-purpose", "sslclient").code == 0


def test_a_revoked_client_is_refused_by_the_list(judge: Judge) -> None:
    revoked, sound = new_client(judge.authority), new_client(judge.authority)
    crl = issue_crl(
        judge.authority, [Revoked(revoked.serial_number, NOW, "keyCompromise")], number=1, now=NOW, days=30
    )
    check = ("-crl_check", "-CRLfile", in_file(judge.folder, "crl.pem", pem(crl)))
    judge.refuses(pem(revoked), "certificate revoked", check)
    assert judge.verify(pem(sound), "-purpose", "sslclient", *check).code == 0


def test_an_overdue_list_is_refused(judge: Judge) -> None:
    crl = issue_crl(judge.authority, [], number=1, now=NOW, days=1)
    check = ("-crl_check", "-CRLfile", in_file(judge.folder, "crl.pem", pem(crl)))
    later = str(int((NOW + timedelta(days=2)).timestamp()))
    judge.refuses(pem(new_client(judge.authority)), "CRL has expired", [*check, "-attime", later])


# --- The revocation list -----------------------------------------------------------------------------


def test_the_list_is_read(judge: Judge) -> None:
    lines = [Revoked(0xABCDEF, NOW, "keyCompromise"), Revoked(0x123456, NOW)]
    crl = issue_crl(judge.authority, lines, number=4711, now=NOW, days=30)
    trusted = in_file(judge.folder, "ca.pem", pem(judge.authority.certificate))
    ended = openssl("crl", "-noout", "-text", "-verify", "-CAfile", trusted, data=pem(crl))
    assert ended.code == 0
    assert "verify OK" in ended.err + ended.out
    assert re.search(r"X509v3 CRL Number: \n +4711\n", ended.out)
    assert re.search(
        r"Serial Number: ABCDEF\n.*\n.*\n.*X509v3 CRL Reason Code: \n +Key Compromise", ended.out
    )
    assert re.search(r"Serial Number: 123456\n +Revocation Date: .* GMT\n +Signature", ended.out)
    identifier = judge.authority.key_identifier.key_identifier
    assert identifier is not None
    assert identifier.hex(":").upper() in ended.out


# --- Requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PEM", "DER"])
@pytest.mark.parametrize(
    "key", ["rsa:2048", "ec:P-256", "ec:P-384", "ED25519"], ids=lambda key: key.replace(":", "-")
)
def test_requests_of_openssl_are_read(tmp_path: Path, key: str, form: str) -> None:
    algorithm, _, detail = key.partition(":")
    option = {
        "rsa": ["-pkeyopt", f"rsa_keygen_bits:{detail}"],
        "ec": ["-pkeyopt", f"ec_paramgen_curve:{detail}"],
    }
    out = tmp_path / "request"
    arguments = ["-new", "-batch", "-nodes", "-subj", "/CN=x", "-outform", form, "-out", str(out)]
    arguments += ["-newkey", algorithm, *option.get(algorithm, []), "-keyout", str(tmp_path / "key")]
    assert openssl("req", *arguments).code == 0
    request = parse_request(out.read_bytes())
    again = openssl("req", "-inform", "DER", "-noout", "-verify", "-pubkey", data=request.der)
    assert "verify OK" in again.err + again.out


# --- The key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_the_encrypted_key_is_read(algorithm: KeyAlgorithm, tmp_path: Path) -> None:
    signer = generate(algorithm)
    passphrase = in_file(tmp_path, "passphrase", "päss phrase\n".encode())
    kept = signer.encrypted_pem("päss phrase".encode())
    ended = openssl("pkey", "-passin", f"file:{passphrase}", "-pubout", data=kept)
    assert ended.code == 0, ended.err
    assert x509.SubjectKeyIdentifier.from_public_key(signer.public_key) == public_identifier(ended.out)
    assert openssl("pkey", "-passin", "pass:wrong", "-noout", data=kept).code != 0


def public_identifier(public_pem: str) -> x509.SubjectKeyIdentifier:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public_key = load_pem_public_key(public_pem.encode())
    assert isinstance(public_key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
    return x509.SubjectKeyIdentifier.from_public_key(public_key)


@pytest.mark.parametrize(
    "options", [["-scrypt"], ["-v2", "aes-256-cbc", "-iter", "1000"]], ids=["scrypt", "pbkdf2"]
)
@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_a_key_that_openssl_encrypted_is_read(algorithm: KeyAlgorithm, options: list[str]) -> None:
    signer = generate(algorithm)
    clear = signer.encrypted_pem(b"", allow_empty=True)
    ended = openssl("pkcs8", "-topk8", "-passout", "pass:changed", *options, data=clear)
    assert ended.code == 0, ended.err
    again: FileSigner = load_signer(ended.out.encode(), b"changed")
    assert again.public_key == signer.public_key
