# SPDX-License-Identifier: Apache-2.0
"""The gate from the attacker's side: who gets through a real Caddy, who does not, and how they are told."""

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.gate.pki import ALGORITHMS, Authority, Client, anonymous
from tests.interop.gate.standing_gate import (
    REFUSED_IN_HANDSHAKE,
    Http2,
    Reply,
    StandingGate,
    standing_gate,
    upstream,
)

pytestmark = pytest.mark.interop
both_protocols = pytest.mark.parametrize("protocol", ["h1", "h2"])

SITES = """
a.test {{
	import pivgate admins internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
b.test {{
	import pivgate-tls editors {{
		tls {{
			issuer internal
		}}
		site {{
			reverse_proxy 127.0.0.1:{upstream}
		}}
	}}
}}
all.test {{
	import pivgate everyone internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
open.test {{
	tls internal
	respond "open to all"
}}
"""


@dataclass
class Scene:
    """A gate, its authority and another of the same name, and alice, who is in ``admins``."""

    gate: StandingGate
    authority: Authority
    foreign: Authority
    alice: Client

    def admitted(self, client: Client, *groups: str) -> Client:
        for group in groups:
            self.gate.admit(group, client.fingerprint)
        return client


@pytest.fixture(scope="module", params=ALGORITHMS)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("pki")
    authority, foreign = Authority(folder, request.param), Authority(folder, request.param)
    with (
        upstream() as port,
        standing_gate(
            authority.pem, SITES.format(upstream=port), contact="Carol <carol@example.com>"
        ) as gate,
    ):
        alice = authority.client("alice")
        gate.admit("everyone", alice.fingerprint)
        gate.admit("admins", alice.fingerprint)
        yield Scene(gate, authority, foreign, alice)


def passed(reply: Reply) -> bool:
    return reply.status == 200 and '"upstream": true' in reply.body


@both_protocols
def test_the_right_group_gets_through(scene: Scene, protocol: str) -> None:
    assert passed(scene.gate.ask(scene.alice.context(), "a.test", protocol=protocol))
    assert passed(scene.gate.ask(scene.alice.context(), "all.test", protocol=protocol))


@both_protocols
@pytest.mark.parametrize("host", ["a.test", "b.test", "all.test"])
def test_without_a_certificate_the_handshake_fails(scene: Scene, host: str, protocol: str) -> None:
    assert scene.gate.ask(anonymous(), host, protocol=protocol) == REFUSED_IN_HANDSHAKE


@both_protocols
def test_a_certificate_of_a_foreign_authority_of_the_same_name_fails(scene: Scene, protocol: str) -> None:
    mallory = scene.admitted(scene.foreign.client("alice"), "admins", "everyone")
    assert scene.gate.ask(mallory.context(), "a.test", protocol=protocol) == REFUSED_IN_HANDSHAKE


@both_protocols
@pytest.mark.parametrize("days", [(-20, -1), (1, 20)], ids=["expired", "not yet valid"])
def test_a_certificate_out_of_its_dates_fails_though_it_is_listed(
    scene: Scene, days: tuple[int, int], protocol: str
) -> None:
    late = scene.admitted(scene.authority.client("alice", days=days), "admins", "everyone")
    assert scene.gate.ask(late.context(), "a.test", protocol=protocol) == REFUSED_IN_HANDSHAKE


@both_protocols
def test_a_certificate_without_an_entry_is_refused_in_words(scene: Scene, protocol: str) -> None:
    revoked = scene.authority.client("bob")
    reply = scene.gate.ask(revoked.context(), "a.test", protocol=protocol)
    assert reply.status == 403
    assert "not in force" in reply.body
    assert "Carol <carol@example.com>" in reply.body
    assert revoked.fingerprint in reply.body
    assert reply.header("cache-control") == "no-store"


@both_protocols
def test_a_member_of_another_group_is_told_which_one_it_takes(scene: Scene, protocol: str) -> None:
    reply = scene.gate.ask(scene.alice.context(), "b.test", protocol=protocol)
    assert reply.status == 403
    assert "group editors" in reply.body
    bob = scene.admitted(scene.authority.client("bob"), "everyone", "editors")
    assert scene.gate.ask(bob.context(), "a.test", protocol=protocol).status == 403
    assert passed(scene.gate.ask(bob.context(), "b.test", protocol=protocol))


