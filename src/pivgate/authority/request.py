# SPDX-License-Identifier: Apache-2.0
"""Certificate requests (PKCS#10, RFC 2986): read into a typed value, possession of the key proved."""

import base64
import binascii
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from pivgate.authority.policy import check_kind
from pivgate.errors import InputError, RefusedError

# A request with an RSA-4096 key and an attestation chain has under 8 KiB.
SIZE_LIMIT = 64 * 1024
_HINT = "Send one PKCS#10 request, PEM or DER."
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_LABELS = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True)
class Request:
    """A request whose sender holds the private key.

    Attributes:
        public_key: The key to certify: the only thing of the request that reaches a certificate.
        der: The request as it was sent, for those who look for an attestation in it.
    """

    public_key: CertificatePublicKeyTypes
    der: bytes


def parse_request(data: bytes) -> Request:
    """Read a request and prove that its sender holds the private key.

    Args:
        data: PEM or DER, as received.

    Raises:
        InputError: It is not one well-formed request.
        RefusedError: Its signature does not verify or uses a broken hash, or the kind of key is refused.
    """
    der = _der_of(data)
    try:
        csr = x509.load_der_x509_csr(der)
        public_key = csr.public_key()
    except UnsupportedAlgorithm as error:
        raise RefusedError("The request has a kind of key that is not known here", "Choose p384.") from error
    except ValueError as error:
        raise InputError("The request is damaged: it is not a PKCS#10 structure", _HINT) from error
    check_kind(public_key)
    _check_signature(csr)
    return Request(public_key, der)


def _check_signature(csr: x509.CertificateSigningRequest) -> None:
    try:
        algorithm = csr.signature_hash_algorithm
        valid = csr.is_signature_valid
    except (UnsupportedAlgorithm, ValueError) as error:
        raise RefusedError("The request is signed with an algorithm that is not known here", _HINT) from error
    if algorithm is not None and not isinstance(algorithm, _HASHES):
        raise RefusedError(
            f"The request is signed with {algorithm.name}, which is broken", "Sign with SHA-256."
        )
    if not valid:
        raise RefusedError("The request's signature does not verify: the sender does not hold the key", _HINT)


def _der_of(data: bytes) -> bytes:
    if len(data) > SIZE_LIMIT:
        raise InputError(f"The request has {len(data)} bytes, at most {SIZE_LIMIT} are read", _HINT)
    if not data.strip():
        raise InputError("The request is empty", _HINT)
    if data[0] == 0x30:
        return data
    blocks = _BLOCK.findall(data)
    if len(blocks) != 1 or data.count(b"-----BEGIN ") != 1:
        raise InputError(f"The request has {len(blocks)} PEM blocks, not one", _HINT)
    label, body = blocks[0]
    if label not in _LABELS:
        raise InputError(f"The request is a PEM block {label.decode('ascii')!r}", _HINT)
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise InputError("The request is damaged: it is not base64", _HINT) from error
