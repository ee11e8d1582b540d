# SPDX-License-Identifier: Apache-2.0
"""Requests a second through the gate, beside Caddy without the check, and with an auth sub-request."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.comparison import Comparison
from bench.crowd import fill
from bench.options import Options
from bench.place import Place, free_port, now, place
from bench.rounds import take_in_turn
from bench.sites import SITE, caddy, open_gate, static_upstream
from pivgate.enrolment.access import bring_tree_to_registry

FIGURE = "throughput"
FEW = 10

_CONNECTIONS = 16
_PATIENCE = 300
_RATE = re.compile(r"^Requests per second:\s+([0-9.]+)", re.MULTILINE)
_FAULT = re.compile(r"^(?:Failed requests:\s+[1-9]|Non-2xx responses:).*", re.MULTILINE)

# Plain: a client certificate is demanded, nothing else. Asking: each request is first put to another server,
# the way of forward_auth; that server says yes at once.
_PEERS = """\
{{
	admin off
	skip_install_trust
	http_port {http_port}
	default_bind 127.0.0.1
	servers {{
		protocols h1 h2
	}}
}}
(authenticated) {{
	tls internal {{
		client_auth {{
			mode require_and_verify
			trust_pool file "{authority}"
		}}
	}}
}}
https://{site}:{plain} {{
	import authenticated
	reverse_proxy 127.0.0.1:{upstream}
}}
https://{site}:{asking} {{
	import authenticated
	forward_auth 127.0.0.1:{upstream} {{
		uri /auth
	}}
	reverse_proxy 127.0.0.1:{upstream}
}}
"""


def measure(options: Options) -> Iterator[Comparison]:
    """Send the same requests to all three in turn, with few and with many certificates in force."""
    with place() as there, static_upstream() as upstream:
        holder = there.admit()
        plain, asking = free_port(), free_port()
        peers = _PEERS.format(
            http_port=free_port(),
            authority=there.home.authority_certificate,
            site=SITE,
            plain=plain,
            asking=asking,
            upstream=upstream,
        )
        bring_tree_to_registry(there.home, there.registry, now())
        open_gate(there, upstream)
        with caddy(peers, asking):
            sides = {
                "gate": lambda: _rate(options.requests, holder.pem, there.https_port),
                "plain": lambda: _rate(options.requests, holder.pem, plain),
                "asking": lambda: _rate(options.requests, holder.pem, asking),
            }
            for size in (FEW, options.entries):
                _grow(there, size)
                values = take_in_turn(options.rounds, sides)
                ours = f"gate, {size:,} in force"
                for side, peer in (("plain", "client auth only"), ("asking", "auth sub-request")):
                    yield Comparison(FIGURE, ours, peer, "/s", values["gate"], values[side])


def _grow(there: Place, size: int) -> None:
    here = len(list((there.home.access / "everyone").iterdir()))
    fill(there, size - here)
    bring_tree_to_registry(there.home, there.registry, now())


def _rate(requests: int, login: Path, port: int) -> float:
    command = ["ab", "-q", "-k", "-c", str(_CONNECTIONS), "-n", str(requests), "-E", str(login)]
    done = subprocess.run(
        [*command, f"https://{SITE}:{port}/"],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    rate, fault = _RATE.search(done.stdout), _FAULT.search(done.stdout)
    if rate is None or fault is not None:
        raise RuntimeError(f"ab: {fault[0] if fault else done.stderr.strip()[-500:]}")
    return float(rate[1])
