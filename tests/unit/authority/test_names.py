# SPDX-License-Identifier: Apache-2.0
"""Names inside certificates: which are read, in which order, and which are refused."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pivgate.authority.names import Subject, check_common_name, common_name, parse_distinguished_name
from pivgate.errors import InputError

GOOD = {
    "CN=Example Access": [(NameOID.COMMON_NAME, "Example Access")],
    "CN=Example Access,O=Example Ltd,C=CH": [
        (NameOID.COUNTRY_NAME, "CH"),
        (NameOID.ORGANIZATION_NAME, "Example Ltd"),
        (NameOID.COMMON_NAME, "Example Access"),
    ],
    "CN=Example Access, O=Example Ltd,  C=CH": [
        (NameOID.COUNTRY_NAME, "CH"),
        (NameOID.ORGANIZATION_NAME, "Example Ltd"),
        (NameOID.COMMON_NAME, "Example Access"),
    ],
    "CN=a,OU=b,OU=c,L=d,ST=e,DC=example,DC=com": [
        (NameOID.DOMAIN_COMPONENT, "com"),
        (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.STATE_OR_PROVINCE_NAME, "e"),
        (NameOID.LOCALITY_NAME, "d"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "c"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "b"),
        (NameOID.COMMON_NAME, "a"),
    ],
    r"CN=Example\, Access\+More": [(NameOID.COMMON_NAME, "Example, Access+More")],
    "cn = Example Access ,o=Example": [
        (NameOID.ORGANIZATION_NAME, "Example"),
        (NameOID.COMMON_NAME, "Example Access"),
    ],
    r"CN=Z\C3\BCrich \\ \"x\"": [(NameOID.COMMON_NAME, 'Zürich \\ "x"')],
    "CN=#0c0161": [(NameOID.COMMON_NAME, "#0c0161")],
    "CN=Zürich 門": [(NameOID.COMMON_NAME, "Zürich 門")],
    "CN=" + "é" * 32: [(NameOID.COMMON_NAME, "é" * 32)],
    "CN=" + "a" * 64: [(NameOID.COMMON_NAME, "a" * 64)],
}

BAD = {
    "empty": ("", "cannot be read"),
    "only a word": ("Example", "cannot be read"),
    "no value": ("CN=", "CN is empty"),
    "comma at the end": ("CN=a,", "cannot be read"),
    "unknown attribute": ("CN=a,XX=b", "'XX' cannot be part"),
    "no CN": ("O=Example", "has no CN"),
    "CN twice": ("CN=a,CN=b", "CN twice"),
    "O twice": ("CN=a,O=b,O=c", "O twice"),
    "two in one part": ("CN=a+O=b", "cannot be read"),
    "street": ("CN=a,STREET=b", "'STREET' cannot be part"),
    "by number": ("CN=a,1.2.840.113549.1.9.1=b", "cannot be read"),
    "a thousand escapes": ("CN=" + r"\AB" * 1000 + '"', "cannot be read"),
    "quotation marks": ('CN="a"', "cannot be read"),
    "backslash at the end": ("CN=a\\", "cannot be read"),
    "escaped octet that is not UTF-8": (r"CN=a\FFb", "cannot be seen: U[+]DCFF"),
    "65 characters": ("CN=" + "a" * 65, "65 octets in UTF-8, at most 64"),
    "33 characters of two octets": ("CN=" + "é" * 33, "66 octets in UTF-8"),
    "300 characters": ("CN=" + "a" * 300, "300 octets"),
    "organisation too long": ("CN=a,O=" + "b" * 65, "O has 65"),
    "control character": ("CN=a\x1b[31m", "cannot be seen: U[+]001B"),
    "line end": ("CN=a\nb", "cannot be seen: U[+]000A"),
    "right-to-left mark": ("CN=a\u200f", "cannot be seen: U[+]200F"),
    "right-to-left override": ("CN=a\u202eb", "cannot be seen: U[+]202E"),
    "escaped NUL": (r"CN=a\00b", "cannot be seen: U[+]0000"),
    "space at the end": (r"CN=a\ ", "begins or ends with a space"),
    "space at the beginning": (r"CN=\ a", "begins or ends with a space"),
    "country in words": ("CN=a,C=Switzerland", "C has 11 octets in UTF-8, at most 2"),
    "country in small letters": ("CN=a,C=ch", "two capital letters"),
    "country with a digit": ("CN=a,C=C1", "two capital letters"),
    "domain component with a space": ("CN=a,DC=a b", "not a label"),
    "domain component not ASCII": ("CN=a,DC=zürich", "not a label"),
}


@pytest.mark.parametrize(("text", "expected"), GOOD.items())
def test_good(text: str, expected: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = parse_distinguished_name(text)
    assert [(attribute.oid, attribute.value) for attribute in name] == expected


@pytest.mark.parametrize("fault", BAD)
def test_bad(fault: str) -> None:
    text, reason = BAD[fault]
    with pytest.raises(InputError, match=reason) as caught:
        parse_distinguished_name(text)
    assert caught.value.hint
    assert caught.value.message.isprintable()


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_an_input_error(text: str) -> None:
    for candidate in (text, "CN=" + text):
        try:
            name = parse_distinguished_name(candidate)
        except InputError as error:
            assert error.message.isprintable()  # noqa: PT017 - both outcomes are right
        else:
            assert name.get_attributes_for_oid(NameOID.COMMON_NAME)


def test_common_name_alone() -> None:
    check_common_name("Example Access")
    for bad in ("", "a" * 65, "a\n", " a"):
        with pytest.raises(InputError):
            check_common_name(bad)


def test_a_subject_is_a_common_name_and_nothing_else() -> None:
    assert Subject("alice", "alice@example.com").name == common_name("alice")


@pytest.mark.parametrize("user", ["", "a" * 65, "alice smith", "ali/ce", "alice\u200f", "pivgate probe: x"])
def test_a_subject_has_a_users_name(user: str) -> None:
    with pytest.raises(InputError):
        Subject(user)


@pytest.mark.parametrize("email", ["", "alice", "alice@", "@example.com", "älice@example.com", "a@b\nc"])
def test_a_subject_has_a_sound_address_or_none(email: str) -> None:
    Subject("alice", None)
    with pytest.raises(InputError):
        Subject("alice", email)