def test_withdrawing_an_entry_refuses_the_next_request_on_an_open_connection(scene: Scene) -> None:
    bob = scene.authority.client("bob")
    entry = scene.gate.admit("admins", bob.fingerprint)
    with scene.gate.connect(bob.context(), "a.test") as connection:
        assert passed(scene.gate.ask_on(connection, "a.test"))
        entry.unlink()
        assert scene.gate.ask_on(connection, "a.test").status == 403
        entry.touch()
        assert passed(scene.gate.ask_on(connection, "a.test"))


def test_withdrawing_an_entry_refuses_the_next_stream_of_an_open_http2_connection(scene: Scene) -> None:
    bob = scene.authority.client("bob")
    entry = scene.gate.admit("admins", bob.fingerprint)
    with scene.gate.connect(bob.context(), "a.test", "h2") as connection:
        client = Http2(connection)
        authority = f"a.test:{scene.gate.port}"
        assert passed(client.ask(authority))
        entry.unlink()
        assert client.ask(authority).status == 403


@both_protocols
def test_a_browser_gets_a_page_and_a_program_gets_text(scene: Scene, protocol: str) -> None:
    bob = scene.authority.client("bob").context()
    accept = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
    page = scene.gate.ask(bob, "a.test", headers=accept, protocol=protocol)
    text = scene.gate.ask(bob, "a.test", headers=[("accept", "*/*")], protocol=protocol)
    assert page.status == text.status == 403
    assert page.header("content-type") == "text/html; charset=utf-8"
    assert text.header("content-type") == "text/plain; charset=utf-8"
    assert page.body.startswith("<!DOCTYPE html>")
    assert "Carol &lt;carol@example.com&gt;" in page.body
    assert "<" not in text.body.replace("<carol@example.com>", "")
    assert text.body.endswith("\n")
    assert page.header("cache-control") == text.header("cache-control") == "no-store"
    assert page.header("vary") == text.header("vary") == "Accept"


# Names: which site is asked for in the handshake, and which in the request.


@both_protocols
def test_the_handshake_of_an_open_site_does_not_lead_into_a_gated_one(scene: Scene, protocol: str) -> None:
    assert scene.gate.ask(anonymous(), "open.test", protocol=protocol).body == "open to all"
    reply = scene.gate.ask(anonymous(), "a.test", sni="open.test", protocol=protocol)
    assert (reply.status, reply.body) == (421, "")


@both_protocols
@pytest.mark.parametrize("sni", ["b.test", "A.TEST.", "x.a.test", None])
def test_another_name_in_the_handshake_than_in_the_request_is_refused(
    scene: Scene, sni: str | None, protocol: str
) -> None:
    reply = scene.gate.ask(scene.alice.context(), "a.test", sni=sni, protocol=protocol)
    assert reply.status in (0, 421)


@both_protocols
@pytest.mark.parametrize("host", ["127.0.0.1", "unknown.test", "a.test.", "a.test@b.test", ""])
def test_other_spellings_of_the_host_are_refused(scene: Scene, host: str, protocol: str) -> None:
    reply = scene.gate.ask(scene.alice.context(), host, sni="b.test", protocol=protocol)
    assert reply.status in (0, 400, 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "unknown.test"])
def test_a_host_that_is_no_site_gets_nothing(scene: Scene, host: str) -> None:
    for sni in (None, "unknown.test"):
        reply = scene.gate.ask(anonymous(), host, sni=sni)
        assert not passed(reply)
        assert reply.body == ""


@both_protocols
def test_case_makes_no_difference(scene: Scene, protocol: str) -> None:
    assert passed(scene.gate.ask(scene.alice.context(), "A.TEST", sni="a.TEST", protocol=protocol))
    assert scene.gate.ask(anonymous(), "A.TEST", protocol=protocol) == REFUSED_IN_HANDSHAKE


def test_an_absolute_request_line_for_another_host_is_refused(scene: Scene) -> None:
    path = f"https://a.test:{scene.gate.port}/"
    bob = scene.authority.client("bob").context()
    assert scene.gate.ask(bob, "b.test", path=path).status == 421
    assert scene.gate.ask(anonymous(), "open.test", path=path).status == 421


def test_plain_http_gets_a_redirect_at_most(scene: Scene) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", scene.gate.http_port, timeout=10)
    connection.request("GET", "/secret", headers={"Host": "a.test"})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    assert reply.status == 308
    assert body == b""
    assert reply.headers["location"].startswith("https://a.test")


