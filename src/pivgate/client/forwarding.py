# SPDX-License-Identifier: Apache-2.0
"""What of a request's and an answer's head is passed on, and what is written anew. Pure."""

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from pivgate.client.gatekeeper import TOKEN_HEADER, Headers
from pivgate.client.site import Site

_HTTPS_PORT = 443

# Fields that are for one connection only (RFC 9110, section 7.6.1), and those about proxies. Trailers are not
# passed on, so they are not announced. Alt-Svc would lead past the proxy.
_OF_ONE_CONNECTION = frozenset(
    {
        b"alt-svc",
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def wants_websocket(headers: Headers) -> bool:
    """Tell whether a request asks for a WebSocket (RFC 6455, section 4.1); nothing else is upgraded to."""
    upgrades = [value.strip().lower() for value in _values(headers, b"upgrade")]
    return b"upgrade" in _connection_options(headers) and upgrades == [b"websocket"]


def request_headers(
    headers: Headers, site: Site, carries_token: Callable[[bytes], bool]
) -> list[tuple[bytes, bytes]]:
    """Return a request's headers as the site is to get them.

    Args:
        headers: As the program sent them, in its own spelling.
        site: The site.
        carries_token: Tells of an Authorization value whether it is the proxy's.
    """
    local = b"http://" + _values(headers, b"host")[0].lower()
    origin = site.origin.encode()
    sent: list[tuple[bytes, bytes]] = [(b"Host", site.authority.encode())]
    for spelt, value in _end_to_end(headers):
        name = spelt.lower()
        if name in (b"host", TOKEN_HEADER) or (name == b"authorization" and carries_token(value)):
            continue
        if name == b"origin":
            sent.append((spelt, origin))
        elif name == b"referer" and value.lower().startswith(local + b"/"):
            sent.append((spelt, origin + value[len(local) :]))
        else:
            sent.append((spelt, value))
    if _values(headers, b"transfer-encoding"):
        sent.append((b"Transfer-Encoding", b"chunked"))
    if wants_websocket(headers):
        sent += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return sent


def response_headers(headers: Headers, site: Site, local: str) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers as the program is to get them.

    Args:
        headers: As the site sent them.
        site: The site.
        local: The proxy's origin, as the program wrote it.
    """
    chunked = bool(_values(headers, b"transfer-encoding"))
    sent = []
    for name, value in _end_to_end(headers):
        if name.lower() == b"content-length" and chunked:
            continue  # Transfer-Encoding overrides it (RFC 9112, section 6.1)
        sent.append((name, _redirected(value, site, local) if name.lower() == b"location" else value))
    return sent


def switching_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with status 101."""
    return [*_end_to_end(headers), (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for each, value in headers if each.lower() == name]


def _connection_options(headers: Headers) -> set[bytes]:
    return {token.strip().lower() for value in _values(headers, b"connection") for token in value.split(b",")}


def _end_to_end(headers: Headers) -> Iterable[tuple[bytes, bytes]]:
    left_out = _OF_ONE_CONNECTION | _connection_options(headers)
    return [(name, value) for name, value in headers if name.lower() not in left_out]


def _redirected(location: bytes, site: Site, local: str) -> bytes:
    """Lead a redirect that stays on the site through the proxy again."""
    try:
        parts = urlsplit(location.decode("ascii"))
        same = parts.hostname == site.host and (parts.port or _HTTPS_PORT) == site.port
    except ValueError:
        return location
    if parts.scheme not in ("https", "") or not same:
        return location
    rest = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return f"{local}{rest}{f'#{parts.fragment}' if parts.fragment else ''}".encode()
