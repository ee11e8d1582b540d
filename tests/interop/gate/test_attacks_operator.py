# SPDX-License-Identifier: Apache-2.0
"""Holes that an operator's own lines would open: real in a running Caddy, and refused by the audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.gate.pki import Authority, anonymous
from tests.interop.gate.standing_gate import REFUSED_IN_HANDSHAKE, StandingGate, standing_gate, upstream
from tests.ports import free_ports

from pivgate.gate.config_audit import AuditError, AuditInput, audit

pytestmark = pytest.mark.interop

OPEN = """
open.test {
	tls internal
	respond "open to all"
}
"""


@contextmanager
def gate_with(sites: str, folder: Path) -> Iterator[tuple[StandingGate, Authority]]:
    """Run a configuration that the audit refuses; UPSTREAM stands for the upstream's address."""
    authority = Authority(folder)
    with upstream() as port:
        text = sites.replace("UPSTREAM", f"127.0.0.1:{port}") + OPEN
        with standing_gate(authority.pem, text) as gate:
            with pytest.raises(AuditError):
                audit(gate.config, expected(gate))
            yield gate, authority


def expected(gate: StandingGate) -> AuditInput:
    return AuditInput(gate.authority_pem, gate.access, gate.admin, gate.verdict)


def test_the_gate_of_these_tests_is_shut_without_them(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    site = "a.test {\n\timport pivgate admins internal {\n\t\trespond inside\n\t}\n}\n"
    with standing_gate(authority.pem, site + OPEN) as gate:
        assert [site.host for site in audit(gate.config, expected(gate))] == ["a.test"]
        assert gate.ask(anonymous(), "a.test", sni="open.test").status == 421


def test_errors_answered_by_the_upstream_open_it_to_nobody_in_particular(tmp_path: Path) -> None:
    site = """
a.test {
	import pivgate admins internal {
		reverse_proxy UPSTREAM
	}
	handle_errors {
		reverse_proxy UPSTREAM
	}
}
"""
    with gate_with(site, tmp_path) as (gate, _):
        reply = gate.ask(anonymous(), "a.test", sni="open.test")
        assert '"upstream": true' in reply.body, "no certificate, and yet the upstream answers"


def test_a_handle_before_the_import_stands_before_the_gate(tmp_path: Path) -> None:
    site = """
a.test {
	handle /public/* {
		reverse_proxy UPSTREAM
	}
	import pivgate admins internal {
		reverse_proxy UPSTREAM
	}
}
"""
    with gate_with(site, tmp_path) as (gate, authority):
        revoked = authority.client("bob").context()
        assert gate.ask(revoked, "a.test").status == 403
        assert gate.ask(revoked, "a.test", path="/public/x").status == 200


def test_without_strict_names_the_check_of_the_tree_is_all_there_is(tmp_path: Path) -> None:
    site = """
a.test {
	import pivgate admins internal {
		reverse_proxy UPSTREAM
	}
}
"""
    authority = Authority(tmp_path)
    with (
        upstream() as port,
        standing_gate(authority.pem, site.replace("UPSTREAM", f":{port}") + OPEN) as gate,
    ):
        config = gate.config
        for server in config["apps"]["http"]["servers"].values():
            server["strict_sni_host"] = False
        with pytest.raises(AuditError, match="strict_sni_host"):
            audit(config, expected(gate))
        gate.stop()
        gate.start(config)
        assert gate.ask(anonymous(), "a.test", sni="open.test").status == 403


def test_names_on_two_ports_in_one_block_lose_the_demand_for_a_certificate(tmp_path: Path) -> None:
    """Caddy 2.11.7 leaves only the last port's names in the policy; the tree still refuses."""
    site = """
a.test, b.test:PORT {
	import pivgate admins internal {
		reverse_proxy UPSTREAM
	}
}
"""
    other = free_ports(1)[0]
    with gate_with(site.replace("PORT", str(other)), tmp_path) as (gate, _):
        replies = [gate.ask(anonymous(), "a.test")]
        gate.port = other
        replies.append(gate.ask(anonymous(), "b.test"))
        # Which of the two is the last depends on how their ports sort.
        assert sorted(reply.status for reply in replies) == [REFUSED_IN_HANDSHAKE.status, 403]


def test_a_header_set_in_the_block_lets_the_client_choose_its_name(tmp_path: Path) -> None:
    site = """
a.test {
	import pivgate admins internal {
		request_header X-Client-User {query.user}
		reverse_proxy UPSTREAM
	}
}
"""
    with gate_with(site, tmp_path) as (gate, authority):
        alice = authority.client("alice")
        gate.admit("admins", alice.fingerprint)
        reply = gate.ask(alice.context(), "a.test", path="/?user=root")
        assert ("x-client-user", "root") in reply.told
