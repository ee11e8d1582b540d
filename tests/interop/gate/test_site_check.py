# SPDX-License-Identifier: Apache-2.0
"""``pivgate site check FILE`` on Caddyfiles that lie anywhere, with and without a home."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.interop.gate.adapting import HEAD, SNIPPET
from tests.interop.gate.pki import Authority

from pivgate.cli.commands import run
from pivgate.gate.snippet import render

pytestmark = pytest.mark.interop

BY_HAND = """\
{
	admin off
	servers {
		protocols h1 h2
	}
}

app.example.com {
	tls {
		client_auth {
			mode require_and_verify
			trust_pool file ca.pem
		}
	}
	reverse_proxy 10.0.0.1:8000
}
"""

Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command in this process, on a machine without a home; return status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    shutil.copy(Authority(tmp_path).pem, tmp_path / "ca.pem")

    def check(*arguments: str | Path) -> tuple[int, str, str]:
        words = ["pivgate", "--home", str(tmp_path / "home"), "site", "check", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        status = run()
        return status, *capsys.readouterr()

    return check


def write(text: str, name: str = "Caddyfile") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_client_certificates_by_hand_are_found_sound(check: Check) -> None:
    status, out, err = check(write(BY_HAND))
    assert (status, err) == (0, "")
    assert out.splitlines()[1].split() == ["app.example.com", "-", "client_auth", "-"]


def test_a_hole_is_told_with_file_line_risk_and_remedy(check: Check) -> None:
    text = BY_HAND.replace("\tadmin off\n", "").replace("h1 h2", "h1 h2 h3")
    status, out, err = check(write(text))
    assert (status, out) == (1, "")
    assert "Caddyfile:1: Caddy's admin API listens on localhost:2019." in err
    assert "Caddyfile:3: Other protocols than HTTP/1.1 and HTTP/2 are on" in err
    assert "Every local user may reach it." in err
    assert "Write `admin unix//run/caddy/admin.sock`" in err
    assert "Write `servers { protocols h1 h2 }`" in err


def test_json_tells_a_program_the_same(check: Check) -> None:
    text = BY_HAND + "\nhttp://:8081 {\n\treverse_proxy 10.0.0.1:8000\n}\n"
    status, out, err = check(write(text), "--json")
    assert status == 1
    assert "What to do:" in err
    told: dict[str, Any] = json.loads(out)
    assert told["hosts"] == [
        {"host": "app.example.com", "port": None, "kept_by": "client_auth", "groups": []}
    ]
    (finding,) = told["findings"]
    assert finding.pop("risk")
    assert finding.pop("remedy")
    assert finding == {
        "kind": "shared-upstream",
        "what": "the site on :8081 has no gate, and sends requests to 10.0.0.1:8000, which is behind the "
        "gate of app.example.com",
        "where": "apps.http.servers.srv1.routes[0].handle[0]",
        "host": "",
        "file": "Caddyfile",
        "line": 19,
    }


def test_a_hole_in_an_imported_file_is_told_with_that_file(check: Check) -> None:
    write("http://app.example.com {\n\tfile_server\n}\n", "sites/plain.caddy")
    status, _, err = check(write(BY_HAND + "\nimport sites/*.caddy\n"))
    assert status == 1
    assert "sites/plain.caddy:2: app.example.com is gated, but :80 serves it without the gate" in err


def test_a_file_of_another_home_is_judged_by_that_home(check: Check) -> None:
    write(render(SNIPPET), "pivgate.caddy")
    site = "\napp.example.com {\n\timport pivgate admins {\n\t\treverse_proxy 10.0.0.1:8000\n\t}\n}\n"
    status, out, _ = check(write(HEAD + site))
    assert status == 0
    assert out.splitlines()[1].split() == ["app.example.com", "443", "pivgate", "admins"]
    status, out, _ = check(write(HEAD.replace("|0200", "|0222") + site), "--json")
    assert status == 1
    (finding,) = json.loads(out)["findings"]
    assert finding["kind"] == "admin-exposed"


def test_a_gate_whose_lookups_are_gone_is_not_taken_for_certificates_by_hand(check: Check) -> None:
    write("(pivgate) {\n\ttls internal\n\t{block}\n}\n", "pivgate.caddy")
    site = "\napp.example.com {\n\timport pivgate admins {\n\t\treverse_proxy 10.0.0.1:8000\n\t}\n}\n"
    status, out, _ = check(write(HEAD + site), "--json")
    assert status == 1
    kinds = {finding["kind"]: finding["line"] for finding in json.loads(out)["findings"]}
    assert kinds["not-gated"] == (HEAD + site).splitlines().index("app.example.com {") + 1


def test_a_draft_without_the_snippet_beside_it_is_told_where_it_is(check: Check) -> None:
    draft = write(HEAD)
    status, _, err = check(draft)
    assert status == 2
    assert "imports pivgate.caddy, which is not beside it" in err
    assert "pivgate init" in err
    write(render(SNIPPET), "home/gate/pivgate.caddy")
    assert "home/gate/pivgate.caddy` to check it here" in check(draft)[2]


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b":80 {\n\trespond hello\n}\n", 2, "asks for client certificates, so there is nothing to prove"),
        (b"a.test {\n\tunknown\n}\n", 6, "unrecognized directive: unknown"),
        (b"a.test {\n", 2, "the { is never closed"),
        (b"\xff\xfe", 2, "is not UTF-8 at byte 0"),
        (b"", 6, "it is empty"),
    ],
)
def test_what_cannot_be_judged_is_told_in_words(check: Check, content: bytes, status: int, said: str) -> None:
    Path("Caddyfile").write_bytes(content)
    told = check("Caddyfile")
    assert told[0] == status
    assert said in told[2]
    assert told[1] == ""


def test_a_file_that_is_not_there_is_named(check: Check) -> None:
    status, _, err = check("missing")
    assert status == 8
    assert "missing: No such file" in err
    assert check(".")[0] == 8
