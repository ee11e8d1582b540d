# SPDX-License-Identifier: Apache-2.0
"""A certificate in words, laid out as ``openssl x509 -noout -text`` does: what people know how to read.

For every certificate issued here the text is the same, byte for byte, as that of OpenSSL 3.0. OpenSSL 3.2
and later print it when they are asked with ``-nameopt oneline``.
"""

from datetime import datetime

from cryptography import x509

from pivgate.authority import display_extensions, display_key
from pivgate.authority.display_name import name_text

_SIGNATURE_BYTES_PER_LINE = 18
# Not from strftime: that would follow the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SIGNATURE_ALGORITHMS = {
    x509.SignatureAlgorithmOID.ED25519: "ED25519",
    x509.SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ecdsa-with-SHA256",
    x509.SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-with-SHA384",
    x509.SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-with-SHA512",
    x509.SignatureAlgorithmOID.RSA_WITH_SHA256: "sha256WithRSAEncryption",
    x509.SignatureAlgorithmOID.RSA_WITH_SHA384: "sha384WithRSAEncryption",
    x509.SignatureAlgorithmOID.RSA_WITH_SHA512: "sha512WithRSAEncryption",
}
# Numbers that fit in a C long are printed in decimal too.
_LONG = 2**63


def describe(certificate: x509.Certificate) -> str:
    """Return a certificate as text, each line ended by a line feed."""
    algorithm = _SIGNATURE_ALGORITHMS.get(
        certificate.signature_algorithm_oid, certificate.signature_algorithm_oid.dotted_string
    )
    lines = [
        "Certificate:",
        "    Data:",
        f"        Version: {certificate.version.value + 1} ({certificate.version.value:#x})",
        *_serial_number(certificate.serial_number),
        f"        Signature Algorithm: {algorithm}",
        f"        Issuer: {name_text(certificate.issuer)}",
        "        Validity",
        f"            Not Before: {_date(certificate.not_valid_before_utc)}",
        f"            Not After : {_date(certificate.not_valid_after_utc)}",
        f"        Subject: {name_text(certificate.subject)}",
        "        Subject Public Key Info:",
        *display_key.lines(certificate.public_key()),
        *display_extensions.lines(certificate.extensions),
        f"    Signature Algorithm: {algorithm}",
        "    Signature Value:",
        *_signature(certificate.signature),
    ]
    return "\n".join(lines) + "\n"


def _date(moment: datetime) -> str:
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {moment:%H:%M:%S %Y} GMT"


def _serial_number(number: int) -> list[str]:
    if number < _LONG:
        return [f"        Serial Number: {number} ({number:#x})"]
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return ["        Serial Number:", f"            {octets.hex(':')}"]


def _signature(signature: bytes) -> list[str]:
    step = _SIGNATURE_BYTES_PER_LINE
    pieces = [signature[start : start + step].hex(":") for start in range(0, len(signature), step)]
    return [f"        {piece}:" for piece in pieces[:-1]] + [f"        {piece}" for piece in pieces[-1:]]
