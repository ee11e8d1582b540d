# SPDX-License-Identifier: Apache-2.0
"""Makes the authority's vectors anew: ``python tests/vectors/authority/generate.py``. Needs openssl.

The keys are thrown away. A bad one has the fault it is named for.
"""

import base64
import os
import subprocess
from datetime import UTC, datetime
from functools import partial
from itertools import count
from math import prod
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pivgate.authority.issue import Authority, issue_authority, issue_client
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import Subject, parse_distinguished_name
from pivgate.authority.request import parse_request

REQUESTS = Path(__file__).parent / "requests"
DESCRIBED = Path(__file__).parent / "described"
EXPONENT = 65537


def request(private_key: CertificateIssuerPrivateKeyTypes, name: str = "somebody") -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    own_hash = isinstance(private_key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(private_key, None if own_hash else hashes.SHA256()).public_bytes(Encoding.PEM)


def hostile() -> bytes:
    """Ask for everything that must not be granted."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "root"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Somebody Else"),
            ]
        )
    )
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        True,
    )
    names = [x509.DNSName("example.com"), x509.RFC822Name("root@example.com")]
    wanted: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.BasicConstraints(ca=True, path_length=9), True),
        (x509.KeyUsage(**usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.SubjectKeyIdentifier(b"chosen by the sender"), False),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.3"), b"\x05\x07\x04"), False),
    )
    for extension, critical in wanted:
        builder = builder.add_extension(extension, critical)
    return builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


def pem(der_bytes: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
    text = base64.encodebytes(der_bytes).decode("ascii")
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode("ascii")


def swapped(old: bytes, new: bytes, data: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new)


def with_openssl(*options: str, key: bytes | None = None) -> bytes:
    command = ["openssl", "req", "-new", "-batch", "-subj", "/CN=somebody", *options]
    return subprocess.run(command, input=key, check=True, capture_output=True).stdout


def software_key_pem() -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def is_prime(candidate: int) -> bool:
    return all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7, 11, 13))


def rsa_key(p: int, q: int, exponent: int = EXPONENT) -> rsa.RSAPrivateKey:
    d = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(exponent, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def roca_prime(bits: int, start: int) -> int:
    """Return a prime k * M + 65537^a mod M, with the M that the flawed library has for 2048 bits."""
    primes = [n for n in range(2, 702) if all(n % d for d in range(2, n))]
    m = prod(primes)
    first = (3 << (bits - 2)) // m + start
    return next(
        candidate
        for k in count(first)
        if is_prime(candidate := k * m + pow(EXPONENT, 1234567 + start, m)) and (candidate - 1) % EXPONENT
    )


def next_prime(start: int) -> int:
    return next(n for n in count(start | 1) if n % 2 and is_prime(n) and (n - 1) % EXPONENT)


def good() -> dict[str, bytes]:
    p384 = request(ec.generate_private_key(ec.SECP384R1()))
    return {
        "p256.pem": request(ec.generate_private_key(ec.SECP256R1())),
        "p384.pem": p384,
        "p384.der": der(p384),
        "p384-with-text-around.pem": b"Certificate Request:\n    Data:\n" + p384 + b"\nthat was it\n",
        "p384-new-label.pem": p384.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
        "p384-crlf.pem": p384.replace(b"\n", b"\r\n"),
        "rsa-2048.pem": request(rsa.generate_private_key(EXPONENT, 2048)),
        "ed25519.pem": request(ed25519.Ed25519PrivateKey.generate()),
        "hostile.pem": hostile(),
    }


def damaged() -> dict[str, bytes]:
    sound = request(ec.generate_private_key(ec.SECP384R1()))
    sound_der = der(sound)
    certificate = subprocess.run(
        ["openssl", "req", "-x509", "-new", "-batch", "-subj", "/CN=a", "-key", "/dev/stdin"],
        input=software_key_pem(),
        check=True,
        capture_output=True,
    ).stdout
    return {
        "empty.pem": b"",
        "blank.pem": b" \r\n\n",
        "not-pem.pem": b"please sign my key\n",
        "truncated.pem": sound[: len(sound) // 2],
        "truncated.der": sound_der[: len(sound_der) // 2],
        "truncated-inside.pem": pem(sound_der[:-20]),
        "version-2.pem": pem(swapped(b"\x02\x01\x00", b"\x02\x01\x01", sound_der)),
        "trailing-bytes.der": sound_der + b"\x00",
        "trailing-bytes.pem": pem(sound_der + b"\x05\x00"),
        "two-requests.pem": sound + sound,
        "second-block-truncated.pem": sound + b"-----BEGIN CERTIFICATE REQUEST-----\n",
        "bad-base64.pem": sound.replace(b"\n-----END", b"A\n-----END"),
        "surplus-base64-padding.pem": sound.replace(b"\n-----END", b"====\n-----END"),
        "a-certificate.pem": certificate,
        "a-certificate-under-a-wrong-label.pem": certificate.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"),
        "bad-signature.pem": pem(sound_der[:-1] + bytes((sound_der[-1] ^ 1,))),
        "changed-subject.pem": pem(swapped(b"somebody", b"somebodi", sound_der)),
        "sha1-signature.pem": with_openssl("-sha1", "-key", "/dev/stdin", key=software_key_pem()),
        "unknown-signature-algorithm.pem": pem(
            # ecdsa-with-SHA256, made into a sibling that nobody has given a meaning.
            swapped(bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f"), sound_der)
        ),
    }


def weak() -> dict[str, bytes]:
    ed_der = der(request(ed25519.Ed25519PrivateKey.generate()))
    key_agreement = partial(swapped, bytes.fromhex("300506032b6570032100"))
    start = 3 << 1022
    p = next_prime(start + 2**1000)
    small = next_prime(101)
    return {
        "rsa-1024.pem": with_openssl("-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null"),
        "rsa-2040.pem": with_openssl("-newkey", "rsa:2040", "-nodes", "-keyout", "/dev/null"),
        "rsa-3000.pem": with_openssl("-newkey", "rsa:3000", "-nodes", "-keyout", "/dev/null"),
        "rsa-8192.pem": with_openssl("-newkey", "rsa:8192", "-nodes", "-keyout", "/dev/null"),
        "rsa-exponent-3.pem": request(rsa.generate_private_key(3, 2048)),
        "rsa-exponent-odd-choice.pem": request(rsa_key(p, next_prime(start + 2**900), exponent=65539)),
        "rsa-roca.pem": request(rsa_key(roca_prime(1024, 1), roca_prime(1024, 5))),
        "rsa-close-primes.pem": request(rsa_key(p, next_prime(p + 2**500))),
        "rsa-small-factor.pem": request(rsa_key(next_prime((1 << 2047) // small + 2**2000), small)),
        "secp256k1.pem": request(ec.generate_private_key(ec.SECP256K1())),
        "p224.pem": request(ec.generate_private_key(ec.SECP224R1())),
        "p521.pem": request(ec.generate_private_key(ec.SECP521R1())),
        "brainpoolp384.pem": request(ec.generate_private_key(ec.BrainpoolP384R1())),
        "ed448.pem": request(ed448.Ed448PrivateKey.generate()),
        "x25519.pem": pem(key_agreement(bytes.fromhex("300506032b656e032100"), ed_der)),
        "unknown-kind-of-key.pem": pem(key_agreement(bytes.fromhex("300506032b657f032100"), ed_der)),
        "ed25519-small-order.pem": pem(small_order_request()),
        "dsa.pem": dsa_request(),
    }


def small_order_request() -> bytes:
    """Sign with no private key at all: the key is the neutral point, so R = S * B fits any message."""
    neutral = (1).to_bytes(32, "little")
    private_key = ed25519.Ed25519PrivateKey.generate()
    whole = der(request(private_key))
    whole = swapped(private_key.public_key().public_bytes_raw(), neutral, whole)
    base_point = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    forged = base_point + (1).to_bytes(32, "little")
    return whole[:-64] + forged


def dsa_request() -> bytes:
    parameters = subprocess.run(
        ["openssl", "genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:2048"],
        check=True,
        capture_output=True,
    ).stdout
    key = subprocess.run(
        ["openssl", "genpkey", "-paramfile", "/dev/stdin"], input=parameters, check=True, capture_output=True
    ).stdout
    return with_openssl("-sha256", "-key", "/dev/stdin", key=key)


def described() -> dict[str, bytes]:
    """Return certificates of the authority, each with the text that OpenSSL prints of it."""
    start = datetime(2026, 1, 9, 1, 2, 3, tzinfo=UTC)
    name = (
        r"CN=Example \"Access\"\, Zürich,O=Example Ltd,OU=Keys,OU=Doors,L=Zürich,ST=ZH,DC=example,DC=com,C=CH"
    )
    certificates: dict[str, x509.Certificate] = {}
    for number, algorithm in zip((1, 2**63 - 1, 2**63), KeyAlgorithm, strict=True):
        signer = generate(algorithm)
        certificate = issue_authority(
            parse_distinguished_name(name), signer, now=start, days=36525, serial_number=number
        )
        authority = Authority(certificate, signer)
        certificates[f"authority-{algorithm}"] = certificate
        for kind, email in (("p256", None), ("p384", "a@example.com"), ("rsa-2048", None), ("ed25519", None)):
            request = parse_request((REQUESTS / "good" / f"{kind}.pem").read_bytes())
            certificates[f"client-{kind}-of-{algorithm}"] = issue_client(
                request, Subject("alice", email), authority, now=start, days=365, randomness=os.urandom
            )
    found = {}
    for kind, certificate in certificates.items():
        found[f"{kind}.pem"] = whole = certificate.public_bytes(Encoding.PEM)
        command = ["openssl", "x509", "-noout", "-text", "-nameopt", "oneline"]
        found[f"{kind}.txt"] = subprocess.run(command, input=whole, check=True, capture_output=True).stdout
    return found


def main() -> None:
    DESCRIBED.mkdir(exist_ok=True)
    for folder, vectors in (("good", good()), ("bad", damaged() | weak())):
        (REQUESTS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in vectors.items():
            (REQUESTS / folder / name).write_bytes(content)
    for name, content in described().items():
        (DESCRIBED / name).write_bytes(content)


if __name__ == "__main__":
    main()
