# SPDX-License-Identifier: Apache-2.0
"""What was last proved on the running Caddy: a failed change goes back to it, status compares with it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from pivgate.files import read_file, write_atomic
from pivgate.gate.sites import GatedSite
from pivgate.gate.upstream_block import gate_certificates
from pivgate.settings import Home

PROVEN = "proven.json"
"""Name of the record in the run folder. It goes when the Caddy it was made on is stopped."""


@dataclass(frozen=True)
class Proven:
    """A configuration that was loaded and whose refusals were all tried.

    Attributes:
        pid: The Caddy it was proved on.
        version: That Caddy's version.
        sources: SHA-256 over what it came from, as :func:`fingerprint_of_sources`.
        config: Caddy's JSON.
        sites: The gated sites in it.
    """

    pid: int
    version: str
    sources: str
    config: dict[str, Any]
    sites: tuple[GatedSite, ...]


def record(home: Home, proven: Proven) -> None:
    """Keep it for the next command.

    Raises:
        StorageError: It cannot be written.
    """
    write_atomic(home.run / PROVEN, json.dumps(asdict(proven)).encode())


def recall(home: Home, pid: int) -> Proven | None:
    """Return what was last proved on the Caddy with this process id; None when nothing was, or it is lost."""
    try:
        kept = json.loads((home.run / PROVEN).read_bytes())
        sites = tuple(
            GatedSite(site["host"], site["port"], tuple(site["groups"]), tuple(site["listen"]))
            for site in kept.pop("sites")
        )
        proven = Proven(**kept, sites=sites)
    except (OSError, ValueError, KeyError, TypeError):
        # It is only a record of this machine's memory: without it, a failed change stops the gate.
        return None
    return proven if proven.pid == pid and isinstance(proven.config, dict) else None


def fingerprint_of_sources(home: Home) -> str:
    """Return the SHA-256 of what a configuration is made from.

    That is the Caddyfile, the snippet, and the certificates by which upstreams know the gate: Caddy reads
    them when it loads a configuration.

    Raises:
        StorageError: One of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in (home.caddyfile, home.snippet, *gate_certificates(home)):
        digest.update(hashlib.sha256(read_file(path)).digest())
    return digest.hexdigest()
