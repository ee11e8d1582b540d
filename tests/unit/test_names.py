# SPDX-License-Identifier: Apache-2.0
"""Which names are taken, which are refused, and that a refusal is safe to print."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import InputError
from pivgate.names import check_display_name, check_email, check_group_name, check_user_name, quoted

CHECKS = [check_user_name, check_group_name, check_email, check_display_name]

BAD_IN_EVERY_NAME = {
    "empty": "",
    "newline at the end": "alice\n",
    "NUL": "ali\0ce",
    "escape": "\x1b[31malice",
    "DEL": "alice\x7f",
    "C1 control": "alice\x9b",
    "right-to-left override": "alice\u202egro",
    "right-to-left mark": "\u200falice",
    "left-to-right isolate": "alice\u2066",
    "zero width space": "ali\u200bce",
    "byte order mark": "\ufeffalice",
    "line separator": "alice\u2028",
    "no-break space": "alice\u00a0smith",
    "lone surrogate": "alice\ud800",
    "300 characters": "a" * 300,
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", BAD_IN_EVERY_NAME.values(), ids=BAD_IN_EVERY_NAME.keys())
def test_refused_everywhere(check: Callable[[str], None], name: str) -> None:
    with pytest.raises(InputError) as caught:
        check(name)
    assert caught.value.hint
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "name",
    ["a", "alice", "Alice", "7", "a.b", "a_b", "a-b", "alice@example.com", "alice+laptop", "a" * 64, "x-"],
)
def test_user_names_taken(name: str) -> None:
    check_user_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            " alice",
            "alice ",
            "al ice",
            ".alice",
            "-alice",
            "_alice",
            "@alice",
            "+alice",
            ".",
            "..",
            "a" * 65,
        ),
        *("a/b", "a\\b", "a,b", "a'b", 'a"b', "a=b", "a;b", "a*b", "a[b", "a{b}", "a$b", "a`b", "a:b", "a%b"),
        *(
            "a#b",
            "a<b",
            "a>b",
            "a|b",
            "a&b",
            "a?b",
            "a!b",
            "a~b",
            "a(b",
            "a^b",
            "älice",
            "\u0430lice",
            "\uff41lice",
        ),
    ],
)
def test_user_names_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a user's name"):
        check_user_name(name)


@pytest.mark.parametrize("name", ["a", "admins", "7th", "a_b", "a-b", "everyone", "a" * 63])
def test_group_names_taken(name: str) -> None:
    check_group_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Admins",
        "a.b",
        "..",
        ".",
        "a/b",
        "a*",
        "a[b]",
        "a?",
        "-a",
        "_a",
        "a b",
        "a@b",
        "a{b}",
        "ä",
        "a" * 64,
        "a\n",
    ],
)
def test_group_names_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a group's name"):
        check_group_name(name)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "alice@example.com",
            "a@b",
            "first.last+tag@sub.example.org",
            "o'neil@example.com",
            "a@xn--mnchen-3ya.de",
        ),
        *("a" * 64 + "@example.com", "a@" + ".".join(["b" * 63] * 3), "a@1.2.3.4"),
    ],
)
def test_addresses_taken(address: str) -> None:
    check_email(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "alice",
            "@",
            "alice@",
            "@example.com",
            "a@b@c",
            "a b@example.com",
            "a..b@example.com",
            ".a@example.com",
        ),
        *("a.@example.com", '"a"@example.com', "a@example..com", "a@.com", "a@com.", "a@-b.com", "a@b-.com"),
        *(
            "a@b_c.com",
            "alice@exämple.com",
            "älice@example.com",
            "a@[127.0.0.1]",
            "a@b,c@d",
            "a@b\n",
            "a@b c",
        ),
        *(
            "a" * 65 + "@example.com",
            "a@" + "b" * 64,
            "a@" + ".".join(["b" * 63] * 4),
            "Alice <a@b>",
            "a@b\r\nX: y",
        ),
    ],
)
def test_addresses_refused(address: str) -> None:
    with pytest.raises(InputError, match="cannot be an e-mail address"):
        check_email(address)


@pytest.mark.parametrize(
    "name", ["Alice", "Alice O'Neil-Müller", "王小明", "עליסה", "Дарья", 'J. "Jay" <x>', "ü" * 128]
)
def test_display_names_taken(name: str) -> None:
    check_display_name(name)


@pytest.mark.parametrize("name", [" Alice", "Alice ", "\u3000", "Alice\tB", "x" * 129])
def test_display_names_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a display name"):
        check_display_name(name)


def test_the_offending_character_is_named() -> None:
    with pytest.raises(InputError, match=re.escape("U+202E RIGHT-TO-LEFT OVERRIDE is not allowed in it")):
        check_user_name("alice\u202e")
    with pytest.raises(InputError, match=re.escape("'/' (U+002F SOLIDUS) is not allowed in it")):
        check_group_name("a/b")
    with pytest.raises(InputError, match=re.escape("it begins with '-' (U+002D HYPHEN-MINUS)")):
        check_user_name("-rf")
    with pytest.raises(InputError, match="it has 300 characters, at most 64 are allowed"):
        check_user_name("a" * 300)
    with pytest.raises(InputError, match="U\\+0000 cannot be seen"):
        check_display_name("a\0")


def refusal_of(check: Callable[[str], None], name: str) -> str | None:
    try:
        check(name)
    except InputError as error:
        return error.message
    return None


names = st.text(max_size=70) | st.text("abzAZ09._-@+/ \n", max_size=70)


@given(names)
def test_a_user_name_taken_is_harmless(name: str) -> None:
    refusal = refusal_of(check_user_name, name)
    assert (refusal is None) == bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", name))
    assert refusal is None or (refusal.isascii() and refusal.isprintable())


@given(names)
def test_a_group_name_taken_is_harmless(name: str) -> None:
    refusal = refusal_of(check_group_name, name)
    assert (refusal is None) == bool(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name))
    assert refusal is None or (refusal.isascii() and refusal.isprintable())


@given(st.text())
def test_quoting_is_short_and_printable(text: str) -> None:
    shown = quoted(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.startswith(("'", '"'))
