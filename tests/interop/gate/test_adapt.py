# SPDX-License-Identifier: Apache-2.0
"""Caddy reads what we write: the snippet, a new home's Caddyfile, and every edit of an operator's file."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.interop.gate.adapting import CADDY, EXPECTED, GOLDEN, HEAD, SNIPPET, AdaptError, adapt

from pivgate.errors import InputError
from pivgate.gate.caddyfile import Site, add_site, remove_site, sites
from pivgate.gate.snippet import SnippetInput, render

pytestmark = pytest.mark.interop

HOSTILE_CONTACTS = (
    'Bob "the <b>" O\'Neill',
    "{$HOME} {env.HOME} {http.request.uri} {args[0]} {block}",
    "`backquotes` \\ and \\",
    "PAGE PAGE_ PAGE__",
    "# no comment",
    "}",
    "{{ template }}",
    "<<PAGE",
    "Zoë, 電話 1",
)


def golden(name: str, found: str) -> None:
    """Compare with a golden file, or write it when PIVGATE_WRITE_GOLDEN is set."""
    path = GOLDEN / name
    if os.environ.get("PIVGATE_WRITE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


def test_the_adapted_configuration_is_the_golden_one(tmp_path: Path) -> None:
    caddyfile = HEAD + (
        "app.example.com {\n"
        "\timport pivgate admins {\n"
        "\t\treverse_proxy 10.0.0.1:8000\n"
        "\t}\n"
        "}\n"
        "own.example.com {\n"
        "\timport pivgate-tls everyone {\n"
        "\t\ttls {\n"
        "\t\t\tissuer internal\n"
        "\t\t}\n"
        "\t\tsite {\n"
        "\t\t\treverse_proxy 10.0.0.2:8000\n"
        "\t\t}\n"
        "\t}\n"
        "}\n"
    )
    golden("adapted.json", json.dumps(adapt(caddyfile, tmp_path), indent=1) + "\n")


def bodies(config: object) -> list[str]:
    """Collect all bodies of an adapted configuration."""
    if isinstance(config, dict):
        own = [config["body"]] if isinstance(config.get("body"), str) else []
        return own + [body for value in config.values() for body in bodies(value)]
    if isinstance(config, list):
        return [body for value in config for body in bodies(value)]
    return []


@pytest.mark.parametrize("contact", HOSTILE_CONTACTS)
def test_a_contact_is_text_whatever_stands_in_it(contact: str, tmp_path: Path) -> None:
    site = HEAD + "app.example.com {\n\timport pivgate admins {\n\t\trespond inside\n\t}\n}\n"
    usual = adapt(site, tmp_path)
    snippet = render(SnippetInput(SNIPPET.authority_pem, SNIPPET.access, SNIPPET.verdict_socket, contact))
    (tmp_path / "hostile.caddy").write_text(snippet)
    hostile = adapt(site.replace("pivgate.caddy", "hostile.caddy"), tmp_path)
    pages = [body for body in bodies(hostile) if "name this certificate" in body]
    assert len(pages) == len([body for body in bodies(usual) if "name this certificate" in body]) > 0
    for body in pages:
        placeholder = "{http.request.tls.client.fingerprint}"
        rest = body.replace(placeholder, "")
        assert body.count(placeholder) == 1
        assert "{" not in rest
        assert "}" not in rest
    assert json.dumps(hostile).count('"handler"') == json.dumps(usual).count('"handler"')


@pytest.mark.parametrize(
    "folder", ["with space", "with'quote", "with#hash", "with<<EOF", "ünïcode", "a$HOME"]
)
def test_paths_that_are_taken_arrive_as_they_are(folder: str, tmp_path: Path) -> None:
    home = Path("/srv") / folder
    snippet = render(SnippetInput(home / "ca.pem", home / "access", home / "v.sock"))
    (tmp_path / "other.caddy").write_text(snippet)
    caddyfile = HEAD.replace("pivgate.caddy", "other.caddy") + (
        "app.example.com {\n\timport pivgate admins {\n\t\trespond inside\n\t}\n}\n"
    )
    written = json.dumps(adapt(caddyfile, tmp_path), ensure_ascii=False)
    for path in (f'"{home}/ca.pem"', f'"{home}/access/admins"', f'"unix/{home}/v.sock|0200"'):
        assert path in written


def test_what_pivgate_writes_is_formatted_as_caddy_would(tmp_path: Path) -> None:
    for text in (render(SNIPPET), HEAD, add_site(HEAD, Site("a.test", "10.0.0.1:80", "admins", "internal"))):
        (tmp_path / "Caddyfile").write_text(text)
        done = subprocess.run(
            [CADDY, "fmt", tmp_path / "Caddyfile"], capture_output=True, text=True, check=False
        )
        assert done.stdout == text


@pytest.mark.parametrize(
    "group",
    [
        "*",
        "adm*",
        "[a]",
        "..",
        "../x",
        "a/b",
        "a b",
        "",
        "Admins",
        "a{b}",
        "a\nb",
        'a"b',
        "a#b",
        "-a",
        "{$HOME}",
    ],
)
def test_a_group_that_means_something_to_caddy_or_the_file_system_is_not_written(group: str) -> None:
    with pytest.raises(InputError):
        add_site(HEAD, Site("app.example.com", "10.0.0.1:8000", group))


@pytest.mark.parametrize(
    "site",
    [
        "http://app.example.com {\n\timport pivgate admins {\n\t\trespond x\n\t}\n}\n",
        "app.example.com:80 {\n\timport pivgate admins {\n\t\trespond x\n\t}\n}\n",
        "app.example.com {\n\timport pivgate {\n\t\trespond x\n\t}\n}\n",
        "app.example.com {\n\thandle {\n\t\timport pivgate admins {\n\t\t\trespond x\n\t\t}\n\t}\n}\n",
        "(pivgate) {\n\trespond x\n}\n",
    ],
    ids=["plain HTTP", "port 80", "no group", "inside a handle", "snippet defined again"],
)
def test_misuse_that_caddy_itself_refuses(site: str, tmp_path: Path) -> None:
    with pytest.raises(AdaptError):
        adapt(HEAD + site, tmp_path)


@pytest.mark.parametrize(
    ("address", "upstream", "tls"),
    [
        ("app.example.com", "10.0.0.1:8000", ""),
        ("https://App.Example.com:8443", "http://backend:8000", "internal"),
        ("*.example.com", "https://backend", "ops@example.com"),
        ("localhost", "[::1]:8000", "/etc/ssl/a.pem /etc/ssl/a.key"),
        ("a.test", "unix//run/app.sock", "internal"),
        ("b.test", "h2c://backend:50051", "internal"),
        ("c.test", ":8000", ""),
    ],
)
def test_a_site_that_was_added_is_what_caddy_sees(
    address: str, upstream: str, tls: str, tmp_path: Path
) -> None:
    text = add_site(HEAD, Site(address, upstream, "admins", tls))
    config = json.dumps(adapt(text, tmp_path))
    assert '"reverse_proxy"' in config
    assert json.dumps(str(EXPECTED.access / "admins")) in config
    assert remove_site(text, address) == HEAD


# Corners of the grammar, in which our reading must be Caddy's: what is inside a block, and what follows it.
CORNERS = {
    "quoted brace": 'x.test {\n\trespond "}" 200\n}\n',
    "backquoted brace": "x.test {\n\trespond `{` 200\n}\n",
    "heredoc": "x.test {\n\trespond <<END\n\t}\n\ty.test {\n\tEND 200\n}\n",
    "heredoc marker in a line": "x.test {\n\trespond <<END\n\t}} END 200\n}\n",
    "comment with a brace": "x.test {\n\t# }\n\trespond x\n}\n",
    "comment with a backslash": "x.test {\n\trespond x # C:\\temp\n\t# \\\n\n}\n",
    "hash in a word": "x.test {\n\trespond a#}\n}\n",
    "escaped quote": 'x.test {\n\trespond "a\\"}" 200\n}\n',
    "continued line": "x.test {\n\trespond \\\n\t\tx\n}\n",
    "brace on a line of its own": "x.test\n{\n\trespond x\n}\n",
    "list of addresses": "x.test, y.test,\nz.test {\n\trespond x\n}\n",
    "comma apart": "x.test , y.test {\n\trespond x\n}\n",
    "CRLF": "x.test {\r\n\trespond x\r\n}\r\n",
    "byte order mark": "\ufeffx.test {\n\trespond x\n}\n",
    "options and imports": HEAD + "x.test {\n\trespond x\n}\n",
    "snippet": "(mine) {\n\trespond {args[0]}\n}\nx.test {\n\timport mine hello\n}\n",
    "named route": "&(mine) {\n\trespond x\n}\nx.test {\n\tinvoke mine\n}\n",
    "import with a block": "(mine) {\n\t{block}\n}\nx.test {\n\timport mine {\n\t\trespond x\n\t}\n}\n",
    "escaped heredoc": "x.test {\n\trespond \\<<END 200\n}\n",
    "no heredoc": "x.test {\n\trespond <<END 200\n}\n",
    "no-break space": "x.test\u00a0{\n\trespond x\n}\n",
    "nothing": "",
    "comment alone": "# nothing",
    "empty quotes": 'x.test {\n\trespond ""\n}\n',
    "form feed": "x.test\f{\n\trespond x\n}\n",
}


@pytest.mark.parametrize("name", CORNERS)
def test_a_site_is_added_and_removed_beside_every_corner_of_the_grammar(name: str, tmp_path: Path) -> None:
    text = CORNERS[name]
    head = "" if "import pivgate.caddy" in text else "import pivgate.caddy\n"
    text = text if text.startswith("\ufeff") else head + text
    before = adapt(text, tmp_path)
    site = Site("new.test", "10.0.0.1:8000", "admins", "internal")
    if text.startswith("\ufeff"):
        added = add_site(text, site) + "\nimport pivgate.caddy\n"
        assert sites(added) == [site]
        return
    added = add_site(text, site)
    after = adapt(added, tmp_path)
    assert sites(added) == [site]
    assert hosts(after) == hosts(before) | {"new.test"}
    assert remove_site(added, "new.test") == text


def hosts(config: object) -> set[str]:
    """Collect the hosts of an adapted configuration."""
    if isinstance(config, dict):
        own = set(config["host"]) if isinstance(config.get("host"), list) else set()
        return own.union(*(hosts(value) for value in config.values()))
    if isinstance(config, list):
        return set().union(*(hosts(value) for value in config))
    return set()
