# SPDX-License-Identifier: Apache-2.0
"""What may name a user or a group, and what an e-mail address and a display name may look like.

A user's name becomes the common name of certificates and a request header; a group's name becomes a folder
of the access tree and a word in a Caddyfile. Both alphabets are therefore small: nothing in them means
anything to a shell, a file system, an X.509 tool, an HTTP parser or a reader from right to left.
"""

import re
import unicodedata
from typing import Final

from pivgate.errors import InputError

# ub-common-name of RFC 5280, appendix A.1: no certificate could carry a longer one.
USER_NAME_LIMIT: Final = 64
GROUP_NAME_LIMIT: Final = 63
DISPLAY_NAME_LIMIT: Final = 128
# RFC 5321, section 4.5.3.1: 64 octets before the @; 256 for a path, of which two are its angle brackets.
EMAIL_LIMIT: Final = 254
_LOCAL_PART_LIMIT: Final = 64

_USER_RULE: Final = (
    f"A user's name has 1 to {USER_NAME_LIMIT} of the letters a-z and A-Z, the digits, and . _ - @ +, "
    "and begins with a letter or a digit."
)
_GROUP_RULE: Final = (
    f"A group's name has 1 to {GROUP_NAME_LIMIT} of the small letters a-z, the digits, _ and -, "
    "and begins with a letter or a digit."
)
_EMAIL_RULE: Final = "Write an e-mail address such as alice@example.com, in ASCII (a domain as xn--...)."
_DISPLAY_RULE: Final = (
    f"A display name has 1 to {DISPLAY_NAME_LIMIT} printable characters, without spaces at its ends."
)

_USER_CHARACTER = re.compile(r"[A-Za-z0-9._@+-]")
_GROUP_CHARACTER = re.compile(r"[a-z0-9_-]")
_FIRST_CHARACTER = re.compile(r"[A-Za-z0-9]")
# atext of RFC 5322, section 3.2.3, in dot-atom form. Quoted local parts are legal and never meant.
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


def check_user_name(name: str) -> None:
    """Accept what may name a user.

    Raises:
        InputError: It is empty, too long, or has a character that is not allowed (which one is said).
    """
    _check(name, "a user's name", _USER_CHARACTER, USER_NAME_LIMIT, _USER_RULE)


def check_group_name(name: str) -> None:
    """Accept what may name a group. The implicit group ``everyone`` is such a name too.

    Raises:
        InputError: It is empty, too long, or has a character that is not allowed (which one is said).
    """
    _check(name, "a group's name", _GROUP_CHARACTER, GROUP_NAME_LIMIT, _GROUP_RULE)


def check_email(address: str) -> None:
    """Accept an address that a certificate can carry as rfc822Name (RFC 5280, section 4.2.1.6: ASCII).

    Raises:
        InputError: It is not ``local@domain``, is too long, or is not ASCII.
    """
    if len(address) > EMAIL_LIMIT:
        raise InputError(
            f"{quoted(address)} cannot be an e-mail address: "
            f"it has {len(address)} characters, at most {EMAIL_LIMIT} are possible",
            _EMAIL_RULE,
        )
    local, at, domain = address.rpartition("@")
    if not at:
        raise InputError(f"{quoted(address)} cannot be an e-mail address: there is no @ in it", _EMAIL_RULE)
    if len(local) > _LOCAL_PART_LIMIT or not _LOCAL_PART.fullmatch(local):
        raise InputError(
            f"{quoted(address)} cannot be an e-mail address: {quoted(local)} cannot stand before the @",
            _EMAIL_RULE,
        )
    if not _DOMAIN.fullmatch(domain):
        raise InputError(
            f"{quoted(address)} cannot be an e-mail address: {quoted(domain)} is not a domain", _EMAIL_RULE
        )


def check_display_name(name: str) -> None:
    """Accept a person's name as people write it, in any script, on one line.

    Raises:
        InputError: It is empty, too long, begins or ends with a space, or has a character that cannot be
            seen: control characters, line ends, marks that turn the direction of writing.
    """
    if not name:
        raise InputError("A display name cannot be empty", _DISPLAY_RULE)
    if len(name) > DISPLAY_NAME_LIMIT:
        raise InputError(
            f"{quoted(name)} cannot be a display name: "
            f"it has {len(name)} characters, at most {DISPLAY_NAME_LIMIT} are allowed",
            _DISPLAY_RULE,
        )
    for character in name:
        if not character.isprintable():
            raise InputError(
                f"{quoted(name)} cannot be a display name: {_described(character)} cannot be seen",
                _DISPLAY_RULE,
            )
    if name != name.strip():
        raise InputError(
            f"{quoted(name)} cannot be a display name: it begins or ends with a space", _DISPLAY_RULE
        )


def quoted(text: str) -> str:
    """Quote what somebody typed so that it is safe to print: pure ASCII, no controls, not endless."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def _check(name: str, what: str, allowed: re.Pattern[str], limit: int, rule: str) -> None:
    if not name:
        raise InputError(f"{what.capitalize()} cannot be empty", rule)
    if len(name) > limit:
        raise InputError(
            f"{quoted(name)} cannot be {what}: it has {len(name)} characters, at most {limit} are allowed",
            rule,
        )
    for character in name:
        if not allowed.fullmatch(character):
            raise InputError(
                f"{quoted(name)} cannot be {what}: {_described(character)} is not allowed in it", rule
            )
    if not _FIRST_CHARACTER.fullmatch(name[0]):
        raise InputError(f"{quoted(name)} cannot be {what}: it begins with {_described(name[0])}", rule)


def _described(character: str) -> str:
    name = unicodedata.name(character, "")
    label = f"U+{ord(character):04X}{f' {name}' if name else ''}"
    return f"{character!r} ({label})" if character.isascii() and character.isprintable() else label
