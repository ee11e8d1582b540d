# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import HomeError, InputError
from pivgate.gate.caddyfile import CaddyfileError, Site, add_site, check_opt_ins, remove_site, sites

NEW = Site("new.example.com", "10.0.0.1:8000", "admins")

# Pieces of Caddyfiles, each whole in itself. None names new.example.com.
PIECES = (
    "# a comment with a } and a {\n",
    "# new.example.com {\n",
    "\n",
    " \t\n",
    "import pivgate.caddy\n",
    "import other*.caddy first second\n",
    "x.example.com {\n\trespond hello\n}\n",
    "y.example.com,\nz.example.com {\n\trespond `}` # }\n}\n",
    "(mine) {\n\trespond {args[0]} # new.example.com\n}\n",
    "&(route) {\n\trespond hi\n}\n",
    "a.test {\n\timport pivgate admins {\n\t\treverse_proxy 10.0.0.9:1\n\t}\n}\n",
    "b.test\n{\n\timport pivgate-tls editors {\n\ttls {\n\t}\n\tsite {\n\treverse_proxy b:1\n\t}\n\t}\n}\n",
    'q.test {\n\trespond "new.example.com {\n}"\n}\n',
    "h.test {\n\trespond <<END\n\tnew.example.com {\n\tEND 200\n}\n",
    "e.test {\n\theader X \\\n\t\ty\n}\n",
    "\\\n",
)


@st.composite
def caddyfiles(draw: st.DrawFn) -> str:
    text = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=6, unique=True)))
    if draw(st.booleans()):
        text = "{\n\tadmin off\n}\n" + text
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    if draw(st.booleans()):
        text = text.removesuffix("\n").removesuffix("\r")
    return text


@given(caddyfiles())
def test_adding_and_removing_a_site_gives_the_original_back(text: str) -> None:
    added = add_site(text, NEW)
    assert added.startswith(text)
    assert NEW in sites(added)
    assert remove_site(added, NEW.address) == text


@given(caddyfiles(), st.sampled_from(["a.test", "b.test"]))
def test_removing_a_site_touches_no_other_block(text: str, address: str) -> None:
    before = sites(text)
    if address not in [site.address for site in before]:
        with pytest.raises(HomeError):
            remove_site(text, address)
        return
    after = remove_site(text, address)
    assert sites(after) == [site for site in before if site.address != address]
    for piece in PIECES:
        piece = piece.replace("\n", "\r\n") if "\r" in text else piece
        if piece.strip() and f"{address}" not in piece:
            assert after.count(piece.strip()) == text.count(piece.strip())


