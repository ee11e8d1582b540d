# SPDX-License-Identifier: Apache-2.0
"""Judges of what a key did, by the names of PKCS#11's mechanisms; none of them has seen the key."""

import hashlib
import subprocess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from tests.card_table import CardTable
from tests.interop.pcsc.stories import PIN, object_id
from yubikit.piv import SLOT

MESSAGE = b"a person opens a site in a browser"

HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),  # noqa: S303 - what the mechanism is called for
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "MD5": hashes.MD5(),  # noqa: S303
}

ECDSA = ("ECDSA", *(f"ECDSA-{name}" for name in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")))
RSA = (
    *("RSA-X-509", "RSA-PKCS", "RSA-PKCS-PSS"),
    *(f"{name}-RSA-PKCS" for name in ("MD5", "RIPEMD160", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512")),
    *(f"{name}-RSA-PKCS-PSS" for name in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")),
)
# DigestInfo up to the digest (RFC 8017 appendix A.2.4; ISO/IEC 10118-3 for RIPEMD-160).
_SHA256_INFO = bytes.fromhex("3031300D060960864801650304020105000420")


def to_sign(mechanism: str, public_key: Any) -> bytes:
    """Return the bytes that a program gives to a mechanism: the message, its digest, or a whole block."""
    digest = hashlib.sha256(MESSAGE).digest()
    match mechanism:
        case "ECDSA":
            return hashlib.sha384(MESSAGE).digest() if public_key.key_size == 384 else digest
        case "RSA-PKCS":
            return _SHA256_INFO + digest
        case "RSA-PKCS-PSS":
            return digest
        case "RSA-X-509":
            return _padded(_SHA256_INFO + digest, public_key.key_size // 8)
        case _:
            return MESSAGE


def judge(mechanism: str, public_key: Any, signature: bytes, folder: Path) -> None:
    """Accept a signature over what ``to_sign`` gave.

    Raises:
        InvalidSignature: It is none.
    """
    if mechanism == "RIPEMD160-RSA-PKCS":
        judge_by_openssl("-rmd160", public_key, signature, folder)
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        algorithm: Any = HASHES.get(mechanism.removeprefix("ECDSA-"))
        if algorithm is None:
            hash_ = hashes.SHA384() if public_key.key_size == 384 else hashes.SHA256()
            public_key.verify(signature, to_sign(mechanism, public_key), ec.ECDSA(utils.Prehashed(hash_)))
        else:
            public_key.verify(signature, MESSAGE, ec.ECDSA(algorithm))
    else:
        # Whatever was done by the program and what by the key: PKCS#1 v1.5 over SHA-256 is the default.
        algorithm = HASHES.get(mechanism.split("-")[0], hashes.SHA256())
        scheme: Any = padding.PKCS1v15()
        if mechanism.endswith("PSS"):
            scheme = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        public_key.verify(signature, MESSAGE, scheme, algorithm)


def judge_by_openssl(digest: str, public_key: Any, signature: bytes, folder: Path) -> None:
    """Let the openssl program verify a signature over the message.

    Raises:
        CalledProcessError: It does not.
    """
    (folder / "public.pem").write_bytes(pem(public_key))
    (folder / "message").write_bytes(MESSAGE)
    (folder / "signature").write_bytes(signature)
    subprocess.run(
        [
            *("openssl", "dgst", "-provider", "legacy", "-provider", "default", digest),
            *("-verify", folder / "public.pem", "-signature", folder / "signature", folder / "message"),
        ],
        check=True,
        capture_output=True,
    )


def pem(public_key: Any) -> bytes:
    """Return a public key as a program reads it."""
    data: bytes = public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


def signed_by_pkcs11_tool(
    table: CardTable, folder: Path, module: str, slot: SLOT, mechanism: str, public_key: Any
) -> "tuple[CompletedProcess[str], bytes]":
    """Let pkcs11-tool sign with an object's key; return how it ended, and the signature if it made one."""
    given, made = folder / "given", folder / "made"
    given.write_bytes(to_sign(mechanism, public_key))
    made.unlink(missing_ok=True)
    done = table.run(
        *("pkcs11-tool", "--module", module, "--login", "--pin", PIN),
        *("--sign", "--id", object_id(module, slot)),
        *("--mechanism", mechanism, "--signature-format", "openssl"),
        *(("--hash-algorithm", "SHA256") if mechanism == "RSA-PKCS-PSS" else ()),
        *("--input-file", given, "--output-file", made),
    )
    return done, made.read_bytes() if made.exists() else b""


def _padded(info: bytes, length: int) -> bytes:
    return b"\0\1" + b"\xff" * (length - len(info) - 3) + b"\0" + info
