# SPDX-License-Identifier: Apache-2.0
"""Where a home keeps its files, and the settings its operator may change."""

import os
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pivgate.errors import HomeError, StorageError
from pivgate.files import read_file

HOME_VARIABLE = "PIVGATE_HOME"

SERVICE = "pivgate.service"
"""The systemd service that keeps the gate of a machine."""

# A unix socket's path must fit in sockaddr_un.sun_path, 108 bytes with the final NUL (unix(7)).
_SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True)
class Home:
    """The folder in which everything about one gate is kept, and the name of each part in it."""

    root: Path

    @property
    def settings(self) -> Path:
        """The operator's settings, TOML."""
        return self.root / "settings.toml"

    @property
    def lock(self) -> Path:
        """Held by every command that changes the home."""
        return self.root / "lock"

    @property
    def authority_certificate(self) -> Path:
        """The authority's certificate, PEM."""
        return self.root / "authority" / "ca.pem"

    @property
    def authority_key(self) -> Path:
        """The authority's private key, PKCS#8 encrypted, PEM."""
        return self.root / "authority" / "ca.key"

    @property
    def registry(self) -> Path:
        """The registry, SQLite."""
        return self.root / "registry.sqlite"

    @property
    def audit_head(self) -> Path:
        """The last event's number and hash, outside the registry, so that truncation is found."""
        return self.root / "audit.head"

    @property
    def access(self) -> Path:
        """The access tree: ``<group>/<SHA-256 fingerprint of a certificate>``."""
        return self.root / "access"

    @property
    def reserve(self) -> Path:
        """Worth nothing but its size: space for taking access away on a full disk."""
        return self.root / "reserve"

    @property
    def caddyfile(self) -> Path:
        """The operator's Caddyfile."""
        return self.root / "gate" / "Caddyfile"

    @property
    def snippet(self) -> Path:
        """The file that defines the ``pivgate`` snippet, written by us."""
        return self.root / "gate" / "pivgate.caddy"

    @property
    def probes(self) -> Path:
        """Certificates that the gate must refuse, with their keys."""
        return self.root / "gate" / "probes"

    @property
    def upstreams(self) -> Path:
        """For each site whose upstream is reached by mutual TLS, a folder with that upstream's authority."""
        return self.root / "upstream"

    @property
    def run(self) -> Path:
        """Sockets, process id and log of the running gate."""
        return self.root / "run"

    @property
    def admin_socket(self) -> Path:
        """Caddy's admin API."""
        return self.run / "admin.sock"

    @property
    def verdict_socket(self) -> Path:
        """Where the running gate says whether it would admit a fingerprint to a group."""
        return self.run / "verdict.sock"

    @property
    def caddy_pid(self) -> Path:
        """Process id of the Caddy that ``pivgate up`` started."""
        return self.run / "caddy.pid"

    @property
    def severing(self) -> Path:
        """There while all open connections are to be ended and that is not done yet."""
        return self.run / "severing.json"

    @property
    def severed(self) -> Path:
        """When severings ended of which no event tells yet."""
        return self.root / "severed.json"

    @property
    def successor(self) -> Path:
        """There while systemd is asked to start a second Caddy in the gate's service."""
        return self.run / "successor"

    @property
    def caddy_log(self) -> Path:
        """What Caddy wrote on its standard error."""
        return self.run / "caddy.log"

    @property
    def caddy_storage(self) -> Path:
        """Caddy's own data: server certificates, its internal authority."""
        return self.root / "caddy"

    def check_socket_paths(self) -> None:
        """Refuse a home whose path leaves no room for its sockets.

        Raises:
            HomeError: A socket's path would be longer than the system allows.
        """
        longest = max((self.admin_socket, self.verdict_socket), key=lambda path: len(os.fsencode(path)))
        length = len(os.fsencode(longest))
        if length > _SOCKET_PATH_LIMIT:
            raise HomeError(
                f"The path of the home is too long: {longest} has {length} bytes, "
                f"a unix socket allows {_SOCKET_PATH_LIMIT}",
                "Choose a home with a shorter path, with --home or PIVGATE_HOME.",
            )


