# SPDX-License-Identifier: Apache-2.0
"""The two objects by which a computer tells one PIV card from another (SP 800-73-4 part 1, section 3.1).

Windows keeps what it once read of a card, filed under the GUID in its CHUID, and only looks again when that
changes. The GUID is therefore computed from the certificate: new certificate, new GUID; same, nothing to do.
"""

import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from ykman.piv import generate_ccc
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import OBJECT_ID, Chuid, FascN, PivSession

_NOT_A_FEDERAL_ISSUER = FascN(9999, 9999, 999999, 0, 1, 0, 3, 0, 1)
"""The card number for issuers outside the US government (SP 800-73-4 part 1, section 3.1.2)."""


def guid_for(certificate: x509.Certificate) -> bytes:
    """Return the GUID (RFC 9562, version 5) of a card that carries this certificate, 16 bytes."""
    return uuid.uuid5(uuid.NAMESPACE_OID, certificate.fingerprint(hashes.SHA256()).hex()).bytes


def objects_are_current(piv: PivSession, certificate: x509.Certificate) -> bool:
    """Tell whether the card is known by this certificate's GUID and has a capability container."""
    chuid = _read(piv, OBJECT_ID.CHUID)
    try:
        guid = Chuid.from_bytes(chuid).guid if chuid else None
    except (ValueError, KeyError, IndexError):  # written by somebody with another idea of it
        guid = None
    return guid == guid_for(certificate) and _read(piv, OBJECT_ID.CAPABILITY) is not None


def write_objects(piv: PivSession, certificate: x509.Certificate) -> None:
    """Renew the CHUID, and add a capability container where there is none; needs the management key."""
    chuid = Chuid(
        fasc_n=_NOT_A_FEDERAL_ISSUER,
        guid=guid_for(certificate),
        expiration_date=certificate.not_valid_after_utc.date(),
        asymmetric_signature=b"",
    )
    piv.put_object(OBJECT_ID.CHUID, bytes(chuid))
    if _read(piv, OBJECT_ID.CAPABILITY) is None:
        piv.put_object(OBJECT_ID.CAPABILITY, generate_ccc())


def _read(piv: PivSession, object_id: OBJECT_ID) -> bytes | None:
    try:
        return piv.get_object(object_id)
    except ApduError as error:
        if error.sw == SW.FILE_NOT_FOUND:
            return None
        raise
