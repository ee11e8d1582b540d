# SPDX-License-Identifier: Apache-2.0
"""Upstreams that only the gate reaches, configured as the guide says, and all who try all the same."""

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from tests.interop.gate.pki import Authority as StrangeAuthority
from tests.interop.gate.pki import Client, anonymous
from tests.interop.gate.upstream_world import Impostor, World, guided, made_world
from tests.ports import free_ports

from pivgate.authority.profiles import CLIENT, GATE_AT_UPSTREAM, UPSTREAM_SERVER
from pivgate.enrolment.upstream_pair import read_authority, read_certificate
from pivgate.errors import GateError, InputError, PivgateError
from pivgate.gate.caddyfile import CaddyfileError
from pivgate.gate.upstream_block import UpstreamFolder, folder_of

# What a server answers when it does not end the handshake. nginx refuses by a page (ssl_verify_client on);
# Caddy, when it is asked without a name in the handshake, says that it is asked in the wrong place.
REFUSED = {"nginx.test": {0, 400}, "caddy.test": {0}, "uvicorn.test": {0}}
REFUSED_WITHOUT_NAME = {"nginx.test": {0, 400}, "caddy.test": {421}, "uvicorn.test": {0}}
SITES = sorted(REFUSED)
FAKE = "fake.test"


@dataclass
class Cast:
    """The world, and who acts in it."""

    world: World
    ports: dict[str, int]
    alice: Client
    revoked: Client
    before: str

    def folder(self, site: str) -> UpstreamFolder:
        """Return the files of a site's upstream."""
        return folder_of(self.world.home, site)


@pytest.fixture(scope="module")
def cast() -> Iterator[Cast]:
    """All of them, once: gate, application, and three servers in front of it."""
    with made_world() as world:
        ports = dict(zip([*SITES, FAKE], free_ports(4), strict=True))
        alice, revoked = world.holder("alice", 31000001), world.holder("rosa", 31000002)
        before = world.home.caddyfile.read_text()
        for site, port in ports.items():
            out = world.run("site", "add", site, f"127.0.0.1:{port}", "--upstream-mtls")
            assert "Proved by" in out
            assert "answers 502 until" in out
            world.files(site)
        world.revoke(revoked)
        world.run("up")
        socket_path = world.sockets / "app.sock"
        world.start_uvicorn(world.filled(guided("sh", "--uds").strip(), "", 0), ready=socket_path)
        world.start_uvicorn(
            world.filled(guided("sh", "--ssl-cert-reqs"), "uvicorn.test", ports["uvicorn.test"]),
            ready=ports["uvicorn.test"],
        )
        servers = guided("nginx", "ssl_verify_client") + guided("nginx", "listen unix:")
        world.start_nginx(world.filled(servers, "nginx.test", ports["nginx.test"]), ready=ports["nginx.test"])
        world.start_caddy(
            world.filled(guided("caddyfile", "client_auth"), "caddy.test", ports["caddy.test"]),
            ready=ports["caddy.test"],
        )
        yield Cast(world, ports, alice, revoked, before)


@pytest.mark.parametrize("site", SITES)
def test_a_holder_gets_in_through_the_gate(cast: Cast, site: str) -> None:
    reply = cast.world.at_gate(cast.alice.context(), site, f"/in/{site}")
    assert reply.status == 200, reply
    told = dict(json.loads(reply.body)["headers"])
    assert told["x-client-user"] == "alice"
    assert told["host"] == f"{site}:{cast.world.port}"
    assert cast.world.reached(f"/in/{site}") == 1


