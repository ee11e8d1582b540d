# SPDX-License-Identifier: Apache-2.0
"""What the upstream is told, and what a client can do to that: nothing."""

import itertools
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.interop.gate.pki import Authority, Client
from tests.interop.gate.standing_gate import Reply, StandingGate, named, standing_gate, upstream

pytestmark = pytest.mark.interop
both_protocols = pytest.mark.parametrize("protocol", ["h1", "h2"])

OURS = (
    "x-client-user",
    "x-client-subject",
    "x-client-serial",
    "x-client-fingerprint",
    "x-client-email",
)
SITE = """
a.test {{
	import pivgate everyone internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
"""


class Gate:
    """A gate with one site for everyone."""

    def __init__(self, standing: StandingGate, authority: Authority) -> None:
        self.standing = standing
        self.authority = authority

    def issue(self, subject: x509.Name | str, *names: x509.GeneralName) -> Client:
        client = self.authority.client(subject, names=names)
        self.standing.admit("everyone", client.fingerprint)
        return client

    def ask(self, client: Client, headers: list[tuple[str, str]] = [], protocol: str = "h1") -> Reply:  # noqa: B006
        return self.standing.ask(client.context(), "a.test", headers=headers, protocol=protocol)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    with upstream() as port, standing_gate(authority.pem, SITE.format(upstream=port)) as standing:
        yield Gate(standing, authority)


@pytest.fixture(scope="module")
def alice(gate: Gate) -> Client:
    return gate.issue("alice", x509.RFC822Name("alice@example.com"))


def expected(client: Client, user: str, *email: str) -> dict[str, list[str]]:
    return {
        "x-client-user": [user],
        "x-client-subject": ["CN=" + user.replace("+", "\\+")],
        "x-client-serial": [str(client.certificate.serial_number)],
        "x-client-fingerprint": [client.fingerprint],
        "x-client-email": list(email),
    }


@both_protocols
def test_the_upstream_is_told_who_calls(gate: Gate, alice: Client, protocol: str) -> None:
    told = gate.ask(alice, protocol=protocol).told
    assert named(told, *OURS) == expected(alice, "alice", "alice@example.com")


@pytest.mark.parametrize("user", ["a", "Alice.O-Neill_2", "bob+ci@example.com", "a++b+", "0" * 64])
def test_every_name_that_the_registry_allows_arrives_as_it_is(gate: Gate, user: str) -> None:
    client = gate.issue(user)
    assert named(gate.ask(client).told, *OURS) == expected(client, user)


def spellings() -> list[str]:
    """Every way to write an identity header that some upstream could take for ours."""
    written = set()
    for name in ("X-Client-User", "X-Client-Email", "X-Client-Role", "X-Real-Ip", "Client-Cert"):
        words = name.split("-")
        for separators in [
            *itertools.product("-_.", repeat=len(words) - 1),
            *([separator] * (len(words) - 1) for separator in "!#$%&'*+^`|~"),
            *(["-", *rest] for rest in itertools.product("!~", repeat=len(words) - 2)),
        ]:
            joined = words[0] + "".join(sep + word for sep, word in zip(separators, words[1:], strict=True))
            written |= {joined, joined.lower(), joined.upper(), joined.swapcase()}
    written |= {"Forwarded", "FORWARDED", "Client-Cert-Chain", "x-client-", "X-CLIENT-USER-NAME"}
    return sorted(written)


# Every character of a header's name that is neither letter nor digit (RFC 9110, section 5.6.2).
SEPARATORS = "!#$%&'*+-.^_`|~"


@both_protocols
@pytest.mark.parametrize("separator", SEPARATORS)
def test_no_separator_makes_a_name_that_gets_through(
    gate: Gate, alice: Client, separator: str, protocol: str
) -> None:
    names = [
        "x-client-user".replace("-", separator),
        f"x{separator}client-user",
        f"x-client{separator}user",
        f"client{separator}cert",
        f"x{separator}real-ip",
        f"x-real{separator}ip",
    ]
    reply = gate.ask(alice, [(name, "root") for name in names], protocol)
    assert reply.status == 200
    assert forged_in(reply.told) == []
    assert named(reply.told, *OURS) == expected(alice, "alice", "alice@example.com")


