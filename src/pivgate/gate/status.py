# SPDX-License-Identifier: Apache-2.0
"""What the gate is doing now, and whether that is what was proved."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pivgate.gate import process
from pivgate.gate.access import Drift, Entry, drift
from pivgate.gate.admin import AdminApi
from pivgate.gate.proven import fingerprint_of_sources, recall
from pivgate.gate.sever import is_unfinished
from pivgate.gate.sites import GatedSite
from pivgate.settings import Home


@dataclass(frozen=True)
class Status:
    """The state of a gate.

    Attributes:
        pid: Process id of the running Caddy; None when the gate is down and nothing is served.
        version: That Caddy's version; empty when unknown.
        sites: The gated sites that are served, as last proved.
        proved: Whether what is served is what was proved last.
        pending: Whether the Caddyfile or the snippet was changed since.
        drift: How the access tree differs from the registry.
        severing: Whether connections that were to be ended may still be open: a command was killed at that.
        last_words: The last error in Caddy's log when the gate has ended by itself; else empty.
    """

    pid: int | None
    version: str
    sites: tuple[GatedSite, ...]
    proved: bool
    pending: bool
    drift: Drift
    severing: bool = False
    last_words: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether the gate is up, serves what was proved, and only those whom the registry admits."""
        return self.pid is not None and self.proved and not self.drift and not self.severing

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "running": self.pid is not None,
            "pid": self.pid,
            "caddy": self.version,
            "sites": [asdict(site) for site in self.sites],
            "proved": self.proved,
            "pending": self.pending,
            "drift": {
                "extra": ["/".join(entry) for entry in sorted(self.drift.extra)],
                "missing": ["/".join(entry) for entry in sorted(self.drift.missing)],
                "foreign": sorted(self.drift.foreign),
            },
            "severing": self.severing,
            "last_words": self.last_words,
        }


def read_status(home: Home, wanted: Iterable[Entry]) -> Status:
    """Look at the gate; nothing is changed.

    Args:
        home: The home.
        wanted: Every entry that is to be in the access tree, from the registry.

    Raises:
        GateError: Caddy runs but does not answer.
        StorageError: The home cannot be read.
    """
    difference = drift(home.access, wanted)
    serving = process.running(home)
    if serving is None:
        # A pid file outlives only a Caddy that nobody stopped.
        words = process.last_complaint(home.caddy_log) if home.caddy_pid.exists() else ""
        return Status(None, "", (), proved=False, pending=False, drift=difference, last_words=words)
    severing = is_unfinished(home)
    proven = recall(home, serving.pid)
    if proven is None:
        return Status(serving.pid, "", (), proved=False, pending=True, drift=difference, severing=severing)
    return Status(
        serving.pid,
        proven.version,
        proven.sites,
        proved=process.can_be_asked(home)
        and AdminApi(home.admin_socket, timeout=5.0).config() == proven.config,
        pending=fingerprint_of_sources(home) != proven.sources,
        drift=difference,
        severing=severing,
    )
