# SPDX-License-Identifier: Apache-2.0
"""What an attacker does with each golden Caddyfile that has a hole, or why no request can show it."""

import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.interop.gate.audit_bench import SECRET, Bench, Request
from tests.interop.gate.standing_gate import Http2, Reply

ROOT = ("X-Client-User", "root")
OTHER_SNI = "x.example.com"


def opened(reply: Reply) -> bool:
    """Say whether a reply gives more than a refusal."""
    return 100 < reply.status < 400 or SECRET in reply.body or '"upstream": true' in reply.body


@dataclass(frozen=True)
class Attack:
    """A request, and what shows that the hole is real.

    Attributes:
        request: What the attacker asks.
        gets: ``content``; ``answer`` for those whose handshake must fail; ``unasked``, an answer that is not
            the gate's; ``upstream``, a request of theirs that reaches another than the gated one; or a text
            in the body.
        told: A header and the value with which the upstream is reached; None when the header must be there
            and is not.
    """

    request: Request
    gets: str = "content"
    told: tuple[str, str | None] | None = None

    def succeeds(self, bench: Bench) -> None:
        """Make it, and fail unless the hole is real."""
        before = len(bench.upstream.seen)
        before_elsewhere = len(bench.upstream.elsewhere)
        headers = tuple((name, bench.filled(value)) for name, value in self.request.headers)
        reply = bench.ask_patiently(replace(self.request, headers=headers))
        seen = bench.upstream.seen[before:]
        if self.told is not None:
            name, value = self.told
            assert [each.get(name) for each in seen[-1:]] == [value], (reply, seen)
        elif self.gets == "content":
            assert opened(reply), reply
        elif self.gets == "answer":
            assert reply.status not in (0, 421), reply
        elif self.gets == "unasked":
            assert reply.status not in (0, 400, 403, 421), reply
        elif self.gets == "upstream":
            assert len(bench.upstream.elsewhere) > before_elsewhere, reply
        else:
            assert bench.filled(self.gets) in reply.body, reply


def by(who: str, path: str = "/", **others: object) -> Attack:
    """Somebody gets content."""
    return Attack(Request(who, path, **others))


def answered(who: str, **others: object) -> Attack:
    """Somebody gets through the handshake who must not; what is behind it still refuses."""
    return Attack(Request(who, **others), gets="answer")


def as_root(who: str = "nobody", path: str = "/", **others: object) -> Attack:
    """Somebody reaches the gated upstream and tells it that root is calling."""
    headers = (ROOT, *others.pop("headers", ()))
    return Attack(Request(who, path, headers=headers, **others), told=("x-client-user", "root"))


def forging(header: str = "x-client-user", path: str = "/", **headers: str) -> Attack:
    """A member chooses by which name the upstream is told of the call."""
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Attack(Request("alice", path, headers=sent), told=(header, "root"))


@dataclass(frozen=True)
class Tunnelled:
    """What a member writes behind a CONNECT reaches the upstream as a request of its own, from root."""

    def succeeds(self, bench: Bench) -> None:
        """Make it, and fail unless the hole is real."""
        behind = b"GET /behind HTTP/1.1\r\nHost: app.example.com\r\nX-Client-User: root\r\n\r\n"
        before, deadline = len(bench.upstream.seen), time.monotonic() + 20
        # Over HTTP/2, where it has no length, and again: an answer that comes first cuts it off.
        while "root" not in [each.get("x-client-user") for each in bench.upstream.seen[before:]]:
            assert time.monotonic() < deadline, bench.upstream.seen[before:]
            with bench.connect(Request("alice", protocol="h2")) as connection:
                h2 = Http2(connection).h2
                h2.send_headers(1, [(":method", "CONNECT"), (":authority", "app.example.com")])
                h2.send_data(1, behind, end_stream=True)
                connection.sendall(h2.data_to_send())
                connection.recv(65536)
                time.sleep(0.1)


