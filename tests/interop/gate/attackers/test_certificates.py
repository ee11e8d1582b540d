# SPDX-License-Identifier: Apache-2.0
"""Certificates and chains that are huge, malformed, or lie: the handshake refuses them, or the tree does."""

import datetime
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.interop.gate.attackers.conftest import Siege
from tests.interop.gate.pki import DAY, Client, common_name
from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain
from tlslite.errors import TLSError
from tlslite.utils.keyfactory import parsePEMKey
from tlslite.x509 import X509

pytestmark = pytest.mark.interop

Extension = tuple[x509.ExtensionType, bool]
CLIENT = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
LEAF = (x509.BasicConstraints(ca=False, path_length=None), True)
IS_CA = (x509.BasicConstraints(ca=True, path_length=None), True)
UNKNOWN = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


def signed(
    name: str,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *extensions: Extension,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def in_files(
    folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *chain: x509.Certificate
) -> Client:
    pem, key_file = folder / "chain.pem", folder / "key.pem"
    pem.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Client(chain[0], pem, key_file)


def private_key(client: Client) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(client.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def refused(siege: Siege, context: ssl.SSLContext, *statuses: int) -> None:
    for protocol in ("h1", "h2"):
        reply = siege.gate.ask(context, "a.test", protocol=protocol)
        assert reply.status in statuses, reply


# Signed by our own authority, in the tree, and refused all the same: each is wrong in one thing.
WRONG: dict[str, Sequence[Extension]] = {
    "for servers": [LEAF, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)],
    "for mail": [LEAF, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)],
    "critical and unknown": [LEAF, CLIENT, (x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True)],
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_certificate_of_ours_is_refused_though_it_is_listed(
    siege: Siege, tmp_path: Path, fault: str
) -> None:
    key = new_key()
    certificate = signed("alice", siege.authority.name, siege.authority.key, key, *WRONG[fault])
    client = in_files(tmp_path, key, certificate)
    siege.place.admit("admins", client)
    try:
        refused(siege, client.context(), 0)
    finally:
        (siege.place.home.access / "admins" / client.fingerprint).unlink()


def test_a_holder_cannot_be_an_authority(siege: Siege, tmp_path: Path) -> None:
    """Alice signs a certificate with her own key, and sends hers along."""
    key = new_key()
    alice = siege.alice.certificate
    for extensions in ([LEAF, CLIENT], []):
        forged = signed("alice", alice.subject, private_key(siege.alice), key, *extensions)
        refused(siege, in_files(tmp_path, key, forged, alice).context(), 0)


def test_an_authority_below_ours_signs_nothing(siege: Siege, tmp_path: Path) -> None:
    """Ours says that its path ends with it (pathlen 0), whatever it may once have signed."""
    middle_key, key = new_key(), new_key()
    middle = signed("middle", siege.authority.name, siege.authority.key, middle_key, IS_CA)
    leaf = signed("alice", middle.subject, middle_key, key, LEAF, CLIENT)
    refused(siege, in_files(tmp_path, key, leaf, middle).context(), 0)


def test_the_first_of_a_chain_is_the_one_that_counts(siege: Siege, tmp_path: Path) -> None:
    """Mallory, whose certificate was revoked, and a stranger send alice's along: it opens nothing."""
    alice = siege.alice.certificate
    mallory = in_files(tmp_path, private_key(siege.mallory), siege.mallory.certificate, alice)
    refused(siege, mallory.context(), 403)
    stranger = siege.strangers.client("alice")
    refused(siege, in_files(tmp_path, private_key(stranger), stranger.certificate, alice).context(), 0)


def test_a_certificate_that_signs_itself_is_refused(siege: Siege, tmp_path: Path) -> None:
    key = new_key()
    for name in ("alice", "test authority"):
        own = signed(name, common_name(name), key, key, IS_CA, CLIENT)
        refused(siege, in_files(tmp_path, key, own, siege.authority.certificate).context(), 0)


@pytest.mark.parametrize("count", [20, 200, 1000])
def test_a_long_chain_is_refused_and_costs_little(siege: Siege, tmp_path: Path, count: int) -> None:
    """Each certificate has the same name and key, so that each could have signed each."""
    key = new_key()
    name = siege.authority.name
    middles = [signed("test authority", name, key, key, IS_CA) for _ in range(count)]
    leaf = signed("alice", name, key, key, LEAF, CLIENT)
    refused(siege, in_files(tmp_path, key, leaf, *middles).context(), 0)


@pytest.mark.parametrize(
    "extensions",
    [
        [(x509.SubjectAlternativeName([x509.DNSName(f"{n}.test") for n in range(4000)]), False)],
        [(x509.UnrecognizedExtension(UNKNOWN, bytes(50_000)), False)],
        [(x509.UnrecognizedExtension(UNKNOWN, bytes(1_000_000)), False)],
    ],
    ids=["4000 names", "50 kB", "1 MB"],
)
def test_a_huge_certificate_of_a_stranger_is_refused(
    siege: Siege, tmp_path: Path, extensions: Sequence[Extension]
) -> None:
    key = new_key()
    huge = signed("alice", siege.strangers.name, siege.strangers.key, key, CLIENT, *extensions)
    refused(siege, in_files(tmp_path, key, huge).context(), 0)


def test_a_huge_rsa_key_costs_nothing_but_a_refusal(siege: Siege, tmp_path: Path) -> None:
    """A public key of 16,384 bits is only made up: nobody checks a signature with it."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << 16383) | 1)
    certificate = signed("alice", siege.strangers.name, siege.strangers.key, _Public(numbers), CLIENT)
    assert spoken(siege, siege.alice, [certificate.public_bytes(serialization.Encoding.DER)]) == b""


class _Public:
    """A key of which only the public half exists."""

    def __init__(self, numbers: rsa.RSAPublicNumbers) -> None:
        self._numbers = numbers

    def public_key(self) -> rsa.RSAPublicKey:
        return self._numbers.public_key()


def spoken(siege: Siege, client: Client, chain: Sequence[bytes]) -> bytes:
    """Send these bytes as the certificates, sign with a key as if they were its own; return the answer."""
    key = parsePEMKey(client.key.read_text(), private=True)
    parsed = X509().parse(client.pem.read_text())
    # Go's server does not take a compressed client certificate at all.
    settings = HandshakeSettings()
    settings.certificate_compression_send = []
    certificates = []
    for der in chain:
        certificate = X509()
        certificate.__dict__.update(parsed.__dict__)
        certificate.bytes = bytearray(der)
        certificates.append(certificate)
    with socket.create_connection(("127.0.0.1", siege.gate.port), timeout=20) as raw:
        connection = TLSConnection(raw)
        with suppress(TLSError, OSError, ValueError):
            connection.handshakeClientCert(
                X509CertChain(certificates), key, serverName="a.test", settings=settings
            )
            connection.sendall(f"GET / HTTP/1.1\r\nHost: a.test:{siege.gate.port}\r\n\r\n".encode())
            return bytes(connection.recv(65536))
    return b""


ECDSA_SHA384 = bytes.fromhex("06082a8648ce3d040303")


def broken(der: bytes) -> dict[str, bytes]:
    """A certificate, damaged in ways that parsers have stumbled over."""
    return {
        "nothing": b"",
        "one byte": b"\x30",
        "no certificate": b"\x30\x00",
        "text": b"alice" * 100,
        "cut off": der[:-40],
        "something behind": der + b"\x00" * 40,
        "length of four gigabytes": b"\x30\x84\xff\xff\xff\xff" + der[4:],
        "endless length": b"\x30\x80" + der[4:] + b"\x00\x00",
        "nested a thousand times": b"".join(b"\x30\x82" + (4 * n).to_bytes(2) for n in range(1000, 0, -1)),
        "version 9": der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1),
        "two algorithms": der.replace(ECDSA_SHA384, ECDSA_SHA384[:-1] + b"\x02", 1),
        "MD5": der.replace(ECDSA_SHA384, bytes.fromhex("06082a864886f70d0205")),
        "SHA-1": der.replace(ECDSA_SHA384, bytes.fromhex("06082b0e03021a050000")),
        "bad signature": der[:-1] + bytes([der[-1] ^ 1]),
        "other name under the signature": der.replace(b"mallory", b"alice\0\0", 1),
        "every byte turned": bytes(byte ^ 0xFF for byte in der),
    }


def test_broken_certificates_are_refused(siege: Siege) -> None:
    der = siege.mallory.certificate.public_bytes(serialization.Encoding.DER)
    for damaged in broken(der).values():
        assert damaged != der
        assert spoken(siege, siege.mallory, [damaged]) == b""
        assert spoken(siege, siege.mallory, [damaged, der]) == b""


def test_the_certificate_of_another_without_its_key_is_refused(siege: Siege) -> None:
    """Alice's certificate is no secret; mallory signs the handshake with a key of his own."""
    alice = siege.alice.certificate.public_bytes(serialization.Encoding.DER)
    assert spoken(siege, siege.alice, [alice]).startswith(b"HTTP/1.1 200")
    assert spoken(siege, siege.mallory, [alice]) == b""
    mallory = siege.mallory.certificate.public_bytes(serialization.Encoding.DER)
    assert spoken(siege, siege.mallory, [alice, mallory]) == b""
    assert spoken(siege, siege.mallory, [mallory, alice]).startswith(b"HTTP/1.1 403")


HOSTILE = (
    "\0",
    "\r\nX-Client-User: root",
    ",CN=root",
    '"root"',
    "+CN=root",
    "\u202etoor",
    "\u200f",
    "a b",
    "\\",
)
NAMES: dict[str, Callable[[str], x509.GeneralName]] = {
    "address": lambda text: x509.RFC822Name._init_without_validation(f"alice{text}@example.com"),
    "host": lambda text: x509.DNSName._init_without_validation(f"alice{text}"),
    "URI": lambda text: x509.UniformResourceIdentifier._init_without_validation(f"https://alice{text}"),
    "directory name": lambda text: x509.DirectoryName(common_name(f"alice{text}")),
}


@pytest.mark.parametrize("kind", NAMES)
def test_what_a_name_says_does_not_reach_the_upstream_as_anything_else(siege: Siege, kind: str) -> None:
    """Alternative names of a certificate that is in force: no line, header or name comes of them."""
    for text in HOSTILE:
        if not text.isascii() and kind != "directory name":
            continue
        client = siege.authority.client("alice", names=[NAMES[kind](text)])
        siege.place.admit("admins", client)
        try:
            refused(siege, client.context(), 0, 200)
        finally:
            (siege.place.home.access / "admins" / client.fingerprint).unlink()
        mine = [one for one in siege.upstream.requests if client.fingerprint in dict(one.fields).values()]
        for request in mine:
            assert request.values("x-client-user") == ["alice"]
            # An address is told as it is when every character of it can be seen.
            assert not any("root" in value for name, value in request.fields if name != "x-client-email")
        # They were in force while they asked.
        siege.upstream.forget(mine)
        mallory = siege.authority.client("mallory", names=[NAMES[kind](text)])
        refused(siege, mallory.context(), 0, 403)
