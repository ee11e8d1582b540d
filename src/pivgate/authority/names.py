# SPDX-License-Identifier: Apache-2.0
"""The names inside certificates: the subject of a client, and the name of an authority."""

import re
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
_REPEATABLE = frozenset({NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.DOMAIN_COMPONENT})
_COUNTRY = re.compile(r"[A-Z]{2}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_AFTER_COMMA = re.compile(r"(?<!\\)([,])[ ]+")


def parse_distinguished_name(text: str) -> x509.Name:
    """Read an authority's name as people write it, most particular part first (RFC 4514).

    Args:
        text: For example ``CN=Example Access,O=Example Ltd,C=CH``.

    Raises:
        InputError: It is not such a name, has no CN, or a part of it cannot stand in a certificate.
    """
    try:
        name = x509.Name.from_rfc4514_string(_AFTER_COMMA.sub(r"\1", text))
    except ValueError as error:
        raise InputError(f"{quoted(text)} cannot be read as a distinguished name", _EXAMPLE) from error
    seen: set[x509.ObjectIdentifier] = set()
    for part in name.rdns:
        if len(part) != 1:
            raise InputError(f"{quoted(text)} joins two attributes with +", _EXAMPLE)
        attribute = next(iter(part))
        _check_attribute(attribute)
        if attribute.oid in seen and attribute.oid not in _REPEATABLE:
            raise InputError(f"{quoted(text)} has {_LIMITS[attribute.oid][0]} twice", _EXAMPLE)
        seen.add(attribute.oid)
    if NameOID.COMMON_NAME not in seen:
        raise InputError(f"{quoted(text)} has no CN", _EXAMPLE)
    return name


def check_common_name(text: str) -> None:
    """Accept what may be the common name of an authority: one printable line of at most 64 characters.

    Raises:
        InputError: It may not; the message says why.
    """
    _check_text("CN", text, _LIMITS[NameOID.COMMON_NAME][1])


def _check_attribute(attribute: x509.NameAttribute[str | bytes]) -> None:
    known = _LIMITS.get(attribute.oid)
    if known is None or not isinstance(attribute.value, str):
        labels = ", ".join(label for label, _ in _LIMITS.values())
        raise InputError(
            f"{attribute.rfc4514_attribute_name} cannot be part of an authority's name", f"Use only {labels}."
        )
    label, limit = known
    _check_text(label, attribute.value, limit)
    if attribute.oid == NameOID.COUNTRY_NAME and not _COUNTRY.fullmatch(attribute.value):
        raise InputError(
            f"{quoted(attribute.value)} is not a country's two capital letters", "For example C=CH."
        )
    if attribute.oid == NameOID.DOMAIN_COMPONENT and not _LABEL.fullmatch(attribute.value):
        raise InputError(
            f"{quoted(attribute.value)} is not a label of a domain", "For example DC=example,DC=com."
        )


def _check_text(label: str, text: str, limit: int) -> None:
    if not text:
        raise InputError(f"{label} is empty", _EXAMPLE)
    if len(text) > limit:
        raise InputError(f"{label} has {len(text)} characters, at most {limit} are allowed", _EXAMPLE)
    for character in text:
        if not character.isprintable():
            raise InputError(f"{label} has a character that cannot be seen: U+{ord(character):04X}", _EXAMPLE)
    if text != text.strip():
        raise InputError(f"{label} begins or ends with a space: {quoted(text)}", _EXAMPLE)