def default_home() -> Path:
    """Return the home to use when none is named.

    ``$PIVGATE_HOME``; else ``/var/lib/pivgate`` for root; else ``$XDG_DATA_HOME/pivgate``, which is
    ``~/.local/share/pivgate`` when unset.
    """
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/pivgate")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "pivgate"


@dataclass(frozen=True)
class Settings:
    """What an operator may set in ``settings.toml``; each value has a default.

    Attributes:
        contact: Whom a refused holder is told to ask, one line.
        client_days: Days a new client certificate is valid.
        crl_days: Days until the next revocation list is due.
        write_timeout: Seconds that one request and its answer may take; 0 for no limit.
        stream_timeout: Seconds that a WebSocket may last; 0 for no limit.
    """

    contact: str = ""
    client_days: int = 365
    crl_days: int = 30
    write_timeout: int = 0
    stream_timeout: int = 0


_MONTH = 31 * 24 * 3600
_LIMITS = {
    "client_days": (1, 3650),
    "crl_days": (1, 365),
    "write_timeout": (0, _MONTH),
    "stream_timeout": (0, _MONTH),
}


def parse_settings(text: str, source: str) -> Settings:
    """Read settings from TOML.

    Args:
        text: The file's content.
        source: The file's name, for the error.

    Raises:
        StorageError: It is not TOML, or a name or value in it is not known; line and column are named.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StorageError(
            f"{source} is damaged: {_placed(str(error), text)}",
            "Mend that line, or restore the file; nothing was changed.",
        ) from error
    known = {field.name: type(field.default) for field in fields(Settings)}
    for name, value in values.items():
        where = _position(text, name)
        if name not in known:
            raise StorageError(
                f"{source}{where}: there is no setting {name!r}", f"The settings are: {', '.join(known)}."
            )
        _check_value(name, value, known[name], f"{source}{where}")
    return Settings(**values)


def _check_value(name: str, value: Any, kind: type, where: str) -> None:
    if type(value) is not kind:
        raise StorageError(
            f"{where}: {name} must be {'a text' if kind is str else 'a whole number'}, not {value!r}",
            "Mend that line and run the command again.",
        )
    if isinstance(value, int) and not _LIMITS[name][0] <= value <= _LIMITS[name][1]:
        low, high = _LIMITS[name]
        raise StorageError(f"{where}: {name} must be from {low} to {high}, not {value}", "Mend that line.")
    if isinstance(value, str) and not value.isprintable():
        raise StorageError(f"{where}: {name} must be one line of printable text", "Mend that line.")


def _placed(reason: str, text: str) -> str:
    """Name the place where tomllib only says that the text ended too early."""
    lines = text.splitlines() or [""]
    place = f"(at line {len(lines)}, column {len(lines[-1]) + 1}, the end)"
    return reason.replace("(at end of document)", place)


def _position(text: str, name: str) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(rf"\s*\[?{re.escape(name)}\b", line):
            return f", line {number}, column {match.end() - len(name) + 1}"
    return ""


def load_settings(home: Home) -> Settings:
    """Read a home's settings.

    Raises:
        HomeError: There is no home there.
        StorageError: The file cannot be read or is damaged.
    """
    try:
        there = home.root.is_dir() and home.settings.exists()
    except OSError as error:
        raise HomeError(
            f"{home.root} cannot be a pivgate home: {error.strerror}",
            "Name another with --home or PIVGATE_HOME.",
        ) from error
    if not there:
        raise HomeError(
            f"There is no pivgate home at {home.root}",
            "Create one with `pivgate init`, or name another with --home or PIVGATE_HOME.",
        )
    try:
        text = read_file(home.settings).decode()
    except UnicodeDecodeError as error:
        raise StorageError(
            f"{home.settings} is damaged: byte {error.start} is not UTF-8", "Restore the file."
        ) from error
    return parse_settings(text, str(home.settings))