def spelling(header: str) -> Attack:
    """A member tells the upstream another name, in a header that some upstreams take for ours."""
    return Attack(Request("alice", headers=((header, "root"),)), told=(header.lower(), "root"))


@dataclass(frozen=True)
class SwitchedOff:
    """A local user, who may not open our socket, switches client certificates off over TCP."""

    headers: tuple[tuple[str, str], ...] = ()

    def succeeds(self, bench: Bench) -> None:
        """Make it, and fail unless the hole is real."""
        assert bench.ask(Request("nobody")).status == 0
        connection = bench.admin_on_tcp()
        path = "/config/apps/http/servers/srv0/tls_connection_policies/0/client_authentication"
        connection.request("DELETE", path, headers=dict(self.headers))
        assert connection.getresponse().status == 200
        connection.close()
        # The servers that are replaced may still take a connection, and refuse or drop it.
        assert bench.ask_patiently(Request("nobody")).status not in (0, 421)


@dataclass(frozen=True)
class ReplacedButServing:
    """A member of the old group gets in by the configuration that was replaced."""

    def succeeds(self, bench: Bench) -> None:
        """Make it, and fail unless the hole is real."""
        before = Request("outsider", port=8443)
        assert opened(bench.ask_patiently(before))
        text = (
            "{\n\tadmin unix//var/lib/pivgate/run/admin.sock|0200\n\tservers {\n\t\tprotocols h1 h2\n\t}\n}\n"
            "import pivgate.caddy\n"
            "app.example.com:9443 {\n\timport pivgate admins {\n\t\trespond hello\n\t}\n}\n"
        )
        config = bench.adapt(text)
        loading = threading.Thread(target=bench.load, args=[config])
        loading.start()
        try:
            deadline = time.monotonic() + 20
            while bench.ask(Request("outsider", port=9443)).status != 403 and time.monotonic() < deadline:
                pass
            assert opened(bench.ask(before)), "what was replaced serves no longer"
        finally:
            loading.join()
        assert not opened(bench.ask(before))


@dataclass(frozen=True)
class Strict:
    """A finding that no request can show to be a hole.

    Attributes:
        reason: Why it is refused all the same.
        seen: What can be seen instead.
    """

    reason: str
    seen: Callable[[Bench], bool]

    def succeeds(self, bench: Bench) -> None:
        """See what can be seen."""
        assert self.seen(bench), self.reason


def _statuses(bench: Bench, **others: object) -> list[int]:
    members = [bench.ask_patiently(Request(who, **others)).status for who in ("revoked", "alice")]
    return [bench.ask(Request("nobody", **others)).status, *members]


def _udp_is_open(bench: Bench) -> bool:
    port = f":{bench.ports[443]:04X} "
    return any(port in line.split(" 00000000:0000")[0] + " " for line in _udp_lines())


def _udp_lines() -> list[str]:
    return Path("/proc/net/udp").read_text().splitlines()


NOBODY_GETS_IN = Strict(
    "No group can have this name, so nobody is ever admitted; better told now than found out later.",
    lambda bench: _statuses(bench) == [0, 403, 403],
)
HTTP3 = Strict(
    "Client certificates over HTTP/3 have been reported to go unasked after a reload (Caddy issue 7953); "
    "that could not be brought about, so what is seen is that the port answers QUIC at all.",
    _udp_is_open,
)