@pytest.mark.parametrize("site", SITES)
def test_nobody_else_reaches_the_upstream(
    cast: Cast, site: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world, folder = cast.world, cast.folder(site)
    other = cast.folder(next(each for each in SITES if each != site))
    strangers = StrangeAuthority(
        tmp_path_factory.mktemp("strangers"), name="pivgate: authority of an upstream"
    )
    expired = world.signed(read_authority(folder), GATE_AT_UPSTREAM, "pivgate: gate", (-9, -1))
    people = {
        "a stranger": anonymous(),
        "a holder": cast.alice.context(),
        "a revoked holder": cast.revoked.context(),
        "somebody else's authority": strangers.client("pivgate: gate").context(),
        "the gate as another upstream knows it": of(other.gate),
        "the upstream itself": of(folder.server),
        "another upstream": of(other.server),
        "the gate, too late": expired.context(),
    }
    path = f"/around/{site}"
    for name, context in people.items():
        for sni, refused in (("", REFUSED), (None, REFUSED_WITHOUT_NAME)):
            reply = world.at_upstream(cast.ports[site], context, site, sni=sni, path=path)
            assert reply.status in refused[site], (name, sni, reply)
    assert in_the_clear(cast.ports[site], site, path) in (b"", b"HTTP/1.1 400", b"HTTP/1.0 400")
    assert world.reached(path) == 0
    # All of that would mean nothing if the one who may could not.
    assert world.at_upstream(cast.ports[site], of(folder.gate), site, path=path).status == 200
    assert world.reached(path) == 1


def of(pair: object) -> ssl.SSLContext:
    """Return a client that shows the certificate in a file that holds its key, too."""
    context = anonymous()
    context.load_cert_chain(str(pair))
    return context


def in_the_clear(port: int, host: str, path: str) -> bytes:
    """Ask without TLS; return the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        try:
            return connection.recv(65536)[:12]
        except ConnectionError:
            return b""


# --- At the gate -----------------------------------------------------------------------------------


def test_the_new_certificates_open_no_site(cast: Cast) -> None:
    world, folder = cast.world, cast.folder("uvicorn.test")
    serving = world.signed(world.authority(), UPSTREAM_SERVER, "alice", hosts=(x509.DNSName("uvicorn.test"),))
    good = world.signed(world.authority(), CLIENT, "alice")
    people = {
        "the upstream's owner": folder.server,
        "the gate": folder.gate,
        "what our own authority signed for a server": serving.pem,
    }
    # In the tree all the same: the handshake alone has to refuse them.
    entries = [
        world.home.access / "everyone" / found
        for found in (serving.fingerprint, good.fingerprint, *(print_of(path) for path in people.values()))
    ]
    for entry in entries:
        entry.touch()
    try:
        for name, path in people.items():
            reply = world.at_gate(of(path), "uvicorn.test", "/stolen")
            assert reply.status == 0, (name, reply)
        assert world.reached("/stolen") == 0
        assert world.at_gate(good.context(), "uvicorn.test", "/good").status == 200
    finally:
        for entry in entries:
            entry.unlink(missing_ok=True)


def print_of(path: object) -> str:
    from cryptography.hazmat.primitives import hashes

    return read_certificate(path).fingerprint(hashes.SHA256()).hex()  # type: ignore[arg-type]


# --- The wrong server ------------------------------------------------------------------------------


def test_a_wrong_server_gets_no_request(cast: Cast) -> None:
    world, folder, port = cast.world, cast.folder(FAKE), cast.ports[FAKE]
    authority = read_authority(folder)
    named = (x509.DNSName(FAKE),)
    servers = {
        "another upstream": cast.folder("nginx.test").server,
        "no longer valid": world.signed(authority, UPSTREAM_SERVER, "s", (-9, -1), named).pem,
        "of another name": world.signed(authority, UPSTREAM_SERVER, "s", hosts=(x509.DNSName("x.test"),)).pem,
        "the gate's own certificate": folder.gate,
        "a holder's certificate": cast.alice.pem,
        "no TLS at all": None,
    }
    for name, server in servers.items():
        with Impostor(port, server, folder.authority) as impostor:
            reply = world.at_gate(cast.alice.context(), FAKE, "/secret")
            assert (name, reply.status, reply.body, impostor.requests) == (name, 502, "", [])
    with Impostor(port, folder.server, folder.authority) as impostor:
        assert world.at_gate(cast.alice.context(), FAKE, "/secret").body == "fake"
        assert impostor.requests == ["GET /secret HTTP/1.1"]
        assert impostor.shown == [print_of(folder.gate)]


# --- Renewed ---------------------------------------------------------------------------------------


def test_up_renews_what_ends_soon_and_the_gate_shows_it(cast: Cast) -> None:
    world, folder, port = cast.world, cast.folder(FAKE), cast.ports[FAKE]
    old = world.signed(read_authority(folder), GATE_AT_UPSTREAM, "pivgate: gate", (-300, 20))
    folder.gate.write_bytes(old.pem.read_bytes())
    status = world.run("status")
    assert f"The gate's certificate for the upstream of {FAKE} ends" in status
    assert "was changed since" in status
    out = world.run("up")
    assert f"Renewed the gate's certificate for the upstream of {FAKE}." in out
    assert read_certificate(folder.gate).not_valid_after_utc > datetime.now(UTC).replace(microsecond=0)
    assert print_of(folder.gate) != old.fingerprint
    with Impostor(port, folder.server, folder.authority) as impostor:
        assert world.at_gate(cast.alice.context(), FAKE).status == 200
        assert impostor.shown == [print_of(folder.gate)]
    assert FAKE not in world.run("status").replace(f"{FAKE}:{world.port}", "")
    with world.registry() as registry:
        (event,) = registry.events(action="upstream.renew")
        assert (event.subject, print_of(folder.gate) in event.detail) == (FAKE, True)


def test_one_upstreams_damage_keeps_no_site_from_being_served(cast: Cast) -> None:
    world, folder = cast.world, cast.folder(FAKE)
    whole = folder.server.read_bytes()
    folder.server.write_bytes(b"damaged")
    try:
        out = world.run("up")
        assert f"{FAKE}: {folder.server} is damaged" in out
        assert world.at_gate(cast.alice.context(), "uvicorn.test").status == 200
    finally:
        folder.server.write_bytes(whole)


def test_status_fails_when_an_upstreams_certificate_has_ended(cast: Cast) -> None:
    world, folder = cast.world, cast.folder(FAKE)
    given = folder.handed_out.read_bytes()
    assert json.loads(world.run("status", "--json"))["sound"] is True
    ended = world.signed(read_authority(folder), UPSTREAM_SERVER, "s", (-9, -1), (x509.DNSName(FAKE),))
    folder.handed_out.write_bytes(ended.pem.read_bytes())
    try:
        done = world.try_to("status", "--json")
        assert done.exit_code == GateError.exit_code
        told = json.loads(done.output)
        assert told["sound"] is False
        assert [(one["upstream"], "ends" in one["says"]) for one in told["upstreams"]] == [(FAKE, True)]
    finally:
        folder.handed_out.write_bytes(given)


def test_the_next_steps_name_the_machine(cast: Cast) -> None:
    world = cast.world
    folder = world.folder / "two words"
    out = world.run("site", "upstream-files", FAKE, folder)
    assert f"scp -p '{folder}'/* root@127.0.0.1:/etc/pivgate-upstream/" in out
    assert f"on port {cast.ports[FAKE]}" in out
    assert f"rm -r '{folder}'" in out


# --- Asked from the gate ---------------------------------------------------------------------------


def test_firewall_check_says_who_is_let_in(cast: Cast) -> None:
    ways = json.loads(cast.world.run("firewall", "check", "--json"))
    said = {
        way["upstream"]: (way["outcome"], way["says"]) for way in ways if way["address"] == way["upstream"]
    }
    right = ("guarded", "lets in the gate's certificate, and no other")
    expected = {f"127.0.0.1:{cast.ports[site]}": right for site in SITES}
    assert said == {**expected, f"127.0.0.1:{cast.ports[FAKE]}": ("closed", "refused")}


# --- A unix socket ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app", "nginx"])
def test_a_unix_socket_as_upstream(cast: Cast, name: str) -> None:
    world, site = cast.world, f"{name}-socket.test"
    example = guided("sh", "unix//").splitlines()[0].split()
    assert example[:3] == ["pivgate", "site", "add"]
    path = example[4].replace("/run/mysite/app", str(world.sockets / name))
    out = world.run("site", "add", site, path)
    assert "Every user" not in out
    assert "no socket" not in out
    reply = world.at_gate(cast.alice.context(), site)
    assert reply.status == 200, reply
    assert dict(json.loads(reply.body)["headers"])["x-client-user"] == "alice"
    world.run("site", "remove", site, "--yes")


def test_a_socket_for_everybody_is_remarked_on(cast: Cast) -> None:
    world, site = cast.world, "open-socket.test"
    world.sockets.chmod(0o755)
    world.folder.chmod(0o755)
    try:
        out = world.run("site", "add", site, f"unix/{world.sockets / 'app.sock'}")
        assert "Every user of this machine may connect" in out
    finally:
        world.sockets.chmod(0o700)
        world.folder.chmod(0o700)
    world.run("site", "remove", site, "--yes")


# --- Added by half, and for many names -------------------------------------------------------------


def test_a_site_that_caddy_does_not_take_leaves_nothing(cast: Cast) -> None:
    world, before = cast.world, cast.world.home.caddyfile.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"half.test:{taken.getsockname()[1]}"
        with pytest.raises(GateError):
            world.run("site", "add", address, "127.0.0.1:1", "--upstream-mtls")
    assert not cast.folder(address).path.exists()
    assert world.home.caddyfile.read_text() == before
    assert world.at_gate(cast.alice.context(), "uvicorn.test").status == 200


@pytest.mark.parametrize(
    ("address", "upstream", "error"),
    [
        ("uvicorn.test", "10.0.0.5:8443", CaddyfileError),
        ("new.test", "http://10.0.0.5:8443", InputError),
        ("new.test", "unix//run/app.sock", InputError),
        ("../../new.test", "10.0.0.5:8443", InputError),
    ],
)
def test_what_is_refused_changes_nothing(
    cast: Cast, address: str, upstream: str, error: type[PivgateError]
) -> None:
    world = cast.world
    before = {path: path.read_bytes() for path in world.home.upstreams.rglob("*.pem")}
    text = world.home.caddyfile.read_text()
    with pytest.raises(error):
        world.run("site", "add", address, upstream, "--upstream-mtls")
    assert {path: path.read_bytes() for path in world.home.upstreams.rglob("*.pem")} == before
    assert world.home.caddyfile.read_text() == text


def test_a_wildcard_knows_its_upstream_by_the_address(cast: Cast) -> None:
    world, address = cast.world, "*.wild.test"
    (port,) = free_ports(1)
    world.run("site", "add", address, f"127.0.0.1:{port}", "--upstream-mtls")
    folder = cast.folder(address)
    with Impostor(port, folder.server, folder.authority) as impostor:
        assert world.at_gate(cast.alice.context(), "one.wild.test").body == "fake"
        assert impostor.shown == [print_of(folder.gate)]
    with Impostor(port, cast.folder(FAKE).server, folder.authority) as impostor:
        assert world.at_gate(cast.alice.context(), "two.wild.test").status == 502
        assert impostor.requests == []
    world.run("site", "remove", address, "--yes")
    assert not folder.path.exists()


# --- Removed: last, for it ends the cast ---------------------------------------------------------------


def test_removing_the_sites_leaves_the_caddyfile_and_the_home_as_they_were(cast: Cast) -> None:
    world = cast.world
    for site in cast.ports:
        world.run("site", "remove", site, "--yes")
        assert not cast.folder(site).path.exists()
        assert world.at_gate(cast.alice.context(), site).status == 0
    assert world.home.caddyfile.read_text() == cast.before
    assert list(world.home.upstreams.iterdir()) == []
    with world.registry() as registry:
        assert [event.subject for event in registry.events(action="upstream.remove")] == [
            "*.wild.test",
            *cast.ports,
        ]
        registry.verify_audit()