# The tree.


@pytest.fixture
def own_gate(tmp_path: Path) -> Iterator[Scene]:
    """A gate for one test, run by another user than root, who may read everything."""
    authority = Authority(tmp_path)
    user = 65534 if os.geteuid() == 0 else None
    with (
        upstream() as port,
        standing_gate(authority.pem, SITES.format(upstream=port), user=user) as gate,
    ):
        alice = authority.client("alice")
        gate.admit("everyone", alice.fingerprint)
        gate.admit("admins", alice.fingerprint)
        yield Scene(gate, authority, authority, alice)


@both_protocols
def test_a_tree_that_cannot_be_used_refuses_everybody(own_gate: Scene, protocol: str) -> None:
    gate, alice = own_gate.gate, own_gate.alice.context()

    def answer() -> int:
        return gate.ask(alice, "a.test", protocol=protocol).status

    assert answer() == 200
    gate.access.chmod(0)
    assert answer() == 403, "unreadable tree"
    gate.access.chmod(0o755)
    assert answer() == 200
    (gate.access / "admins" / own_gate.alice.fingerprint).chmod(0)
    assert answer() == 403, "unreadable entry"
    (gate.access / "admins" / own_gate.alice.fingerprint).chmod(0o644)
    gate.access.rename(gate.folder / "elsewhere")
    assert answer() == 403, "missing tree"
    gate.access.touch()
    assert answer() == 403, "a file in its place"


def test_only_a_file_of_exactly_that_name_admits(scene: Scene) -> None:
    bob = scene.authority.client("bob")
    folder = scene.gate.access / "admins"

    def answer() -> int:
        return scene.gate.ask(bob.context(), "a.test").status

    for name in (bob.fingerprint.upper(), f"{bob.fingerprint}0", bob.fingerprint[:-1], f"{bob.fingerprint} "):
        (folder / name).touch()
        assert answer() == 403
    (folder / bob.fingerprint).mkdir()
    assert answer() == 403, "a folder of that name"
    (folder / bob.fingerprint).rmdir()
    (folder / bob.fingerprint).symlink_to(folder / "nowhere")
    assert answer() == 403, "a link to nothing"


NOBODY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@both_protocols
def test_the_fingerprint_of_no_certificate_in_the_tree_admits_nobody(scene: Scene, protocol: str) -> None:
    entry = scene.gate.admit("admins", NOBODY)
    assert scene.gate.ask(anonymous(), "a.test", protocol=protocol) == REFUSED_IN_HANDSHAKE
    entry.unlink()


def test_nor_does_it_when_the_handshake_asks_for_no_certificate(own_gate: Scene) -> None:
    """The second line of defence: what the audit refuses is loaded all the same."""
    gate = own_gate.gate
    for group in ("admins", "everyone"):
        gate.admit(group, NOBODY)
    servers = gate.config["apps"]["http"]["servers"]
    for server in servers.values():
        for policy in server.get("tls_connection_policies", []):
            policy["client_authentication"] = {"mode": "request"} if "match" in policy else None
    gate.stop()
    gate.start(gate.config)
    assert gate.ask(own_gate.alice.context(), "a.test").status == 200
    reply = gate.ask(anonymous(), "a.test")
    assert reply.status == 403
    assert "does not name a user" in reply.body


# The request must not choose what is looked up.


@both_protocols
@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/", "//a.test/", "/{http.request.tls.client.fingerprint}", "/*", "/?"],
)
def test_the_path_has_no_say(scene: Scene, path: str, protocol: str) -> None:
    bob = scene.authority.client("bob").context()
    assert scene.gate.ask(bob, "a.test", path=path, protocol=protocol).status in (403, 400)


def test_an_open_connection_for_one_site_does_not_open_another(scene: Scene) -> None:
    with scene.gate.connect(scene.alice.context(), "b.test") as connection:
        assert scene.gate.ask_on(connection, "b.test").status == 403
        assert scene.gate.ask_on(connection, "a.test").status == 421


def test_a_session_is_not_resumed_past_the_check(scene: Scene) -> None:
    context = scene.alice.context()
    with scene.gate.connect(context, "a.test") as connection:
        assert passed(scene.gate.ask_on(connection, "a.test"))
        session = connection.session
    assert session is None or not session.has_ticket
    assert ssl.HAS_TLSv1_3
