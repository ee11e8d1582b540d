# SPDX-License-Identifier: Apache-2.0
"""Which site is meant, and where to connect for it. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pivgate.errors import InputError

_PORT = 443


@dataclass(frozen=True)
class Site:
    """A site as a URL names it.

    Attributes:
        host: Its name: sent in the handshake and checked against the server's certificate.
        port: Its port.
        path: What to ask for, with the query; begins with ``/``.
        address: Where to connect, host and port.
    """

    host: str
    port: int
    path: str
    address: tuple[str, int]

    @property
    def authority(self) -> str:
        """Host and port as in the Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORT else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin (RFC 6454, section 6.2)."""
        return f"https://{self.authority}"


def parse_site(url: str, connect_to: str | None = None) -> Site:
    """Read a URL.

    Args:
        url: With https:// or without.
        connect_to: Another host and port to connect to, ``HOST:PORT``; the site's name stays the same.

    Raises:
        InputError: It is not the URL of an HTTPS site, or carries a password.
    """
    written = url if "://" in url else f"https://{url}"
    try:
        parts = urlsplit(written)
        port = parts.port or _PORT
        host = parts.hostname or ""
    except ValueError as error:
        raise _unusable(url, str(error)) from error
    if parts.scheme != "https":
        raise _unusable(url, f"over {parts.scheme}:// nobody can show a certificate")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            "The URL carries a user name or a password", "Leave it away: the key logs in, not a password."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # urlsplit drops line ends and tabs, so the text is searched as it was written.
    if not host or not path.isascii() or re.search(r"[\s\x00-\x1f\x7f]", written):
        raise _unusable(url, "it has no host, or characters that have to be written as %XX")
    host = _ascii(host, url)
    return Site(host, port, path, _address(connect_to) if connect_to else (_reachable(host), port))


def _ascii(host: str, url: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError as error:
        raise _unusable(url, str(error)) from error


def _reachable(host: str) -> str:
    # Names below localhost are this machine's (RFC 6761, section 6.3); not every resolver knows.
    return "localhost" if host.endswith(".localhost") else host


def _address(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\s/]+)):(?P<port>[0-9]{1,5})", text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InputError(
            f"{text!a} is not a host and a port", "Write HOST:PORT, such as 10.0.0.1:443 or [::1]:8443."
        )
    return match["v6"] or match["host"], int(match["port"])


def _unusable(url: str, reason: str) -> InputError:
    return InputError(
        f"{url!a} is not a URL to log in to: {reason}", "Write https://, the site's name and a path."
    )
