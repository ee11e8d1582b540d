# SPDX-License-Identifier: Apache-2.0
"""Everything behind the browser: a home made by the real commands, its gate, a web app, keys in readers."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.card_table import CardTable
from tests.interop.browsers.upstream import Upstream, upstream
from tests.ports import free_port

from pivgate.settings import Home

PASSPHRASE = "correct horse battery staple"
PIN = "246813"
PUK = "97531246"
WRONG_PIN = "999999"

OPEN_SITE, OTHER_SITE, CLOSED_SITE = "app.localhost", "wiki.localhost", "payroll.localhost"
"""Two sites for everybody with a key, and one for the group ``finance``."""

HELP_SITE = "help.localhost"
"""A site of the operator's without a gate: what people may need who cannot log in."""

_HELP = """
help.localhost {
	header Content-Type "text/html; charset=utf-8"
	respond `<!DOCTYPE html><title>Help</title>
<body style="font: 1.2rem/1.6 sans-serif; margin: 3rem"><h1>Your key does not open a site?</h1>
<p>The PIN is blocked after three wrong ones. Carol, room 12, has the PUK.</p>`
}
"""

_serials = count(31000001)


@dataclass(frozen=True)
class Stage:
    """A home with its gate up.

    Attributes:
        root: Folder of its own.
        home: The home.
        port: Where its sites are.
        app: The web app behind them.
    """

    root: Path
    home: Home
    port: int
    app: Upstream

    @property
    def server_authority(self) -> Path:
        """The root certificate of Caddy's internal issuer, PEM."""
        return self.home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def url(self, site: str, path: str = "/") -> str:
        """Return the address of a page."""
        return f"https://{site}:{self.port}{path}"

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run pivgate on this home; it must succeed.

        Args:
            environment: The whole environment, when it is to find keys.
        """
        done = subprocess.run(
            [sys.executable, "-m", "pivgate", "--home", self.home.root, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env={**(environment or os.environ), "NO_COLOR": "1"},
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def provision(self, table: CardTable, user: str, serial: int, algorithm: str = "p384") -> None:
        """Provision a key that is in one of the table's readers, over PC/SC."""
        self.run(
            *("key", "provision", "--user", user, "--serial", str(serial), "--algorithm", algorithm),
            *("--passphrase-file", self.root / "passphrase"),
            *("--pin-file", self.root / "pin", "--puk-file", self.root / "puk"),
            environment=table.environment,
        )


def new_serial() -> int:
    """Return a serial number that no other key of this process has."""
    return next(_serials)


@contextmanager
def stage(algorithm: str = "ed25519", authority: str = "Example authority") -> Iterator[Stage]:
    """Set the stage; strike it afterwards, whatever happened.

    Args:
        algorithm: Of the authority's key.
        authority: Its common name.
    """
    # Not pytest's tmp_path: the path of a unix socket has to be short.
    root = Path(tempfile.mkdtemp(prefix="pgb"))
    home = Home(root / "home")
    try:
        with upstream() as app:
            made = Stage(root, home, free_port(), app)
            try:
                _build(made, algorithm, authority)
                yield made
            finally:
                if home.settings.exists():
                    made.run("down")
    finally:
        shutil.rmtree(root)


def _build(made: Stage, algorithm: str, authority: str) -> None:
    for name, secret in (("passphrase", PASSPHRASE), ("pin", PIN), ("puk", PUK)):
        (made.root / name).write_text(secret)
    made.run(
        *("init", "--algorithm", algorithm, "--listen", "127.0.0.1", "--contact", "Carol, room 12"),
        *("--subject", f"CN={authority}"),
        *("--https-port", str(made.port), "--http-port", str(free_port())),
        *("--passphrase-file", made.root / "passphrase"),
    )
    made.run("group", "add", "finance")
    for site, group in ((OPEN_SITE, "everyone"), (OTHER_SITE, "everyone"), (CLOSED_SITE, "finance")):
        made.run("site", "add", site, f"127.0.0.1:{made.app.port}", "--allow", group)
    with made.home.caddyfile.open("a") as caddyfile:
        caddyfile.write(_HELP)
    made.run("up")
