# SPDX-License-Identifier: Apache-2.0
"""The web app of the demo: it answers with who it thinks is calling, from the headers it got.

A browser gets a page, everything else JSON.

Run as ``python -m pivgate.cli.demo_upstream``; it prints the port it listens on, on the loopback interface.
"""

import html
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WhoIsCalling(BaseHTTPRequestHandler):
    """Answers every GET with the identity headers as JSON."""

    protocol_version = "HTTP/1.1"
    # Head and body are written apart; Nagle's algorithm would hold the body back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with each header that tells, or pretends to tell, who is calling."""
        told = {
            name.lower(): value
            for name, value in self.headers.items()
            if name.lower().replace("_", "-").startswith(("x-client-", "forwarded", "x-real-ip"))
        }
        browser = "text/html" in self.headers.get("Accept", "")
        body = (_page(told) if browser else json.dumps(told)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8" if browser else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet: the story is told by the demo."""


_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>pivgate demo</title>
<link rel="icon" href="data:,">
<style>
body {{ max-width: 42rem; margin: 10vh auto; padding: 0 1.2rem; font: 1.05rem/1.6 system-ui, sans-serif }}
h1 {{ font-size: 2rem; line-height: 1.2; margin: 0 0 .3em }}
dl {{ margin: 2rem 0; display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1.2rem }}
dt {{ font-weight: 600 }}
dd {{ margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: .95em }}
@media (max-width: 34rem) {{ dl {{ grid-template-columns: 1fr; gap: .1rem }} dd {{ margin-bottom: .7rem }} }}
</style>
<body>
<h1>Hello, {user}.</h1>
<p>Your YubiKey opened this page. There was no password, and your private key never left the key.</p>
<dl>{rows}</dl>
<p>That is what the gate tells the site about you, in headers that nobody but the gate can set.</p>
"""


def _page(told: dict[str, str]) -> str:
    rows = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in told.items()
    )
    return _PAGE.format(user=html.escape(told.get("x-client-user", "stranger")), rows=rows)


def main() -> None:
    """Listen on a free port of 127.0.0.1 and say which."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), WhoIsCalling)
    print(server.server_address[1], flush=True)  # noqa: T201 - the port is this program's only output
    server.serve_forever()


if __name__ == "__main__":
    main()