def forged_in(told: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in told if "root" in value]


@both_protocols
def test_no_spelling_of_an_identity_header_gets_through(gate: Gate, alice: Client, protocol: str) -> None:
    names = sorted({name.lower() for name in spellings()}) if protocol == "h2" else spellings()
    # Servers limit how many header fields one request may have.
    for some in (names[start : start + 50] for start in range(0, len(names), 50)):
        reply = gate.ask(alice, [(name, "for=root") for name in some], protocol)
        assert reply.status == 200
        assert forged_in(reply.told) == []
        assert named(reply.told, *OURS) == expected(alice, "alice", "alice@example.com")


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Client-User", "root"), ("X-Client-User", "root")],
        [("X-Client-User", "root"), ("x-client-user", "root")],
        [("X-Client-User", "alice, root")],
        [("X-Client-User", "")],
    ],
)
def test_repeating_a_header_does_not_help(gate: Gate, alice: Client, headers: list[tuple[str, str]]) -> None:
    told = gate.ask(alice, headers).told
    assert named(told, *OURS) == expected(alice, "alice", "alice@example.com")


@both_protocols
@pytest.mark.parametrize("name", ["X-Client-User ", "X-Client-User\t", " X-Client-User", "X-Client User"])
def test_a_name_with_space_in_it_is_refused(gate: Gate, alice: Client, name: str, protocol: str) -> None:
    reply = gate.ask(alice, [("x-first", "1"), (name.lower(), "root")], protocol)
    # A space at a line's start continues the line before it (RFC 9112, section 5.2): no header of that name.
    assert reply.status in (0, 400) or forged_in(reply.told) == [("x-first", "1 x-client-user: root")]


def test_an_email_of_the_client_does_not_stand_in_for_a_missing_one(gate: Gate) -> None:
    bob = gate.issue("bob")
    told = gate.ask(bob, [("X-Client-Email", "root@example.com")]).told
    assert named(told, *OURS) == expected(bob, "bob")


# Connection names the fields a proxy must remove.


@pytest.mark.parametrize(
    "values",
    [
        ["X-Client-User"],
        ["close, X-Client-User"],
        ["x-client-user,keep-alive"],
        ["keep-alive", "x-client-user"],
        ["x-client-user", "keep-alive"],
        ["keep-alive,\tX-CLIENT-SUBJECT ,"],
        ["Upgrade, x-client-fingerprint"],
        ["X_Client_User"],
        ["x-anything"],
        ["Upgrade,HTTP2-Settings"],
        ["keep-alive x-client-user"],
        ["{http.request.header.x}"],
    ],
)
def test_a_connection_header_cannot_make_ours_vanish(gate: Gate, alice: Client, values: list[str]) -> None:
    reply = gate.ask(alice, [("Connection", value) for value in values] + [("x", "close")])
    assert reply.status == 400
    assert "Connection header" in reply.body
    assert reply.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["close"],
        ["Keep-Alive"],
        ["keep-alive, Upgrade"],
        ["TE, close"],
        [" keep-alive ,\tclose,"],
        ["keep-alive", "te"],
    ],
)
def test_what_honest_clients_send_there_is_taken(gate: Gate, alice: Client, values: list[str]) -> None:
    reply = gate.ask(alice, [("Connection", value) for value in values])
    assert reply.status == 200
    assert named(reply.told, *OURS) == expected(alice, "alice", "alice@example.com")


def test_http2_does_not_know_a_connection_header(gate: Gate, alice: Client) -> None:
    assert gate.ask(alice, [("connection", "x-client-user")], "h2").status in (0, 400)


@both_protocols
def test_trailers_do_not_become_headers(gate: Gate, alice: Client, protocol: str) -> None:
    reply = gate.ask(alice, [("trailer", "X-Client-User"), ("te", "trailers")], protocol)
    assert named(reply.told, *OURS) == expected(alice, "alice", "alice@example.com")


