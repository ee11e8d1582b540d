# SPDX-License-Identifier: Apache-2.0
"""A certificate request (PKCS #10, RFC 2986) signed by the key in slot 9a."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from ykman.piv import sign_csr_builder
from yubikit.piv import PivSession

from pivgate.yubikey.sign import natural_hash
from pivgate.yubikey.slot import SLOT_9A, PublicKey


def make_request(piv: PivSession, public_key: PublicKey, common_name: str) -> bytes:
    """Build a request and let the key sign it; the PIN must have been verified.

    The name is for people who look at the request: the authority takes only the public key from it.

    Returns:
        The request, DER.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = sign_csr_builder(piv, SLOT_9A, public_key, builder, type(natural_hash(public_key)))
    return request.public_bytes(Encoding.DER)