ATTACKS: Mapping[str, Attack | Tunnelled | SwitchedOff | ReplacedButServing | Strict] = {
    "admin-by-default": SwitchedOff(),
    "admin-for-everybody": Strict(
        "Whoever can enter the folder can open the socket; the folder's mode is not in the configuration.",
        lambda bench: bool(bench.admin_socket.stat().st_mode & stat.S_IWOTH),
    ),
    "admin-off": Strict(
        "Nothing is open; but pivgate could neither prove nor change what is served, and not sever either.",
        lambda bench: not bench.can_be_told(),
    ),
    "admin-on-tcp": SwitchedOff(),
    "admin-on-tcp-with-origins": SwitchedOff((("Host", "localhost"), ("Origin", "http://localhost"))),
    "client-auth-before-import": by("expired"),
    "client-auth-overridden": by("expired"),
    "client-auth-with-proxy": by("revoked"),
    "client-auth-without-gate": by("revoked"),
    "connect-unrefused": Tunnelled(),
    "connection-unchecked": Attack(
        Request("alice", headers=(("Connection", "close, X-Client-User"),)), told=("x-client-user", None)
    ),
    "connection-set-behind-the-gate": Attack(
        Request("alice", "/?c=close,X-Client-User"), told=("x-client-user", None)
    ),
    "deletions-missing": forging("x-client-role", X_Client_Role="root"),
    "dots-expected": spelling("X.Client.User"),
    "error-before-import": Attack(Request("revoked", "/gone"), gets="unasked"),
    "file-system-before-import": Strict(
        "The tree would be looked up in another file system. Stock Caddy has none, and refuses everybody.",
        lambda bench: _statuses(bench) == [0, 403, 403],
    ),
    "forged-underscore-in-proxy": forging("x_client_user", X_Tenant="root"),
    "forged-user-by-copy-headers": forging(),
    "forged-user-by-replacement": forging(path="/?user=root"),
    "forged-user-in-block": forging(path="/?user=root"),
    "forged-user-in-proxy": forging(X_Tenant="root"),
    "forged-user-in-response": forging(X_Tenant="root"),
    "forward-auth-before-import": Attack(Request("revoked"), gets="upstream"),
    "gate-for-one-path-of-the-address": by("revoked"),
    "gate-for-some-paths": by("revoked"),
    "gate-without-tls": answered("nobody"),
    "gated-on-a-unix-socket": Strict(
        "Nobody gets in who should not; but pivgate cannot knock there, so nothing would prove that.",
        lambda bench: _statuses(bench, socket="/run/app.sock") == [0, 403, 200],
    ),
    "group-bracket": Strict(
        "Caddy reads the group as a pattern, so that it is another group's members who are let in.",
        lambda bench: _statuses(bench) == [0, 403, 200],
    ),
    "group-capital": NOBODY_GETS_IN,
    "group-dots": by("revoked"),
    "group-empty": NOBODY_GETS_IN,
    "group-placeholder": by("outsider", "/?group=everyone"),
    "group-slash": NOBODY_GETS_IN,
    "group-star": by("outsider"),
    "handle-before-import": by("revoked", "/public/x"),
    "handle-errors-file-server": by("nobody", sni=OTHER_SNI),
    "handle-errors-named-route": by("nobody", sni=OTHER_SNI),
    "handle-errors-proxy": by("nobody", sni=OTHER_SNI),
    "handle-errors-templates": Attack(
        Request("nobody", "/?{{`HOME`|env}}", sni=OTHER_SNI), gets="No such page: FOLDER/storage"
    ),
    "handle-path-before-import": by("revoked", "/public/x"),
    "handmade-admin-by-default": SwitchedOff(),
    "handmade-admin-on-tcp": SwitchedOff(),
    "handmade-another-port-beside": by("nobody", port=8443),
    "handmade-errors-by-file-server": by("nobody", sni=OTHER_SNI),
    "handmade-errors-by-proxy": by("nobody", sni=OTHER_SNI),
    "handmade-http3": HTTP3,
    "handmade-leaf-alone": by("expired"),
    "handmade-mode-request": by("nobody"),
    "handmade-mode-require": by("stranger"),
    "handmade-mode-verify-if-given": by("nobody"),
    "handmade-plain-http-beside": by("nobody", port=80, plain=True),
    "handmade-pool-missing": by("stranger"),
    "handmade-pool-of-the-system": by("stranger"),
    "handmade-shared-upstream": as_root(port=8081, plain=True),
    "handmade-strict-sni-off": by("nobody", sni=OTHER_SNI),
    "handmade-two-ports-in-one-block": by("nobody"),
    "host-on-another-port": as_root(port=8443),
    "host-on-plain-http": as_root(port=80, plain=True),
    "host-without-name": Strict(
        "Nobody gets in who should not; but pivgate cannot knock without a name, so nothing would prove it.",
        lambda bench: _statuses(bench, port=8443) == [0, 403, 200],
    ),
    "http3-by-default": HTTP3,
    "http3-for-one-server": HTTP3,
    "intercept-before-import": by("revoked"),
    "mode-require": by("expired"),
    "mode-verify-if-given": answered("nobody"),
    "named-route-before-import": by("revoked", "/public/x"),
    "pool-by-a-deprecated-field": Strict(
        "It holds in this Caddy. The fields go one day, and before 2.11.1 a file that could not be read "
        "stood for every public authority (CVE-2026-27586).",
        lambda bench: _statuses(bench) == [0, 403, 200],
    ),
    "pool-missing": answered("stranger"),
    "pool-of-another-authority": answered("stranger"),
    "pool-of-the-system": answered("stranger"),
    "pool-of-two-authorities": answered("stranger"),
    "redirect-before-import": by("revoked", "/old"),
    "route-before-import": by("revoked", "/public/"),
    "route-with-proxy-first": by("revoked", "/api/x"),
    "shared-upstream-asked-by-forward-auth": as_root(host="open.example.com"),
    "shared-upstream-by-a-named-route": as_root(host="open.example.com"),
    "shared-upstream-by-another-name": as_root(host="open.example.com"),
    "shared-upstream-default-port": as_root(port=8081, plain=True),
    "shared-upstream-for-a-health-path": as_root(path="/healthz", port=8081, plain=True),
    "shared-upstream-for-all-other-names": as_root(host="any.example.com"),
    "shared-upstream-in-a-response": as_root(path="/broken", host="open.example.com"),
    "shared-upstream-in-errors": as_root(path="/gone", host="open.example.com"),
    "shared-upstream-ipv6-loopback": as_root(port=8081, plain=True),
    "shared-upstream-localhost": as_root(port=8081, plain=True),
    "shared-upstream-of-a-partner": as_root("stranger", host="partner.example.com"),
    "shared-upstream-on-a-plain-port": as_root(port=8081, plain=True),
    "shared-upstream-that-is-caddy-itself": by("nobody", port=8081, plain=True),
    "shared-upstream-under-a-wildcard": as_root(host="open.example.com"),
    "shared-upstream-unix-socket": as_root(port=8081, plain=True),
    "shared-upstream-unix-socket-h2c": as_root(port=8081, plain=True),
    "shutdown-delay": ReplacedButServing(),
    "strict-sni-off": answered("nobody", sni=OTHER_SNI),
    "two-ports-in-one-block": answered("nobody"),
    "underscores-expected": spelling("X_Client_User"),
    "upgrade-set-behind-the-gate": Attack(Request("alice", "/?u=h2c"), told=("upgrade", "h2c")),
    "upgrade-set-in-proxy": Attack(Request("alice", "/?u=h2c"), told=("upgrade", "h2c")),
    "upgrade-unchecked": Attack(
        Request("alice", headers=(("Connection", "Upgrade"), ("Upgrade", "h2c"))), told=("upgrade", "h2c")
    ),
    "upstream-chosen-by-the-request": as_root(port=8081, plain=True, headers=(("X-To", "UPSTREAM"),)),
    "verdict-missing": Strict(
        "Nothing is open; but `pivgate key revoke` could not see whether a revoked key is really refused.",
        lambda bench: not (bench.folder / "run" / "verdict.sock").exists(),
    ),
    "wildcard-on-another-port": by("nobody", port=80, plain=True),
}
