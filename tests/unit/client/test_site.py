# SPDX-License-Identifier: Apache-2.0
import pytest

from pivgate.client.site import Site, parse_site
from pivgate.errors import InputError


@pytest.mark.parametrize(
    ("url", "connect_to", "site"),
    [
        ("https://MySite.com", None, Site("mysite.com", 443, "/", ("mysite.com", 443))),
        ("mysite.com/a?b=c#d", None, Site("mysite.com", 443, "/a?b=c", ("mysite.com", 443))),
        ("https://app.localhost:8443", None, Site("app.localhost", 8443, "/", ("localhost", 8443))),
        ("https://mysite.com", "10.0.0.1:8443", Site("mysite.com", 443, "/", ("10.0.0.1", 8443))),
        ("https://mysite.com", "[::1]:443", Site("mysite.com", 443, "/", ("::1", 443))),
        ("https://[::1]:8443/", None, Site("::1", 8443, "/", ("::1", 8443))),
        (
            "https://bücher.example/",
            None,
            Site("xn--bcher-kva.example", 443, "/", ("xn--bcher-kva.example", 443)),
        ),
    ],
)
def test_a_url_is_read(url: str, connect_to: str | None, site: Site) -> None:
    assert parse_site(url, connect_to) == site


def test_the_names_of_a_site() -> None:
    assert parse_site("https://mysite.com/x").origin == "https://mysite.com"
    assert parse_site("https://mysite.com:8443/x").authority == "mysite.com:8443"
    assert parse_site("https://[::1]:8443/x").origin == "https://[::1]:8443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "http://mysite.com/",
        "ftp://mysite.com/",
        "https://alice@mysite.com/",
        "https://mysite.com:0x1/",
        "https://mysite.com:70000/",
        "https://mysite.com/a b",
        "https://mysite.com/ä",
        "https://my\nsite.com/",
        "https://[::1/",
        "https://" + "ä" * 70 + ".com/",
    ],
)
def test_what_is_no_url_to_log_in_to(url: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_site(url)
    assert refusal.value.hint


@pytest.mark.parametrize("where", ["x", "x:", ":1", "x:0", "x:65536", "x:y", "::1:443", "a b:1", "h/x:1"])
def test_what_is_no_place_to_connect_to(where: str) -> None:
    with pytest.raises(InputError, match="not a host and a port"):
        parse_site("https://mysite.com/", where)