# Certificates of our own authority with names that it should never have signed.


def rdns(*sets: list[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    return x509.Name(
        [
            x509.RelativeDistinguishedName(
                [x509.NameAttribute(oid, value, _validate=False) for oid, value in one]
            )
            for one in sets
        ]
    )


CN, O, OU = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME  # noqa: E741
HOSTILE = {
    "a second name, unescaped": rdns([(CN, "bob,CN=root")]),
    "a second name in an organisation": rdns([(O, "x,CN=root")], [(CN, "bob")]),
    "an organisation before it": rdns([(O, "x")], [(CN, "root")]),
    "an organisation behind it": rdns([(CN, "root")], [(O, "x")]),
    "two names in one set": rdns([(CN, "bob"), (OU, "root")]),
    "no name": rdns([(O, "root")]),
    "nothing": x509.Name([]),
    "line end": rdns([(CN, "root\r\nX-Client-Role: admin")]),
    "line end at the end": rdns([(CN, "root\n")]),
    "nul": rdns([(CN, "root\0.example.com")]),
    "space at the end": rdns([(CN, "root ")]),
    "space in it": rdns([(CN, "root root")]),
    "placeholder": rdns([(CN, "{env.HOME}")]),
    "placeholder of the request": rdns([(CN, "{http.request.header.x-client-user}")]),
    "backslash": rdns([(CN, "root\\")]),
    "backslash before a plus": rdns([(CN, "root\\+x")]),
    "slash": rdns([(CN, "../root")]),
    "quotes": rdns([(CN, '"root"')]),
    "hash": rdns([(CN, "#root")]),
    "right-to-left mark": rdns([(CN, "root\u200f")]),
    "other script": rdns([(CN, "\u0440oot")]),
    "begins with a dot": rdns([(CN, ".root")]),
    "begins with a plus": rdns([(CN, "+root")]),
    "percent": rdns([(CN, "ro%6ft")]),
    "html": rdns([(CN, "<script>alert(1)</script>")]),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_subject_is_refused_and_not_shown(gate: Gate, fault: str) -> None:
    client = gate.issue(HOSTILE[fault])
    reply = gate.ask(client, [("x-client-user", "root"), ("accept", "text/html")])
    assert reply.status in (0, 403)
    if reply.status:
        assert "does not name a user" in reply.body
        assert "root" not in reply.body
        assert "script" not in reply.body


def test_of_two_common_names_caddy_knows_the_last_alone(gate: Gate) -> None:
    """Go's subject has room for one, so the gate cannot tell: the authority must never sign two."""
    client = gate.issue(rdns([(CN, "bob")], [(CN, "root")]))
    assert named(gate.ask(client).told, *OURS) == expected(client, "root")


@pytest.mark.parametrize(
    "address",
    [
        "root@example.com\r\nX-Client-User: root",
        "root@example.com\n",
        "no address",
        "@",
        "root@exam ple.com",
        "root@example.com, x@example.com",
        "root@\x7f",
    ],
)
def test_a_hostile_address_is_left_out(gate: Gate, address: str) -> None:
    client = gate.issue("bob", x509.RFC822Name._init_without_validation(address))
    reply = gate.ask(client, [("x-client-email", "root@example.com")])
    assert named(reply.told, *OURS) == expected(client, "bob")


def test_a_placeholder_in_an_address_stays_text(gate: Gate) -> None:
    address = "{env.HOME}@example.com"
    client = gate.issue("bob", x509.RFC822Name._init_without_validation(address))
    assert named(gate.ask(client).told, *OURS) == expected(client, "bob", address)


def test_only_the_first_address_is_told(gate: Gate) -> None:
    client = gate.issue("bob", x509.RFC822Name("bob@example.com"), x509.RFC822Name("root@example.com"))
    assert named(gate.ask(client).told, *OURS) == expected(client, "bob", "bob@example.com")