@given(st.text(alphabet='ab.{}"`#\\<E \t\r\n,()&@', max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    refusal: CaddyfileError | None = None
    try:
        added = add_site(text, NEW)
    except CaddyfileError as error:
        refusal = error
    if refusal is None:
        assert NEW in sites(added)
        assert remove_site(added, NEW.address) == text
    else:
        assert 1 <= refusal.line <= text.count("\n") + 1
        assert refusal.hint


def test_sites_are_listed_with_what_their_blocks_say() -> None:
    text = (
        "import pivgate.caddy\n"
        "a.test, b.test:8443 {\n"
        "\tlog\n"
        "\timport pivgate admins internal {\n"
        "\t\treverse_proxy /api/* 10.0.0.1:8000 10.0.0.2:8000\n"
        "\t}\n"
        "}\n"
        "open.test {\n"
        "\treverse_proxy 10.0.0.3:8000\n"
        "}\n"
        "c.test {\n"
        '\timport "pivgate-tls" editors {\n'
        "\t\ttls {\n\t\t\tissuer internal\n\t\t}\n"
        "\t\tsite {\n\t\t\treverse_proxy {\n\t\t\t\tto 10.0.0.4:8000\n\t\t\t}\n\t\t}\n"
        "\t}\n"
        "}\n"
        "d.test {\n\timport pivgate\n}\n"
    )
    assert sites(text) == [
        Site("a.test", "10.0.0.1:8000", "admins", "internal"),
        Site("b.test:8443", "10.0.0.1:8000", "admins", "internal"),
        Site("c.test", "", "editors"),
        Site("d.test", "", ""),
    ]
    assert [site.line for site in sites(text)] == [2, 2, 11, 23]


@pytest.mark.parametrize(
    "text",
    [
        "x.test {\n\t# import pivgate admins {\n}\n",
        'x.test {\n\trespond "\n\timport pivgate admins\n"\n}\n',
        "x.test {\n\timport pivgates admins\n}\n",
        "x.test {\n\trespond import pivgate\n}\n",
        "x.test {\n\thandle {\n\t\timport pivgate admins\n\t}\n}\n",
        "(x) {\n\timport pivgate admins\n}\n",
        "import pivgate.caddy\n",
    ],
)
def test_what_only_looks_like_an_opt_in_is_none(text: str) -> None:
    assert sites(text) == []


def test_one_address_of_several_is_removed_alone() -> None:
    body = " {\n\timport pivgate admins {\n\t\treverse_proxy 10.0.0.1:8000\n\t}\n}\n"
    for keys, address, left in (
        ("a.test, b.test, c.test", "a.test", "b.test, c.test"),
        ("a.test, b.test, c.test", "b.test", "a.test, c.test"),
        ("a.test, b.test, c.test", "c.test", "a.test, b.test"),
        ("a.test,\nb.test", "b.test", "a.test"),
        ("a.test , b.test", "a.test", "b.test"),
        ("a.test , b.test", "b.test", "a.test"),
        ("https://A.test:443 b.test", "a.test", "b.test"),
    ):
        assert remove_site(keys + body, address) == left + body
    with pytest.raises(CaddyfileError):
        remove_site('"a.test", b.test' + body, "a.test")


def test_a_site_that_did_not_opt_in_is_not_ours_to_remove() -> None:
    with pytest.raises(CaddyfileError, match="line 2"):
        remove_site("\nx.test {\n\trespond hi\n}\n", "x.test")


def test_a_site_that_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(HomeError):
        remove_site("# nowhere.test {\n", "nowhere.test")


@pytest.mark.parametrize(
    "address", ["x.test", "X.TEST", "https://x.test", "x.test:443", "https://X.test:443", "y.test"]
)
def test_an_address_that_is_taken_cannot_be_added_again(address: str) -> None:
    text = "\nx.test, y.test {\n\trespond hi\n}\n"
    with pytest.raises(CaddyfileError, match="line 2"):
        add_site(text, Site(address, "10.0.0.1:8000", "admins"))


def test_the_same_name_on_another_port_is_another_site() -> None:
    text = "x.test {\n\trespond hi\n}\n"
    assert sites(add_site(text, Site("x.test:8443", "10.0.0.1:8000", "admins")))


@pytest.mark.parametrize("text", ["x.test\nrespond hi\n", "x.test", "x.test\n\nimport pivgate admins\n"])
def test_nothing_is_added_behind_a_site_without_braces(text: str) -> None:
    with pytest.raises(CaddyfileError, match="line 1"):
        add_site(text, NEW)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x.test {\n", 1),
        ("x.test {\n}\n}\n", 3),
        ('\nx.test {\n\trespond "hi\n}\n', 3),
        ("\n\nx.test {\n\trespond `hi\n}\n", 4),
        ("x.test {\n\trespond <<END\n\thi\n}\n", 2),
        ("x.test {\n\trespond <<E+D\n\thi\n\tE+D\n}\n", 2),
        ("x.test {\n\timport pivgate admins {\n}\n", 1),
        ("import mine {\n", 1),
    ],
)
def test_a_file_that_does_not_close_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(CaddyfileError) as caught:
        sites(text)
    assert caught.value.line == line
    assert f"line {line}" in caught.value.message
    with pytest.raises(CaddyfileError):
        add_site(text, NEW)


@pytest.mark.parametrize(("address", "tls"), [("nas.lan", "internal"), ("app.example.com", "")])
def test_a_name_that_nobody_certifies_gets_the_internal_issuer(address: str, tls: str) -> None:
    assert [site.tls for site in sites(add_site("", Site(address, "10.0.0.1:8000", "admins")))] == [tls]
    own = Site(address, "10.0.0.1:8000", "admins", "ops@example.com")
    assert sites(add_site("", own)) == [own]


@pytest.mark.parametrize("group", ["", "*", "../x", "Admins", '""', '"a b"'])
def test_an_opt_in_without_a_group_is_refused_with_its_line(group: str) -> None:
    text = f"x.test {{\n\tlog\n\timport pivgate {group} {{\n\t\trespond x\n\t}}\n}}\n"
    with pytest.raises(CaddyfileError, match="line 3"):
        check_opt_ins(text)
    with pytest.raises(CaddyfileError, match="line 3"):
        add_site(text, NEW)
    assert remove_site(text, "x.test") == ""


@pytest.mark.parametrize("group", ["admins", '"admins"', "admins internal", "{$GROUP}", "{args[0]}"])
def test_an_opt_in_with_a_group_is_taken(group: str) -> None:
    check_opt_ins(f"x.test {{\n\timport pivgate-tls {group} {{\n\t}}\n}}\ny.test {{\n\timport other\n}}\n")


BAD_ADDRESSES = (
    "", " ", "a b", "a,b", "a\nb", "a{b", "a}b", "{$HOST}", "a#b", 'a"b', "a`b", "a/b", "a?b", "a@b",
    "(a)", "&(a)", "@a", "*", "a.*.b", "a*", "*a.b", "..", "a..b", ".a", "a.", "-a", "a-", "a:0",
    "a:65536", "a:b", "a:", "ftp://a", "a" * 64, "a." * 126 + "ab", "\u0430.test", "a.test\u200f",
    "import", "a:80", "http://a.test", "10.0.0.1", "10.0.0.1:8443", "https://10.0.0.1", "[::1]",
    "[::1]:8443", "https://[::1]:8443", "::1", "a\\b", "<<a",
)  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        add_site("", Site(address, "10.0.0.1:8000", "admins"))
    assert caught.value.hint


@pytest.mark.parametrize("address", ["10.0.0.1", "[::1]:8443"])
def test_an_ip_address_is_refused_with_the_reason(address: str) -> None:
    with pytest.raises(InputError, match="TLS handshake"):
        add_site("", Site(address, "10.0.0.1:8000", "admins"))


@pytest.mark.parametrize(
    "upstream",
    [
        "", " ", "a b", "a\nb", "a{b}", "{env.X}", "a#", '"a"', "`a`", "a/b", "http://a/b", "http://",
        "ftp://a", "@a", "/a", "a:0", "a:65536", "a:b", "a,b", "a:1 b:2", "a:1}", "[::1", "[::1]]:1",
        "*:1", "unix/a", "unix//a b", "unix//a{b}", "unix//a|0222", "\u0430:1", "<<a", "a\\",
        "http://@a",
    ],
)  # fmt: skip
def test_an_upstream_that_is_none_is_refused(upstream: str) -> None:
    with pytest.raises(InputError):
        add_site("", Site("a.example.com", upstream, "admins"))


@pytest.mark.parametrize(
    "tls",
    [
        " ", "internal internal", "force_automate", "a b", "/a", "/a /b /c", "a.pem a.key", "/a  /b",
        "/a\n/b", "/a /b {", "{", "x@y {", "ops", "@", "/a /b#", '"/a" /b', "/a /{b}",
    ],
)  # fmt: skip
def test_tls_arguments_that_are_none_are_refused(tls: str) -> None:
    with pytest.raises(InputError):
        add_site("", Site("a.example.com", "10.0.0.1:8000", "admins", tls))


@pytest.mark.parametrize("group", ["", "*", "[a]", "..", "a/b", "a b", "A", "a\n", "{a}", "-a"])
def test_a_group_that_is_none_is_refused(group: str) -> None:
    with pytest.raises(InputError):
        add_site("", Site("a.example.com", "10.0.0.1:8000", group))


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_typed_nothing_but_one_site_is_written(
    address: str, upstream: str, group: str, tls: str
) -> None:
    site = Site(address, upstream, group, tls)
    for candidate in (
        Site(address, "10.0.0.1:8000", "admins"),
        Site("a.example.com", upstream, "admins"),
        Site("a.example.com", "10.0.0.1:8000", group),
        Site("a.example.com", "10.0.0.1:8000", "admins", tls),
        site,
    ):
        try:
            text = add_site("", candidate)
        except InputError:
            continue
        (written,) = sites(text)
        assert replace(written, tls=candidate.tls) == candidate
        assert written.tls in (candidate.tls, "internal")
        assert text.count("{") == text.count("}") == 2
        assert text.count("\n") == 5
