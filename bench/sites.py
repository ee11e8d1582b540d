# SPDX-License-Identifier: Apache-2.0
"""What stands behind and beside the gate while it is measured: all of it the same Caddy."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.place import Place, free_port
from pivgate.files import PUBLIC_FILE, read_file, write_atomic
from pivgate.gate.apply import up
from pivgate.gate.caddy import find_caddy
from pivgate.gate.caddyfile import Site, add_site

SITE = "localhost"
_START_PATIENCE = 15.0


@contextmanager
def static_upstream() -> Iterator[int]:
    """Run a Caddy that answers 200 to everything, and yield its port."""
    port = free_port()
    with caddy(f'{{\n\tadmin off\n}}\nhttp://127.0.0.1:{port} {{\n\trespond "ok" 200\n}}\n', port):
        yield port


@contextmanager
def caddy(caddyfile: str, port: int) -> Iterator[Path]:
    """Run a Caddy of our own, and end it.

    Args:
        caddyfile: What it serves.
        port: A port on which it listens when it is ready.

    Yields:
        The folder that it keeps its files in.
    """
    with tempfile.TemporaryDirectory(prefix="pgb") as folder:
        file = Path(folder, "Caddyfile")
        file.write_text(caddyfile)
        process = subprocess.Popen(
            [str(find_caddy().path), "run", "--config", str(file), "--adapter", "caddyfile"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder},
        )
        try:
            deadline = time.monotonic() + _START_PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"Caddy does not listen on port {port}") from None
                    time.sleep(0.02)
            yield Path(folder)
        finally:
            process.terminate()
            process.wait()


def open_gate(there: Place, upstream: int, beside: str = "") -> None:
    """Start the gate of a home with one site for everyone.

    Args:
        there: Whose gate.
        upstream: Port of what is behind it.
        beside: More of the Caddyfile, for sites without the gate.
    """
    text = read_file(there.home.caddyfile).decode()
    site = Site(address=SITE, upstream=f"127.0.0.1:{upstream}", group="everyone", tls="")
    text = add_site(text, site) + beside
    write_atomic(there.home.caddyfile, text.encode(), PUBLIC_FILE)
    up(there.home)
