# SPDX-License-Identifier: Apache-2.0
"""Certificates as data objects (SP 800-73-4 part 1 appendix A)."""

from cryptography import x509

from pivgate.emulator import tlv

_CERTIFICATE, _CERTIFICATE_INFO, _CHECK_BYTE = 0x70, 0x71, 0xFE
_PLAIN = b"\x00"


def certificate_object(der: bytes) -> bytes:
    """Wrap a certificate, not compressed, as PIV stores it."""
    return tlv.build(_CERTIFICATE, der) + tlv.build(_CERTIFICATE_INFO, _PLAIN) + tlv.build(_CHECK_BYTE)


def certificate_of(value: bytes) -> x509.Certificate | None:
    """Return the certificate in an object, or None when there is none that can be read."""
    try:
        return x509.load_der_x509_certificate(dict(tlv.parse(value)).get(_CERTIFICATE, b""))
    except (tlv.TlvError, ValueError):
        return None
