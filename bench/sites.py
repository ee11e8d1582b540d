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
_START_PATIENCE = 60.0

_MUTUAL_TLS = """\
{{
	admin {admin}
	skip_install_trust
	http_port {http_port}
	default_bind 127.0.0.1
	servers {{
		protocols h1 h2
	}}
}}
https://{site}:{port} {{
	tls internal {{
		client_auth {{
			mode require_and_verify
			trust_pool file "{authority}"
			{verifier}
		}}
	}}
	{ask}
	reverse_proxy 127.0.0.1:{upstream}
}}
"""


@contextmanager
def static_upstream() -> Iterator[int]:
    """Run a Caddy that answers 200 to everything, and yield its port."""
    port = free_port()
    # No host in the address: a request for a name that is not there is answered, too, but with nothing.
    options = "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n"
    with caddy(f'{options}http://:{port} {{\n\trespond "ok" 200\n}}\n', port):
        yield port


def mutual_tls(
    there: Place, upstream: int, port: int, *, admin: str = "off", verifier: str = "", ask: str = ""
) -> str:
    """Write the Caddyfile of a site without pivgate that demands a certificate of a home's authority.

    Args:
        there: The home.
        upstream: Port of what is behind it.
        port: Where it listens.
        admin: Where its admin API listens.
        verifier: What else ``client_auth`` is told.
        ask: What is done with a request before it is passed on.
    """
    return _MUTUAL_TLS.format(
        admin=admin,
        http_port=free_port(),
        site=SITE,
        port=port,
        authority=there.home.authority_certificate,
        verifier=verifier,
        ask=ask,
        upstream=upstream,
    )


@contextmanager
def caddy(configuration: str, port: int, adapter: str = "caddyfile") -> Iterator[int]:
    """Run a Caddy of our own, and end it.

    Args:
        configuration: What it serves.
        port: A port on which it listens when it is ready.
        adapter: In which language that is; JSON when empty.

    Yields:
        Its process id.
    """
    with tempfile.TemporaryDirectory(prefix="pgb") as folder:
        file = Path(folder, "configuration")
        file.write_text(configuration)
        process = subprocess.Popen(
            [str(find_caddy().path), "run", "--config", str(file), "--adapter", adapter],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder},
            # As the gate runs: a busy Linux shares the processors out by session (autogroup, sched(7)).
            start_new_session=True,
        )
        try:
            await_port(port, process)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a process that was started listens on a port.

    Raises:
        RuntimeError: It has ended, or takes too long.
    """
    deadline = time.monotonic() + _START_PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port}") from None
            time.sleep(0.02)
        else:
            return


def open_gate(there: Place, upstream: int, beside: str = "") -> None:
    """Start the gate of a home with one site for everyone.

    Args:
        there: Whose gate.
        upstream: Port of what is behind it.
        beside: More of the Caddyfile, for sites without the gate.
    """
    add_gated(there, upstream, beside)
    up(there.home)


def add_gated(there: Place, upstream: int, beside: str = "") -> None:
    """Write that site into the Caddyfile of a home, as :func:`open_gate` does."""
    text = read_file(there.home.caddyfile).decode()
    site = Site(address=SITE, upstream=f"127.0.0.1:{upstream}", group="everyone", tls="")
    text = add_site(text, site) + beside
    write_atomic(there.home.caddyfile, text.encode(), PUBLIC_FILE)
