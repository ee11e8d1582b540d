# SPDX-License-Identifier: Apache-2.0
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.errors import InputError
from pivgate.gate.pages import Reason, html_page, text_page
from pivgate.gate.snippet import (
    CONNECTION_PATTERN,
    UPGRADE_PATTERN,
    USER_PATTERN,
    USUAL_CONNECTIONS,
    USUAL_UPGRADES,
    SnippetInput,
    initial_caddyfile,
    render,
)
from pivgate.names import check_user_name

GOLDEN = Path(__file__).parents[2] / "golden" / "gate"
HOME = Path("/var/lib/pivgate")


def snippet(contact: str = "", **changed: Path) -> str:
    paths = {
        "authority_pem": HOME / "authority" / "ca.pem",
        "access": HOME / "access",
        "verdict_socket": HOME / "run" / "verdict.sock",
    }
    return render(SnippetInput(**(paths | changed), contact=contact))


def golden(name: str, found: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PIVGATE_WRITE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


def test_the_snippet_is_the_golden_one() -> None:
    golden("pivgate.caddy", snippet("Carol, carol@example.com"))


def test_a_new_caddyfile_is_the_golden_one() -> None:
    golden("Caddyfile", initial_caddyfile(HOME / "run" / "admin.sock"))
    golden(
        "Caddyfile.loopback",
        initial_caddyfile(HOME / "run" / "admin.sock", http_port=8080, https_port=8443, listen="127.0.0.1"),
    )


def test_the_tree_is_asked_before_anything_else_is_done_for_the_client() -> None:
    text = snippet()
    gate = text[text.index("(pivgate-gate)") :]
    order = [
        gate.index(mark)
        for mark in (
            "route {",
            "@pivgate_connection {",
            "@pivgate_upgrade {",
            "@pivgate_unlisted not file",
            "@pivgate_nameless not",
            "@pivgate_connect method",
            "request_header `-*!*`",
            "request_header `-X-Client*`",
            "request_header X-Client-User {",
            "{block}",
        )
    ]
    assert order == sorted(order)
    assert "error" not in gate


@pytest.mark.parametrize("which", ["authority_pem", "access", "verdict_socket"])
@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "/a/../b",
        "/home/*",
        "/home/a?",
        "/home/[a]",
        "/home/a]",
        "/home/\\a",
        "/home/{env.HOME}",
        "/home/}",
        '/home/"',
        "/home/`",
        "/home/a|0222",
        "/home/a\nb",
        "/home/\u202e",
        "/home/\udc80",
        "/home/\0",
    ],
)
def test_a_path_that_would_mean_something_else_is_refused(which: str, path: str) -> None:
    with pytest.raises(InputError) as caught:
        snippet(**{which: Path(path)})
    assert caught.value.hint


def test_the_admin_socket_is_held_to_the_same_rule() -> None:
    with pytest.raises(InputError):
        initial_caddyfile(Path("/run/{admin}.sock"))


@pytest.mark.parametrize("contact", ["two\nlines", "\u202eevil", "\0", "tab\there"])
def test_a_contact_that_cannot_be_seen_is_refused(contact: str) -> None:
    with pytest.raises(InputError):
        snippet(contact)


@given(st.text().filter(str.isprintable))
def test_no_contact_changes_anything_but_the_pages(contact: str) -> None:
    usual, changed = snippet("Carol").splitlines(), snippet(contact).splitlines()
    assert len(usual) == len(changed)
    for before, after in zip(usual, changed, strict=True):
        if "<<PAGE" in before or before.strip().startswith("PAGE"):
            marker = after.replace("<<", " ").split()
            assert any(re.fullmatch("PAGE_*", word) for word in marker)
        elif "Carol" not in before:
            assert before == after


@given(st.text().filter(str.isprintable))
def test_a_heredoc_ends_where_its_page_ends(contact: str) -> None:
    for marker, body in re.findall(r"<<(PAGE_*)\n(.*?)\n\t+\1(?= \{args)", snippet(contact), re.DOTALL):
        assert marker not in body
    assert snippet(contact).count("<<PAGE") - contact.count("<<PAGE") == 2


@given(st.text().filter(str.isprintable))
def test_pages_have_no_brace_and_no_markup_of_the_contact(contact: str) -> None:
    for page in (text_page(Reason.NAMELESS, contact), html_page(Reason.NAMELESS, contact)):
        assert not set(page.replace("{http.request.tls.client.fingerprint}", "")) & set("{}")
    markup = re.findall("<[^>]*>", html_page(Reason.NAMELESS, contact))
    assert markup == re.findall("<[^>]*>", html_page(Reason.NAMELESS, ""))


def test_a_page_without_a_contact_still_says_whom_to_ask() -> None:
    assert "whoever runs this site" in text_page(Reason.NOT_IN_FORCE, "")
    assert "whoever runs this site" in html_page(Reason.NOT_IN_FORCE, "")


def as_go_writes(name: str) -> str:
    """Write a name of our alphabet as Go's pkix.Name.String does."""
    return "CN=" + name.replace("+", "\\+")


@given(st.text(alphabet="abzAZ019._@+-", min_size=1, max_size=64))
def test_the_subject_pattern_takes_exactly_what_the_registry_takes(name: str) -> None:
    try:
        check_user_name(name)
        allowed = True
    except InputError:
        allowed = False
    match = re.match(USER_PATTERN.replace("$", r"\Z"), as_go_writes(name))
    assert (match is not None) == allowed
    if match is not None:
        assert match[1].replace("\\+", "+") == name


@pytest.mark.parametrize("value", ["", "close", "Keep-Alive, Upgrade", "te,", ", close", "\tTE\t"])
def test_the_connection_pattern_takes_what_honest_clients_send(value: str) -> None:
    assert connection(value)


@pytest.mark.parametrize(
    "value", ["x-client-user", "close,x", "closex", "close close", "Upgrade, HTTP2-Settings", "clo\nse", "x"]
)
def test_the_connection_pattern_takes_nothing_else(value: str) -> None:
    assert not connection(value)


def test_what_is_taken_without_asking_a_pattern_would_be_taken_by_it() -> None:
    assert all(connection(value) for value in USUAL_CONNECTIONS)
    assert all(matches(UPGRADE_PATTERN, value) for value in USUAL_UPGRADES)
    for value in (*USUAL_CONNECTIONS, *USUAL_UPGRADES):
        assert not set(value) & set("{}*"), "Caddy would take it for something else"


def connection(value: str) -> bool:
    return matches(CONNECTION_PATTERN, value)


def matches(pattern: str, value: str) -> bool:
    """Match as Go does: flags may stand after the anchor there, and $ is the very end."""
    pattern = pattern.replace("(?i)", "").replace("$", r"\Z")
    return re.match(pattern, value, re.IGNORECASE) is not None
