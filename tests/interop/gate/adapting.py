# SPDX-License-Identifier: Apache-2.0
"""Caddyfiles beside our snippet, adapted by the real Caddy; their paths are of a home that is not there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pivgate.gate.config_audit import AuditInput
from pivgate.gate.snippet import SnippetInput, initial_caddyfile, render

CADDY = Path(sys.executable).with_name("caddy")
GOLDEN = Path(__file__).parents[2] / "golden" / "gate"

HOME = Path("/var/lib/pivgate")
SNIPPET = SnippetInput(
    authority_pem=HOME / "authority" / "ca.pem",
    access=HOME / "access",
    verdict_socket=HOME / "run" / "verdict.sock",
    contact="Carol, carol@example.com",
)
EXPECTED = AuditInput(
    authority_pem=SNIPPET.authority_pem,
    access=SNIPPET.access,
    admin_socket=HOME / "run" / "admin.sock",
    verdict_socket=SNIPPET.verdict_socket,
)
HEAD = initial_caddyfile(EXPECTED.admin_socket)


class AdaptError(Exception):
    """Caddy does not take a Caddyfile; its words."""


def adapt(caddyfile: str, folder: Path) -> dict[str, Any]:
    """Adapt a Caddyfile in a folder, beside the snippet.

    Raises:
        AdaptError: Caddy does not take it.
    """
    snippet = render(SNIPPET)
    (folder / "pivgate.caddy").write_text(snippet)
    (folder / "pivgate.caddy.without-verdict").write_text(snippet[: snippet.index("http://pivgate.verdict")])
    upgrade = snippet[snippet.index("\t\t@pivgate_upgrade") : snippet.index("\t\t@pivgate_unlisted")]
    (folder / "pivgate.caddy.without-upgrade").write_text(snippet.replace(upgrade, ""))
    (folder / "Caddyfile").write_text(caddyfile, newline="")
    done = subprocess.run(
        [CADDY, "adapt", "--config", folder / "Caddyfile"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AdaptError(done.stderr)
    config = json.loads(done.stdout)
    assert isinstance(config, dict)
    return config
