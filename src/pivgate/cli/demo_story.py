# SPDX-License-Identifier: Apache-2.0
"""The story that ``pivgate demo`` tells, chapter by chapter."""

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from cryptography import x509

from pivgate.cli.demo_people import Person, provision_person
from pivgate.enrolment.access import bring_tree_to_registry, revoke_certificates, set_key_state
from pivgate.enrolment.founding import Founding, found
from pivgate.errors import PivgateError, RefusedError
from pivgate.files import PUBLIC_FILE, read_file, write_atomic
from pivgate.gate.apply import up
from pivgate.gate.caddyfile import Site, add_site
from pivgate.gate.verdict import await_refusal
from pivgate.registry.states import CertificateState, KeyState, RevocationReason
from pivgate.registry.store import Registry
from pivgate.settings import Home
from pivgate.yubikey.tls_client import HttpsConnection

ACTOR = "demo"
EVERYONE = "welcome.localhost"
STAFF = "staff.localhost"

_WIDTH = 58


@dataclass
class Story:
    """Prints what was tried, expected and seen, and counts what came out otherwise."""

    told: int = 0
    surprises: int = 0
    _colour: bool | None = field(default_factory=lambda: False if os.environ.get("NO_COLOR") else None)

    def begin(self) -> None:
        """Say what the columns are."""
        headings = f"      {'tried':<46} {'expected':<22} came"
        click.echo(click.style(headings, dim=True), color=self._colour)

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        click.echo(f"\n{click.style(title, bold=True)}", color=self._colour)

    def line(self, tried: str, expected: str, attempt: Callable[[], str]) -> None:
        """Try something and compare what came with how it was expected to begin."""
        started = time.perf_counter()
        try:
            came = attempt()
        except RefusedError as error:
            came = f"refused: {error.message}"
        except PivgateError as error:
            came = f"error: {error.message}"
        milliseconds = (time.perf_counter() - started) * 1000
        good = came.startswith(expected)
        self.told += 1
        self.surprises += not good
        mark = click.style("ok ", fg="green") if good else click.style("BAD", fg="red", bold=True)
        click.echo(
            f"  {mark} {tried:<46} {expected:<22} {_short(came) if good else came}  ({milliseconds:.0f} ms)",
            color=self._colour,
        )


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1].rstrip()}…"


def tell(story: Story, home: Home, upstream_port: int, pictures: Path | None) -> None:
    """Tell the whole story in an empty home.

    Args:
        story: What is told.
        home: The home.
        upstream_port: Where the web app listens.
        pictures: Folder for the pictures of the chapter with a browser; None without that chapter.
    """
    https_port, http_port = _free_port(), _free_port()
    story.begin()
    story.chapter("An authority, a registry, a Caddyfile")
    story.line("pivgate init", "authority", lambda: _found(home, https_port, http_port))

    story.chapter("Two YubiKeys, fresh from the factory")
    people: dict[str, Person] = {}
    for name, firmware, serial in (("alice", "5.7.4", 31000001), ("bob", "5.4.3", 15000002)):
        people[name] = Person(name, firmware, serial)
        story.line(f"{name}'s YubiKey, firmware {firmware}, as it is", "factory", people[name].condition)
        story.line(
            f"pivgate key provision --user {name}", "certificate", partial(_provision, home, people[name])
        )

    story.chapter("Two sites, one of them for staff only; alice is staff")
    story.line("pivgate site add, pivgate up", "2 sites", lambda: _open_sites(home, upstream_port))

    visits = _Visits(home, https_port)
    _strangers_and_guests(story, visits, people)
    _revocation(story, home, visits, people)
    if pictures:
        from pivgate.cli.demo_browser import tell_browser

        tell_browser(
            story,
            people["alice"],
            f"https://{STAFF}:{https_port}/",
            _server_authority(home),
            pictures,
            lose=lambda: _lose(home, people["alice"]),
            find=lambda: _find(home, people["alice"]),
        )
    story.chapter("The record of it all")
    story.line("pivgate audit verify", "unbroken", lambda: _audit(home))


def _strangers_and_guests(story: Story, visits: "_Visits", people: dict[str, Person]) -> None:
    alice, bob = people["alice"], people["bob"]
    story.chapter("Requests through the real Caddy; each login is signed by the YubiKey")
    story.line(f"nobody: {EVERYONE}", "refused", lambda: visits.visit(EVERYONE, None))
    story.line(f"alice: {EVERYONE}", "200, app sees alice", lambda: visits.visit(EVERYONE, alice))
    story.line(f"alice: {STAFF}", "200, app sees alice", lambda: visits.visit(STAFF, alice))
    story.line(f"bob: {EVERYONE}", "200, app sees bob", lambda: visits.visit(EVERYONE, bob))
    story.line(f"bob: {STAFF}, where he is not a member", "403", lambda: visits.visit(STAFF, bob))
    forged = {"X-Client-User": "alice", "X_Client_User": "alice", "X-Client-Email": "root@localhost"}
    story.line(
        "bob, with forged headers that say alice",
        "200, app sees bob",
        lambda: visits.visit(EVERYONE, bob, forged),
    )
    story.line(
        "bob, asking Caddy to drop the identity header",
        "400",
        lambda: visits.visit(EVERYONE, bob, {"Connection": "close, X-Client-User"}),
    )


