# SPDX-License-Identifier: Apache-2.0
"""A distinguished name on one line, as OpenSSL's ``-nameopt oneline`` writes it."""

import re

from cryptography import x509
from cryptography.x509.oid import NameOID

_LABELS = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.COUNTRY_NAME: "C",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.SERIAL_NUMBER: "serialNumber",
}
# These make OpenSSL put a value between quotation marks (RFC 2253, section 2.4, the older of the two ways).
_QUOTED = frozenset(",+<>;")
_ESCAPED = frozenset('"\\')


def name_text(name: x509.Name) -> str:
    """Return a name, the most general part first."""
    return ", ".join(
        " + ".join(f"{_label(attribute.oid)} = {_value(attribute.value)}" for attribute in part)
        for part in name.rdns
    )


def _label(oid: x509.ObjectIdentifier) -> str:
    return _LABELS.get(oid, oid.dotted_string)


def _value(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return "#" + value.hex().upper()
    text = "".join(_character(octet) for octet in value.encode())
    # A lone # is left bare: OpenSSL looks at it as the last character, where only a space counts.
    if _QUOTED.intersection(value) or re.match(r" |#.", value) or value.endswith(" "):
        return f'"{text}"'
    return text


def _character(octet: int) -> str:
    character = chr(octet)
    if octet < 0x20 or octet > 0x7E:
        return f"\\{octet:02X}"
    return f"\\{character}" if character in _ESCAPED else character
