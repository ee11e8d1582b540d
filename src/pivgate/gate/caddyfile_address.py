# SPDX-License-Identifier: Apache-2.0
"""What may be written into a Caddyfile on somebody's behalf: addresses, upstreams, and what ``tls`` takes.

Everything is checked against a small grammar of its own, so that no name typed at a shell becomes a
directive, a placeholder, a comment or a second site.
"""

import ipaddress
import re
from contextlib import suppress
from typing import Final

from pivgate.errors import InputError

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ADDRESS = re.compile(rf"(?:https://)?(?P<host>(?:\*\.)?{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>[0-9]{{1,5}}))?")
_HOST_LIMIT: Final = 253

_UPSTREAM = re.compile(
    r"(?:(?:https?|h2c)://)?"
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\])?"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_UNIX_UPSTREAM = re.compile(r"unix(?:\+h2c)?//[A-Za-z0-9_./@+,=-]+")
_UPSTREAM_RULE: Final = (
    "Write host:port, such as 10.0.0.1:8000 or [::1]:8000; a URL with http, https or h2c and no path; "
    "or unix//path/of/socket."
)

_FILE = r"/[A-Za-z0-9_./@+,=-]+"
_TLS = re.compile(rf"|internal|[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+|{_FILE} {_FILE}")

# Names that no public authority certifies, besides those for which Caddy itself already knows it
# (localhost, .localhost, .local, .internal, .home.arpa and names without a dot). RFC 6761; SSAC SAC113.
_PRIVATE_NAMES: Final = (
    "test", "example", "invalid", "onion", "alt", "lan", "home", "corp", "mail", "intranet", "private",
)  # fmt: skip


def check_address(address: str) -> None:
    """Accept the address of a site that can be gated: a name, with a port if need be.

    Raises:
        InputError: It is anything else; an IP address and plain HTTP get their own words.
    """
    if address.startswith("http://") or address.rpartition(":")[2] == "80":
        raise InputError(
            f"{_shown(address)} is plain HTTP, where nobody can show a certificate",
            "Leave http:// and port 80 away: Caddy redirects from there to HTTPS by itself.",
        )
    bare = address.removeprefix("https://").strip("[]")
    for candidate in (bare, bare.rpartition(":")[0].strip("[]")):
        with suppress(ValueError):
            ipaddress.ip_address(candidate)
            raise InputError(
                f"{_shown(address)} is an IP address: no browser names it in the TLS handshake, so Caddy "
                "refuses every request for it",
                "Give the site a name, such as app.internal, and put it in DNS or /etc/hosts.",
            )
    match = _ADDRESS.fullmatch(address.lower())
    # A line that begins with the bare word `import` is no site's.
    taken = address == "import"
    if taken or match is None or len(match["host"]) > _HOST_LIMIT or not _is_port(match["port"]):
        raise InputError(
            f"{_shown(address)} cannot be the address of a site",
            "Write a name such as app.example.com, or app.example.com:8443; no path, no placeholder.",
        )


def check_upstream(upstream: str) -> None:
    """Accept what one ``reverse_proxy`` may forward to.

    Raises:
        InputError: It is anything else.
    """
    match = _UPSTREAM.fullmatch(upstream)
    if _UNIX_UPSTREAM.fullmatch(upstream):
        return
    if match is None or upstream == "" or upstream.endswith("://") or not _is_port(match["port"]):
        raise InputError(f"{_shown(upstream)} cannot be an upstream", _UPSTREAM_RULE)


def check_tls(tls: str) -> None:
    """Accept what may follow the group: nothing, ``internal``, an e-mail address, or certificate and key.

    Raises:
        InputError: It is anything else.
    """
    if not _TLS.fullmatch(tls):
        raise InputError(
            f"{_shown(tls)} cannot say where the site's own certificate comes from",
            "Write internal, an e-mail address for a public authority, or two paths: certificate and key.",
        )


def host_of(address: str) -> str:
    """Return an address's name without scheme and port, in small letters."""
    return key_of(address).partition("/")[0].partition(":")[0]


def key_of(address: str) -> str:
    """Return what two spellings of one address have in common: ``https://A.test:443`` is ``a.test``."""
    return address.lower().removeprefix("https://").rstrip("/").removesuffix(":443")


def default_tls(address: str) -> str:
    """Choose a new site's issuer: ``internal`` for names no public authority certifies, else nothing."""
    return "internal" if host_of(address).rpartition(".")[2] in _PRIVATE_NAMES else ""


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) < 65536


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")
