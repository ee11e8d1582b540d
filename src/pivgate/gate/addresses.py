# SPDX-License-Identifier: Apache-2.0
"""Where Caddy listens: its notation for network addresses, read as something that can be connected to.

Source: https://caddyserver.com/docs/conventions#network-addresses
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import GateError

_TCP = re.compile(
    r"(?:tcp[46]?/)?(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\[\]:/{}\s]*))"
    r":(?P<low>[0-9]{1,5})(?:-(?P<high>[0-9]{1,5}))?"
)
_UNIX = re.compile(r"unix(?:\+h2c)?/(?P<path>[^|]+)(?:\|0?[0-7]{3})?")
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Tcp:
    """A TCP address.

    Attributes:
        host: Name or IP address; empty for all of the machine's.
        port: Port number.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_everywhere(self) -> bool:
        """Whether it stands for all addresses of the machine."""
        return self.host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound

    @property
    def near(self) -> "Tcp":
        """The same, to be reached from this machine."""
        if not self.is_everywhere:
            return self
        return Tcp("::1" if self.host == "::" else "127.0.0.1", self.port)


@dataclass(frozen=True)
class Unix:
    """A unix socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix/{self.path}"

    @property
    def near(self) -> "Unix":
        """The same: a unix socket is always on this machine."""
        return self


Endpoint = Tcp | Unix


def parse_listen(text: str) -> tuple[Endpoint, ...]:
    """Read one entry of a server's ``listen``; a range of ports gives several endpoints, UDP gives none.

    Raises:
        GateError: It is a kind of address that pivgate cannot connect to, so nothing about it can be proved.
    """
    if text.startswith(("udp/", "udp4/", "udp6/")):
        return ()
    if match := _UNIX.fullmatch(text):
        return (Unix(Path(match["path"])),)
    match = _TCP.fullmatch(text)
    low = int(match["low"]) if match else 0
    high = int(match["high"] or low) if match else 0
    if match is None or not 0 < low <= high <= _HIGHEST_PORT:
        raise GateError(
            f"A server listens on {text!r}, which pivgate cannot connect to, so nothing can be proved there",
            "Bind the site to an address and a port, such as `bind 127.0.0.1`.",
        )
    host = match["six"] or match["host"]
    return tuple(Tcp(host, port) for port in range(low, high + 1))
