# SPDX-License-Identifier: Apache-2.0
"""Caddyfiles put together at random from what operators write, each with one gated site somewhere in it."""

from random import Random

ADMIN = "admin unix//var/lib/pivgate/run/admin.sock|0200"
UPSTREAM = "reverse_proxy 10.0.0.1:8000"
DIRECTIVES = (
    *(UPSTREAM, "reverse_proxy /api/* 10.0.0.1:8000", "reverse_proxy 10.0.0.2:8000"),
    *("respond /x hello", "respond hello", "respond 404", "redir /old /new", "abort /x", "error /gone 410"),
    *("file_server", "file_server /public/*", "root * /srv/www", "templates", "encode gzip", "push /x"),
    *("header A b", "request_header X-Tenant blue", "request_header -X-Client-*", "log_append a b"),
    *("request_header X-Client-User root", "request_header X-Client-User {query.user}"),
    *("request_header +X-Client-User root", "request_header Connection {query.c}"),
    *("request_header X-Client-User alice root", "request_header X_Client_User {query.user}"),
    *("rewrite /public/* /api/x", "rewrite * /x", "uri strip_prefix /public", "method POST", "vars a b"),
    *("try_files {path} /index.html", "vars {http.request.tls.client.fingerprint} b", "metrics /metrics"),
    *("invoke named", "invoke /public/* named", "import fragment", "acme_server"),
    "forward_auth 10.0.0.9:9000 {\nuri /verify\ncopy_headers Remote-User\n}",
    "forward_auth 10.0.0.9:9000 {\nuri /verify\ncopy_headers Remote-User>X-Client-User\n}",
    "map {path} {kind} {\n/a b\ndefault c\n}",
    "intercept {\n@e status 4xx\nhandle_response @e {\nreverse_proxy 10.0.0.1:8000\n}\n}",
    "reverse_proxy 10.0.0.1:8000 {\nheader_up X-Client-User {query.user}\n}",
    "reverse_proxy 10.0.0.1:8000 {\nheader_up Connection Upgrade\nheader_up Upgrade {query.u}\n}",
)
MATCHERS = (
    *("path /public/*", "not path /private/*", "header X-Tenant root", "method POST", "remote_ip 127.0.0.1"),
    *("not remote_ip 127.0.0.1", 'expression `{path}.startsWith("/public")`', "query user=root"),
)
OPTIONS = (
    *("order respond before route", "order reverse_proxy first", "order file_server before header"),
    *("order templates last", "order request_header after route", "order invoke before route"),
    *("order forward_auth last", "auto_https off", "auto_https disable_redirects", "grace_period 1s"),
    *("default_sni app.example.com", "fallback_sni open.example.com"),
)
SERVER_OPTIONS = (
    *("expected_underscore_headers X_Client_User", "trusted_proxies static private_ranges"),
    *("enable_full_duplex", "strict_sni_host on", "listener_wrappers {\nproxy_protocol\ntls\n}"),
    *("log_credentials", "keepalive_interval 10s", "strict_sni_host insecure_off"),
)
GATED = ("app.example.com", "*.example.com", "app.example.com, app.example.org", "app.example.com:8443")
OTHERS = (
    *("open.example.com", "http://app.example.com", "http://:8081", "https://", "app.example.com:9443"),
    *("http://", "x.example.com:9443", "*.example.com"),
)


def random_caddyfile(seed: int) -> str:
    """Write one; whether it is sound, and whether Caddy takes it at all, is not known."""
    draw = Random(seed)  # noqa: S311 - the same files in every run
    options = draw.sample(OPTIONS, draw.choice((0, 0, 1, 2)))
    servers = ["protocols h1 h2", *draw.sample(SERVER_OPTIONS, draw.choice((0, 0, 1)))]
    inside = "\n".join((_some(draw, 2), draw.choice((UPSTREAM, UPSTREAM, "respond hi", "file_server"))))
    parts = [
        _block("", ADMIN, "skip_install_trust", *options, _block("servers", *servers)),
        "import pivgate.caddy",
        _block("(fragment)", draw.choice(DIRECTIVES[:30])),
        _block(
            "&(named)", draw.choice((UPSTREAM, "header A b", "respond hi", "reverse_proxy 10.0.0.2:8000"))
        ),
        _block(
            draw.choice(GATED),
            f"@m {draw.choice(MATCHERS)}",
            _some(draw, 1),
            _block(f"import pivgate {draw.choice(('admins', 'everyone'))} internal", inside),
            _some(draw, 2),
        ),
    ]
    for address in draw.sample(OTHERS, draw.choice((0, 0, 1, 2))):
        tls = "" if address.startswith("http:") else "tls internal"
        parts.append(_block(address, tls, f"@m {draw.choice(MATCHERS)}", _some(draw, 2)))
    return "\n".join(parts) + "\n"


def _block(head: str, *lines: str) -> str:
    return "\n".join((f"{head} {{".strip(), *filter(None, lines), "}"))


def _some(draw: Random, most: int) -> str:
    return "\n".join(_directive(draw) for _ in range(draw.randint(0, most)))


def _directive(draw: Random) -> str:
    kind = draw.choice(("handle", "route", "handle_path", "handle_errors", *[""] * 4))
    if not kind:
        return draw.choice(DIRECTIVES)
    matcher = {
        "handle_path": ("/public/*", "/api/*"),
        "handle_errors": ("", "404", "421", "4xx"),
    }.get(kind, ("", "/public/*", "/api/*", "@m", "*"))
    within = [draw.choice(DIRECTIVES) for _ in range(draw.randint(1, 2))]
    return _block(f"{kind} {draw.choice(matcher)}", *within)