def _revocation(story: Story, home: Home, visits: "_Visits", people: dict[str, Person]) -> None:
    alice, bob = people["alice"], people["bob"]
    story.chapter("Access ends: on connections that are already open, too")
    connection = visits.connection(EVERYONE, bob)
    story.line("bob opens a connection", "200, app sees bob", lambda: visits.again(connection, EVERYONE))
    story.line("pivgate key revoke bob", "the gate refuses", lambda: _revoke(home, bob))
    story.line("bob's next request, same connection", "403", lambda: visits.again(connection, EVERYONE))
    connection.close()
    story.line("bob, a new connection", "403", lambda: visits.visit(EVERYONE, bob))
    story.line("alice is not disturbed", "200, app sees alice", lambda: visits.visit(STAFF, alice))
    story.line("alice's key is lost: pivgate key lost", "the gate refuses", lambda: _lose(home, alice))
    story.line("whoever found it, even with the PIN", "403", lambda: visits.visit(STAFF, alice))
    story.line("alice found it herself: pivgate key found", "active", lambda: _find(home, alice))
    story.line("alice again", "200, app sees alice", lambda: visits.visit(STAFF, alice))


class _Visits:
    def __init__(self, home: Home, port: int) -> None:
        self._home = home
        self._port = port

    def connection(self, site: str, person: Person | None) -> HttpsConnection:
        trust = [x509.load_pem_x509_certificate(read_file(_server_authority(self._home)))]
        login = person.login() if person else None
        return HttpsConnection(("127.0.0.1", self._port), site, trust, login)

    def visit(self, site: str, person: Person | None, headers: dict[str, str] | None = None) -> str:
        connection = self.connection(site, person)
        try:
            return self.again(connection, site, headers)
        finally:
            connection.close()

    def again(self, connection: HttpsConnection, site: str, headers: dict[str, str] | None = None) -> str:
        status, body = connection.ask("GET", "/", {"Host": f"{site}:{self._port}", **(headers or {})})
        if status != 200:
            return f"{status}, {body.decode().splitlines()[0]}"
        told = json.loads(body)
        forged = [name for name, value in told.items() if value in ("root@localhost",) or "_" in name]
        return f"200, app sees {told.get('x-client-user')}{f', and forged {forged}' if forged else ''}"


def _server_authority(home: Home) -> Path:
    return home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"


def _now() -> datetime:
    return datetime.now(UTC)


def _found(home: Home, https_port: int, http_port: int) -> str:
    plan = Founding(
        algorithm="ed25519",
        days=3650,
        subject="CN=pivgate demo authority",
        contact="the person who runs this demo",
        https_port=https_port,
        http_port=http_port,
        listen="127.0.0.1",
        unprotected=True,
    )
    founded = found(home, plan, b"", actor=ACTOR, now=_now())
    with Registry.open(home.registry, home.audit_head) as registry:
        for name in ("alice", "bob"):
            registry.add_user(
                name, display_name=name.title(), email=f"{name}@example.com", actor=ACTOR, now=_now()
            )
        registry.add_group("staff", actor=ACTOR, now=_now())
        registry.add_member("staff", "alice", actor=ACTOR, now=_now())
    return f"authority {founded.subject}, Ed25519"


def _provision(home: Home, person: Person) -> str:
    with Registry.open(home.registry, home.audit_head) as registry:
        return provision_person(home, registry, person, actor=ACTOR, clock=_now)


def _open_sites(home: Home, upstream_port: int) -> str:
    text = read_file(home.caddyfile).decode()
    for address, group in ((EVERYONE, "everyone"), (STAFF, "staff")):
        text = add_site(
            text, Site(address=address, upstream=f"127.0.0.1:{upstream_port}", group=group, tls="")
        )
    write_atomic(home.caddyfile, text.encode(), PUBLIC_FILE)
    with Registry.open(home.registry, home.audit_head) as registry:
        bring_tree_to_registry(home, registry, actor=ACTOR, now=_now())
    applied = up(home)
    return f"{len(applied.sites)} sites; {len(applied.probes)} attempts to get in, all refused"


def _revoke(home: Home, person: Person) -> str:
    with Registry.open(home.registry, home.audit_head) as registry:
        active = registry.certificates(user=person.name, state=CertificateState.ACTIVE)
        withdrawal = revoke_certificates(
            home, registry, active, RevocationReason.KEY_COMPROMISE, actor=ACTOR, now=_now()
        )
    for fingerprint in withdrawal.fingerprints:
        await_refusal(home, withdrawal.groups, fingerprint)
    return "the gate refuses the certificate, asked and proved"


def _lose(home: Home, person: Person) -> str:
    with Registry.open(home.registry, home.audit_head) as registry:
        key = registry.key(person.serial)
        withdrawal = set_key_state(home, registry, key, KeyState.LOST, "lost", actor=ACTOR, now=_now())
    for fingerprint in withdrawal.fingerprints:
        await_refusal(home, withdrawal.groups, fingerprint)
    return "the gate refuses the key, until it is found"


def _find(home: Home, person: Person) -> str:
    with Registry.open(home.registry, home.audit_head) as registry:
        key = registry.key(person.serial)
        set_key_state(home, registry, key, KeyState.ACTIVE, "found", actor=ACTOR, now=_now())
    return "active again"


def _audit(home: Home) -> str:
    with Registry.open(home.registry, home.audit_head) as registry:
        head = registry.verify_audit()
    return f"unbroken chain of {head.sequence} events"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
