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

# A request with an RSA-4096 key and a chain of four attestation certificates stays below 8 KiB.
SIZE_LIMIT = 64 * 1024

_SEND_ONE = "Send one PKCS#10 certificate request, PEM or DER."
_SIGN_AGAIN = "Make the request again with SHA-256, signed with the key that is to be certified."

# What may stand around and inside a PEM block: RFC 7468, section 3, in its lax form.
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_LABELS = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_SEQUENCE = 0x30

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True)
class Request:
    """A request whose sender has shown to hold the private key.

    Attributes:
        public_key: The key to certify: the only thing of the request that reaches a certificate.
        der: The request as it was sent, for those who look for an attestation in it.
    """

    public_key: CertificatePublicKeyTypes
    der: bytes


def parse_request(data: bytes) -> Request:
    """Read a request and verify that its sender holds the private key.

    Args:
        data: PEM or DER, as received.

    Raises:
        InputError: It is not one well-formed request.
        RefusedError: Its key is of a kind that gets no certificate, or its signature does not verify or uses
            a hash that is broken.
    """
    der = _der(data)
    try:
        csr = x509.load_der_x509_csr(der)
        public_key = csr.public_key()
    except UnsupportedAlgorithm as error:
        raise RefusedError("The request has a kind of key that is not known here", "Choose p384.") from error
    except (ValueError, x509.InvalidVersion) as error:
        raise InputError("The request is damaged: it is not a PKCS#10 structure", _SEND_ONE) from error
    check_kind(public_key)
    _check_signature(csr)
    return Request(public_key, der)


def _check_signature(csr: x509.CertificateSigningRequest) -> None:
    try:
        algorithm = csr.signature_hash_algorithm
        valid = csr.is_signature_valid
    except (UnsupportedAlgorithm, ValueError) as error:
        raise RefusedError(
            "The request is signed with an algorithm that is not known here", _SIGN_AGAIN
        ) from error
    # Ed25519 has no hash to choose.
    if algorithm is not None and not isinstance(algorithm, _HASHES):
        raise RefusedError(
            f"The request is signed with {algorithm.name}, which proves nothing any more", _SIGN_AGAIN
        )
    if not valid:
        raise RefusedError(
            "The request's signature does not verify, so its sender may not hold the key", _SIGN_AGAIN
        )


def _der(data: bytes) -> bytes:
    if len(data) > SIZE_LIMIT:
        raise InputError(f"The request has {len(data)} bytes; at most {SIZE_LIMIT} are read", _SEND_ONE)
    if not data.strip():
        raise InputError("The request is empty", _SEND_ONE)
    if data[0] == _SEQUENCE:
        return data
    blocks = _BLOCK.findall(data)
    if data.count(b"-----BEGIN ") > 1:
        raise InputError("There is more than one PEM block in the request", _SEND_ONE)
    if not blocks:
        raise InputError("The request is neither DER nor a whole PEM block", _SEND_ONE)
    label, body = blocks[0]
    if label not in _LABELS:
        raise InputError(f"The PEM block is a {label.decode('ascii')}, not a request", _SEND_ONE)
    text = b"".join(body.split())
    try:
        der = base64.b64decode(text, validate=True)
    except binascii.Error:
        der = b""
    # The decoder overlooks surplus padding; the same bytes written again show it.
    if base64.b64encode(der) != text:
        raise InputError("The request is damaged: its PEM block is not base64", _SEND_ONE)
    return der
