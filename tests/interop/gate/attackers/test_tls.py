# SPDX-License-Identifier: Apache-2.0
"""What TLS offers to whoever would be taken for somebody else: tickets, early data, renegotiation, ALPN."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.gate.attackers.conftest import Siege, sent
from tests.interop.gate.pki import Client, anonymous

pytestmark = pytest.mark.interop
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def s_client(siege: Siege, *arguments: str | Path, given: str, client: Client | None = None) -> str:
    """Let OpenSSL's client speak to the gate; return all that it says."""
    shown = ("-cert", client.pem, "-key", client.key) if client else ()
    # -ign_eof: whatever is given is sent, and the gate ends the connection.
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{siege.gate.port}", *shown, *arguments],
        input=given,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def get(siege: Siege, site: str) -> str:
    return f"GET / HTTP/1.1\r\nHost: {site}:{siege.gate.port}\r\nConnection: close\r\n\r\n"


def session_of(siege: Siege, context: ssl.SSLContext, site: str) -> ssl.SSLSession | None:
    """Make a request and return the session that could be resumed."""
    with siege.gate.connect(context, site) as connection:
        siege.gate.ask_on(connection, site)
        return connection.session


def resumed(siege: Siege, context: ssl.SSLContext, session: ssl.SSLSession | None, site: str) -> bytes:
    """Ask for a site with the session of another connection."""
    answer = b""
    try:
        with (
            socket.create_connection(("127.0.0.1", siege.gate.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=site, session=session) as secured,
        ):
            secured.sendall(get(siege, site).encode())
            while data := secured.recv(65536):
                answer += data
            assert not secured.session_reused
    except (ssl.SSLError, ConnectionError):
        pass
    return answer


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("site", ["a.test", "b.test", "x.wide.test"])
def test_a_session_of_the_open_site_opens_no_other(siege: Siege, version: ssl.TLSVersion, site: str) -> None:
    context = anonymous()
    context.minimum_version = context.maximum_version = version
    session = session_of(siege, context, "open.test")
    assert session is not None
    assert session.has_ticket, "there is something to try"
    assert resumed(siege, context, session, site) == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_one_site_opens_no_other(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    for who, first, second in (("bob", "b.test", "a.test"), ("mallory", "a.test", "b.test")):
        context = contexts(who)
        context.minimum_version = context.maximum_version = version
        session = session_of(siege, context, first)
        assert session is None or not session.has_ticket
        answer = resumed(siege, context, session, second)
        assert b"HTTP/1.1 403" in answer
        answer = resumed(siege, context, session, first)
        assert (b"upstream" in answer) == (who == "bob")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_of_a_holder_is_of_no_use_to_others(siege: Siege, tmp_path: Path, version: str) -> None:
    """OpenSSL keeps whatever it can of alice's connection, and comes back without her certificate."""
    kept = tmp_path / "session"
    first = s_client(
        *(siege, "-ign_eof", "-servername", "a.test", version, "-sess_out", kept),
        given=get(siege, "a.test"),
        client=siege.alice,
    )
    assert "upstream" in first
    for client in (None, siege.bob, siege.mallory):
        again = s_client(
            *(siege, "-ign_eof", "-servername", "a.test", version),
            *(("-sess_in", kept) if kept.exists() else ()),
            given=get(siege, "a.test"),
            client=client,
        )
        assert "Reused, TLS" not in again
        assert "upstream" not in again


def test_no_data_is_taken_early(siege: Siege, tmp_path: Path) -> None:
    """0-RTT: a request in the first flight, under a session of the open site."""
    kept, early = tmp_path / "session", tmp_path / "early"
    s_client(
        *(siege, "-ign_eof", "-servername", "open.test", "-tls1_3", "-sess_out", kept),
        given=get(siege, "open.test"),
    )
    assert kept.exists()
    early.write_text(get(siege, "a.test"))
    for site in ("open.test", "a.test"):
        said = s_client(
            *(siege, "-ign_eof", "-servername", site, "-tls1_3", "-sess_in", kept, "-early_data", early),
            given=get(siege, "a.test"),
        )
        assert "Early data was accepted" not in said
        assert "upstream" not in said


def test_nobody_renegotiates(siege: Siege) -> None:
    """TLS 1.2: mallory shakes hands and then asks for another handshake, as alice would like to be asked."""
    said = s_client(
        *(siege, "-servername", "b.test", "-tls1_2"),
        given="R\n" + get(siege, "a.test"),
        client=siege.mallory,
    )
    assert "RENEGOTIATING" in said
    assert "upstream" not in said


ALPN = (
    None,
    ["http/1.1"],
    ["h2"],
    ["h3"],
    ["acme-tls/1"],
    ["http/1.0"],
    ["x" * 255],
    ["h2", "http/1.1", "acme-tls/1"],
    [f"p{number}" for number in range(2000)],
)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "mallory", "bob"])
def test_no_application_protocol_opens_a_site(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext], who: str
) -> None:
    for protocols in ALPN:
        context = contexts(who)
        if protocols is not None:
            context.set_alpn_protocols(protocols)
        else:
            context = _without_alpn(siege, who)
        answer = b""
        try:
            with (
                socket.create_connection(("127.0.0.1", siege.gate.port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="a.test") as secured,
            ):
                secured.settimeout(0.2)
                secured.sendall(get(siege, "a.test").encode())
                while data := secured.recv(65536):
                    answer += data
        except (OSError, ssl.SSLError):
            pass
        assert b"upstream" not in answer
        assert who in ("mallory", "bob") or answer == b""


def _without_alpn(siege: Siege, who: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if who in ("mallory", "bob"):
        client = getattr(siege, who)
        context.load_cert_chain(client.pem, client.key)
    return context


def test_a_certificate_is_not_taken_over_by_the_next_request(
    siege: Siege, contexts: Callable[[str], ssl.SSLContext]
) -> None:
    """Bob and alice in turn, through the same gate to the same upstream: each is told as themselves."""
    for _ in range(10):
        for who, site in (("bob", "b.test"), ("alice", "a.test"), ("mallory", "a.test")):
            answer = sent(siege, contexts(who), site, get(siege, site).encode())
            assert (b"upstream" in answer) == (who != "mallory")


RECORDS = {
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "SSL 2": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0") + bytes(16),
    "a record of 64 kB": b"\x16\x03\x01\xff\xff" + bytes(65535),
    "an alert first": b"\x15\x03\x03\x00\x02\x02\x28",
    "data first": b"\x17\x03\x03\x00\x20" + bytes(32),
    "change of cipher a thousand times": b"\x14\x03\x03\x00\x01\x01" * 1000,
    "empty records": b"\x16\x03\x01\x00\x00" * 10_000,
    "a hello of 16 MB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380),
    "PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
    "noise": bytes(range(256)) * 64,
}


def test_what_is_no_handshake_gets_nothing(siege: Siege) -> None:
    for name, data in RECORDS.items():
        with socket.create_connection(("127.0.0.1", siege.gate.port), timeout=20) as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while more := connection.recv(65536):
                    answer += more
            except OSError:
                pass
        assert b"upstream" not in answer, name
        assert b"welcome" not in answer, name
