# SPDX-License-Identifier: Apache-2.0
"""The names inside certificates: the subject of a client, and the name of an authority."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from pivgate.errors import InputError
from pivgate.names import check_email, check_user_name, quoted

_EXAMPLE = "Write it as for example CN=Example Access,O=Example Ltd,C=CH."


@dataclass(frozen=True)
class Subject:
    """Whom a client certificate is for. It comes from the registry, never from a request.

    Attributes:
        user: The user's name, which becomes the common name.
        email: The user's address, which becomes a subject alternative name; None when not known.

    Raises:
        InputError: A certificate must not carry that name or address.
    """

    user: str
    email: str | None = None

    def __post_init__(self) -> None:
        check_user_name(self.user)
        if self.email is not None:
            check_email(self.email)

    @property
    def name(self) -> x509.Name:
        """The subject's distinguished name."""
        return common_name(self.user)


def common_name(text: str) -> x509.Name:
    """Return the distinguished name that is nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


# Upper bounds of RFC 5280, appendix A.1. A domain component is a label of RFC 1034.
_LIMITS: dict[x509.ObjectIdentifier, tuple[str, int]] = {
    NameOID.COMMON_NAME: ("CN", 64),
    NameOID.ORGANIZATION_NAME: ("O", 64),
    NameOID.ORGANIZATIONAL_UNIT_NAME: ("OU", 64),
    NameOID.LOCALITY_NAME: ("L", 128),
    NameOID.STATE_OR_PROVINCE_NAME: ("ST", 128),
    NameOID.COUNTRY_NAME: ("C", 2),
    NameOID.DOMAIN_COMPONENT: ("DC", 63),
}
_OIDS = {label: oid for oid, (label, _) in _LIMITS.items()}
_REPEATABLE = frozenset({NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.DOMAIN_COMPONENT})
_COUNTRY = re.compile(r"[A-Z]{2}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")

# One attribute of RFC 4514, section 3, and the comma after it. Spaces around it count for nothing.
_ATTRIBUTE = re.compile(
    r"""\s*([A-Za-z]+)\s*=\s*((?:\\(?:[0-9A-Fa-f]{2}|(?![0-9A-Fa-f]{2}).)|[^\\,+"<>;])*?)\s*(,|\Z)""",
    re.DOTALL,
)
_ESCAPES = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)


def parse_distinguished_name(text: str) -> x509.Name:
    """Read an authority's name as people write it, most particular part first (RFC 4514).

    Args:
        text: For example ``CN=Example Access,O=Example Ltd,C=CH``.

    Raises:
        InputError: It is not such a name, has no CN, or a part of it cannot stand in a certificate.
    """
    attributes: list[x509.NameAttribute[str]] = []
    for label, value in _split(text):
        oid = _OIDS.get(label.upper())
        if oid is None:
            raise InputError(
                f"{quoted(label)} cannot be part of an authority's name", f"Use only {', '.join(_OIDS)}."
            )
        _check_value(label, oid, value)
        if oid not in _REPEATABLE and any(attribute.oid == oid for attribute in attributes):
            raise InputError(f"{quoted(text)} has {label} twice", _EXAMPLE)
        attributes.append(x509.NameAttribute(oid, value))
    if all(attribute.oid != NameOID.COMMON_NAME for attribute in attributes):
        raise InputError(f"{quoted(text)} has no CN", _EXAMPLE)
    return x509.Name(reversed(attributes))


def _split(text: str) -> Iterator[tuple[str, str]]:
    position, more = 0, ","
    while more:
        found = _ATTRIBUTE.match(text, position)
        if found is None:
            raise InputError(
                f"{quoted(text)} cannot be read as a distinguished name",
                f'{_EXAMPLE} Put a backslash before each of , + " \\ < > ; in a value.',
            )
        label, value, more = found.groups()
        yield label, _ESCAPES.sub(_unescaped, value)
        position = found.end()


def _unescaped(escape: re.Match[str]) -> str:
    if escape[2] is not None:
        return escape[2]
    # An octet that is no part of UTF-8 becomes a surrogate, which is then refused as not printable.
    return bytes.fromhex(escape[1].replace("\\", "")).decode(errors="surrogateescape")


def check_common_name(text: str) -> None:
    """Accept what may be the common name of an authority: one printable line of at most 64 octets.

    Raises:
        InputError: It may not; the message says why.
    """
    _check_text("CN", text, _LIMITS[NameOID.COMMON_NAME][1])


def _check_value(label: str, oid: x509.ObjectIdentifier, value: str) -> None:
    _check_text(label, value, _LIMITS[oid][1])
    if oid == NameOID.COUNTRY_NAME and not _COUNTRY.fullmatch(value):
        raise InputError(f"{quoted(value)} is not a country's two capital letters", "For example C=CH.")
    if oid == NameOID.DOMAIN_COMPONENT and not _LABEL.fullmatch(value):
        raise InputError(f"{quoted(value)} is not a label of a domain", "For example DC=example,DC=com.")


def _check_text(label: str, text: str, limit: int) -> None:
    if not text:
        raise InputError(f"{label} is empty", _EXAMPLE)
    for character in text:
        if not character.isprintable():
            raise InputError(f"{label} has a character that cannot be seen: U+{ord(character):04X}", _EXAMPLE)
    # The bound counts characters, but libraries differ in that: octets of UTF-8 satisfy all of them.
    if (size := len(text.encode())) > limit:
        raise InputError(f"{label} has {size} octets in UTF-8, at most {limit} are allowed", _EXAMPLE)
    if text != text.strip():
        raise InputError(f"{label} begins or ends with a space: {quoted(text)}", _EXAMPLE)
