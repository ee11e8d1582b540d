# SPDX-License-Identifier: Apache-2.0
"""The web app of the demo: it answers with who it thinks is calling, from the headers it got.

Run as ``python -m pivgate.cli.demo_upstream``; it prints the port it listens on, on the loopback interface.
"""

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
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet: the story is told by the demo."""


def main() -> None:
    """Listen on a free port of 127.0.0.1 and say which."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), WhoIsCalling)
    print(server.server_address[1], flush=True)  # noqa: T201 - the port is this program's only output
    server.serve_forever()


if __name__ == "__main__":
    main()
