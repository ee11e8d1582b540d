# SPDX-License-Identifier: Apache-2.0
"""How the Caddyfile says that an upstream is reached by mutual TLS."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from pivgate.errors import InputError
from pivgate.gate.caddyfile import Site, add_site, remove_site, sites
from pivgate.gate.proven import fingerprint_of_sources
from pivgate.gate.upstream_block import UpstreamFolder, folder_of, server_name, tls_upstream, transport
from pivgate.settings import Home

FOLDER = UpstreamFolder(Path("/home/pi v/upstream/mysite.com"))


@pytest.mark.parametrize(
    ("upstream", "dialled", "host"),
    [
        ("10.0.0.5:8443", "https://10.0.0.5:8443", ip_address("10.0.0.5")),
        ("https://10.0.0.5:8443", "https://10.0.0.5:8443", ip_address("10.0.0.5")),
        ("[fd00::5]:8443", "https://[fd00::5]:8443", ip_address("fd00::5")),
        ("App.Internal:443", "https://app.internal:443", "app.internal"),
        ("my_app:8443", "https://my_app:8443", "my_app"),
    ],
)
def test_an_upstream_over_tls(upstream: str, dialled: str, host: object) -> None:
    assert tls_upstream(upstream) == (dialled, host)


@pytest.mark.parametrize(
    "upstream",
    [
        "http://10.0.0.5:8443",
        "h2c://10.0.0.5:8443",
        "unix//run/app.sock",
        ":8443",
        "10.0.0.5",
        "https://app.internal",
        "[fd00::5]",
        "10.0.0.300:8443",
        "0.0.0.0:8443",
        "[::]:8443",
        "app..internal:8443",
        "app.internal.:8443",
        "-app:8443",
        "app:0",
        "app:65536",
        "app:8443/path",
        "{env.APP}:8443",
        "app:8443 other:8443",
        "",
    ],
)
def test_what_is_not_reached_by_tls_is_refused(upstream: str) -> None:
    with pytest.raises(InputError):
        tls_upstream(upstream)


def test_the_block_and_back() -> None:
    before = "# mine\n"
    site = Site("mysite.com", "https://10.0.0.5:8443", "admins")
    text = add_site(before, site, transport(FOLDER, "mysite.com"))
    assert text == (
        "# mine\n"
        "\n"
        "mysite.com {\n"
        "\timport pivgate admins {\n"
        "\t\treverse_proxy https://10.0.0.5:8443 {\n"
        "\t\t\theader_up Host {hostport}\n"
        "\t\t\ttransport http {\n"
        '\t\t\t\ttls_client_auth "/home/pi v/upstream/mysite.com/gate.pem"'
        ' "/home/pi v/upstream/mysite.com/gate.pem"\n'
        '\t\t\t\ttls_trust_pool file "/home/pi v/upstream/mysite.com/ca.pem"\n'
        "\t\t\t\ttls_server_name mysite.com\n"
        "\t\t\t}\n"
        "\t\t}\n"
        "\t}\n"
        "}\n"
    )
    assert sites(text) == [site]
    assert remove_site(text, "mysite.com") == before
    assert FOLDER.is_in(text)
    assert not UpstreamFolder(FOLDER.path.with_name("mysite.co")).is_in(text)


def test_the_name_that_the_gate_asks_for() -> None:
    assert server_name("https://MySite.com:8443", ip_address("10.0.0.5")) == "mysite.com"
    assert server_name("*.mysite.com", ip_address("10.0.0.5")) == "10.0.0.5"
    assert server_name("*.mysite.com", "app.internal") == "app.internal"


def test_another_certificate_of_the_gate_is_another_source(tmp_path: Path) -> None:
    home = Home(tmp_path)
    used, unused = folder_of(home, "used.test"), folder_of(home, "unused.test")
    for folder in (used, unused):
        folder.path.mkdir(parents=True)
        folder.gate.write_bytes(b"old")
    home.caddyfile.parent.mkdir()
    home.caddyfile.write_text("\n".join(transport(used, "used.test")))
    home.snippet.write_text("")
    before = fingerprint_of_sources(home)
    unused.gate.write_bytes(b"new")
    assert fingerprint_of_sources(home) == before
    used.gate.write_bytes(b"new")
    assert fingerprint_of_sources(home) != before
