# SPDX-License-Identifier: Apache-2.0
"""The corners of Caddy's lexer. ``tests/interop/gate/test_adapt.py`` has Caddy itself judge the same ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.gate.caddyfile_address import default_tls, host_of, key_of
from pivgate.gate.caddyfile_tokens import CaddyfileError, tokenize


def words(text: str) -> list[tuple[str, int, bool]]:
    return [(token.text, token.line, token.quoted) for token in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\nc", [("a", 1, False), ("b", 1, False), ("c", 2, False)]),
        ('"a b" c', [("a b", 1, True), ("c", 1, False)]),
        ('a"b c"', [('a"b', 1, False), ('c"', 1, False)]),
        ('"a"b', [("a", 1, True), ("b", 1, False)]),
        ('"a\\"b\\n"', [('a"b\\n', 1, True)]),
        ("`a\\`b", [("a\\", 1, True), ("b", 1, False)]),
        ('"a\nb" c\nd', [("a\nb", 1, True), ("c", 2, False), ("d", 3, False)]),
        ("a # b\nc", [("a", 1, False), ("c", 2, False)]),
        ("a#b", [("a#b", 1, False)]),
        ("a # b \\ c\nd\ne", [("a", 1, False), ("d", 1, False), ("e", 3, False)]),
        ("a \\\nb\nc", [("a", 1, False), ("b", 1, False), ("c", 3, False)]),
        ("a\\\nb\nc", [("a", 1, False), ("b", 1, False), ("c", 3, False)]),
        ("a\\b", [("a\\b", 1, False)]),
        ("a\\\\b", [("a\\\\b", 1, False)]),
        ("a\\ b", [("a", 1, False), ("b", 1, False)]),
        ("\\  a", [("\\a", 1, False)]),
        ("a\r\nb\rc", [("a", 1, False), ("bc", 2, False)]),
        ("<<E\nx\nE y\nz", [("x\n", 1, True), ("y", 3, False), ("z", 4, False)]),
        ("<<E\n} E", [("} ", 1, True)]),
        ("<<E y", [("<<E", 1, False), ("y", 1, False)]),
        ("\\<<E\nx", [("<<E", 1, False), ("x", 2, False)]),
        ("<E\nx", [("<E", 1, False), ("x", 2, False)]),
        ("\ufeffa", [("a", 1, False)]),
        ("a\u00a0b\u2003c", [("a", 1, False), ("b", 1, False), ("c", 1, False)]),
        ("a\x1cb", [("a\x1cb", 1, False)]),
        ('""', [("", 1, True)]),
        ("a\\", [("a", 1, False)]),
        ("", []),
    ],
)
def test_words_are_read_as_caddy_reads_them(text: str, expected: list[tuple[str, int, bool]]) -> None:
    assert words(text) == expected


def test_only_bare_braces_are_braces() -> None:
    assert [token.opens for token in tokenize('{ "{" `{` {} {a}')] == [True, False, False, False, False]
    assert [token.closes for token in tokenize('} "}" `}` {} a}')] == [True, False, False, False, False]


@pytest.mark.parametrize("text", ['a "b', "a `b", "<<E\nx", "<<E+\nx\nE+", "<<\nx"])
def test_what_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(CaddyfileError, match="line 1"):
        tokenize(text)


@given(st.text(alphabet='ab{}"`#\\<E \t\r\n\u00a0\ufeff', max_size=80))
def test_words_lie_in_the_text_one_after_another(text: str) -> None:
    try:
        tokens = tokenize(text)
    except CaddyfileError:
        return
    position, line = 0, 1
    for token in tokens:
        assert position <= token.start < token.end <= len(text)
        assert line <= token.line <= token.last_line
        position, line = token.end, token.line
        if token.opens or token.closes:
            # A backslash that nothing follows belongs to no word, and stands behind the last one.
            assert text[token.start : token.end].replace("\r", "").removesuffix("\\") == token.text


@pytest.mark.parametrize(
    ("address", "host", "key"),
    [
        ("A.test", "a.test", "a.test"),
        ("https://a.test:443", "a.test", "a.test"),
        ("a.test:8443", "a.test", "a.test:8443"),
        ("https://a.test/", "a.test", "a.test"),
        ("a.test:8443/x", "a.test", "a.test:8443/x"),
        ("*.A.test", "*.a.test", "*.a.test"),
    ],
)
def test_spellings_of_an_address_are_one(address: str, host: str, key: str) -> None:
    assert (host_of(address), key_of(address)) == (host, key)


@pytest.mark.parametrize(
    ("address", "tls"),
    [
        ("a.test", "internal"),
        ("https://nas.lan:8443", "internal"),
        ("app.example.com", ""),
        ("localhost", ""),
        ("a.internal", ""),
    ],
)
def test_only_names_that_nobody_certifies_get_the_internal_issuer(address: str, tls: str) -> None:
    assert default_tls(address) == tls
