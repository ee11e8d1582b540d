# SPDX-License-Identifier: Apache-2.0
"""Who may use the loopback proxy: programs that have its token, and no page in a browser. Pure.

Every user of this machine can connect to a port of the loopback interface, and every page that a browser
shows can make it send requests there: with a foreign name that resolves to 127.0.0.1 (DNS rebinding), or
across origins with a password that the browser remembers.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

TOKEN_HEADER = b"pivgate-token"
"""For programs that need Authorization for the site itself."""

Headers = Sequence[tuple[bytes, bytes]]


class RequestRefusedError(Exception):
    """A request is answered by the proxy itself.

    Args:
        status: HTTP status.
        words: What is wrong and what to do, one line.
        headers: Further headers.
    """

    def __init__(self, status: int, words: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.headers = headers


@dataclass(frozen=True)
class Gatekeeper:
    """Decides about each request before anything of it is forwarded.

    Attributes:
        port: The proxy's port.
        token: What a program has to present.
    """

    port: int
    token: str

    def admit(self, method: bytes, target: bytes, headers: Headers) -> None:
        """Let a request pass to the site, or refuse it.

        Args:
            method: The method.
            target: The request target as it was sent.
            headers: Name in small letters and value, as h11 parsed them.

        Raises:
            RequestRefusedError: It is not forwarded.
        """
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._names():
            raise RequestRefusedError(
                403, f"Only http://127.0.0.1:{self.port}/ and http://localhost:{self.port}/ are served here."
            )
        if self._from_a_page(headers, hosts[0]):
            raise RequestRefusedError(403, "A page of another origin may not use this proxy.")
        if not (target.startswith(b"/") or (method == b"OPTIONS" and target == b"*")):
            raise RequestRefusedError(400, "This is not a forward proxy: ask it for paths, not for URLs.")
        if _values(headers, b"content-length") and _values(headers, b"transfer-encoding"):
            raise RequestRefusedError(
                400, "The request has two lengths: Content-Length and Transfer-Encoding."
            )
        if not any(self._good(each) for each in _presented(headers)):
            raise RequestRefusedError(
                401,
                "The proxy's token is missing or wrong: send it as the password of HTTP Basic, as "
                "Authorization: Bearer, or in the header Pivgate-Token.",
                ((b"www-authenticate", b'Basic realm="pivgate connect", charset="UTF-8"'),),
            )

    def carries_token(self, authorization: bytes) -> bool:
        """Tell whether the value of an Authorization header is the proxy's, and not for the site."""
        return any(self._good(each) for each in _presented([(b"authorization", authorization)]))

    def _names(self) -> tuple[bytes, ...]:
        return (f"127.0.0.1:{self.port}".encode(), f"localhost:{self.port}".encode())

    def _from_a_page(self, headers: Headers, host: bytes) -> bool:
        own = b"http://" + host.lower()
        origins = _values(headers, b"origin")
        sites = _values(headers, b"sec-fetch-site")
        return any(each.lower() != own for each in origins) or any(
            each.lower() not in (b"none", b"same-origin") for each in sites
        )

    def _good(self, presented: bytes) -> bool:
        return hmac.compare_digest(presented, self.token.encode())


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for each, value in headers if each == name]


def _presented(headers: Headers) -> list[bytes]:
    """Return everything in a request that may be the token."""
    found = _values(headers, TOKEN_HEADER)
    for value in _values(headers, b"authorization"):
        scheme, _, rest = value.partition(b" ")
        if scheme.lower() == b"bearer":
            found.append(rest.strip())
        elif scheme.lower() == b"basic":
            try:
                decoded = base64.b64decode(rest.strip(), validate=True)
            except binascii.Error:
                continue
            found.append(decoded.partition(b":")[2])
    return found
