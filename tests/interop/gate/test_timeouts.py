# SPDX-License-Identifier: Apache-2.0
"""The longest life of a request, on the running gate: after it, no further byte of any answer comes."""

import time
from collections.abc import Iterator

import pytest
from tests.interop.gate.conftest import Place
from tests.interop.gate.pki import Client
from tests.interop.gate.standing_gate import StandingGate
from tests.interop.gate.streams import HOST, SILENT, SITE, TICK, Stream, endless, open_streams

from pivgate.gate.admin import AdminApi
from pivgate.gate.apply import up

pytestmark = pytest.mark.interop


@pytest.fixture
def streaming(place: Place) -> Iterator[Place]:
    with endless() as upstream:
        place.write(SITE.format(upstream=upstream))
        yield place


def falls_silent(stream: Stream, patience: float = 10.0) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = stream.received
        time.sleep(25 * TICK)
        if stream.received == before:
            return True
    return False


def streaming_of(client: Client, place: Place) -> dict[str, Stream]:
    return {one.name: one for one in open_streams(client, place.port) if one.name not in (*SILENT, "idle")}


def test_without_a_limit_nothing_ends(streaming: Place, alice: Client) -> None:
    up(streaming.home)

    streams = streaming_of(alice, streaming)

    assert len(streams) == 5
    assert [name for name, stream in streams.items() if falls_silent(stream, 1.5)] == []


@pytest.mark.parametrize(
    ("settings", "ending"),
    [
        ("write_timeout = 1", {"events", "download", "HTTP/2 events", "HTTP/2 download"}),
        ("stream_timeout = 1", {"websocket"}),
    ],
)
def test_each_limit_ends_what_it_is_for(
    streaming: Place, alice: Client, settings: str, ending: set[str]
) -> None:
    streaming.home.settings.write_text(settings)
    up(streaming.home)

    streams = streaming_of(alice, streaming)

    assert {name for name in ending if falls_silent(streams[name])} == ending
    assert [name for name in set(streams) - ending if falls_silent(streams[name], 1.5)] == []


def test_an_upload_is_limited_like_an_answer(streaming: Place, alice: Client) -> None:
    streaming.home.settings.write_text("write_timeout = 1")
    up(streaming.home)

    upload = next(one for one in open_streams(alice, streaming.port) if one.name == "upload")

    assert upload.await_end(10)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_connection_on_which_nothing_is_asked_ends_when_the_caddyfile_says(
    streaming: Place, alice: Client, protocol: str
) -> None:
    text = streaming.home.caddyfile.read_text()
    streaming.home.caddyfile.write_text(
        text.replace("\tservers {\n", "\tservers {\n\t\ttimeouts {\n\t\t\tidle 1s\n\t\t}\n")
    )
    up(streaming.home)
    gate = StandingGate(streaming.home.root, streaming.home.authority_certificate, port=streaming.port)

    with gate.connect(alice.context(), HOST, protocol) as connection:
        assert gate.ask_on(connection, HOST, path="/short", protocol=protocol).status == 200
        connection.settimeout(20)
        while connection.recv(65536):
            pass


def test_the_caddyfile_may_be_stricter(streaming: Place) -> None:
    streaming.home.settings.write_text("write_timeout = 60\nstream_timeout = 60")
    text = streaming.home.caddyfile.read_text()
    streaming.home.caddyfile.write_text(
        text.replace("\tservers {\n", "\tservers {\n\t\ttimeouts {\n\t\t\twrite 5s\n\t\t}\n")
    )
    up(streaming.home)

    servers = AdminApi(streaming.home.admin_socket).config()["apps"]["http"]["servers"].values()

    assert {server["write_timeout"] for server in servers} == {5_000_000_000}
    assert {server["read_timeout"] for server in servers} == {60_000_000_000}
