# SPDX-License-Identifier: Apache-2.0
"""The file that defines the ``pivgate`` snippet, and the Caddyfile a new home begins with. Pure.

What each line does, and what goes wrong without it, is in ``docs/reference/snippet.md``; ``config_audit``
proves on the adapted JSON that a site which imports the snippet still has its shape.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.errors import InputError
from pivgate.gate.pages import Reason, check_contact, html_page, text_page

VERDICT_HOST: Final = "pivgate.verdict"
"""The host name under which the running gate is asked for its verdict, on its own unix socket."""

SOCKET_MODE: Final = "0200"
"""Permissions of both sockets: writing, which is what connecting takes, for the owner alone."""

FINGERPRINT_ENTRY: Final = "/{http.request.tls.client.fingerprint}"
"""Where a certificate's entry is looked for in its group's folder: never with a slash at the end, which
would match the folder itself."""

GROUP_PATTERN: Final = "[a-z0-9][a-z0-9_-]{0,62}"

# What may stand in Connection. A proxy removes every header field named there, so a client could make
# the identity headers vanish on their way to the upstream (RFC 9110, section 7.6.1).
CONNECTION_PATTERN: Final = r"^(?i)([ \t]*(keep-alive|close|upgrade|te)?[ \t]*(,|$))*$"

# What nearly every request has there, joined with commas when repeated: a comparison costs a fraction of the
# pattern, which is asked only when none of these is the whole value.
USUAL_CONNECTIONS: Final = ("", "keep-alive", "Keep-Alive", "close")

# What may stand in Upgrade; repeated fields are joined with commas here. After an answer of 101 a proxy only
# copies bytes, so with h2c (RFC 7540, section 3.2) every later request would pass the gate unseen.
UPGRADE_PATTERN: Final = "^(?i)(websocket)?$"
USUAL_UPGRADES: Final = ("", "websocket")

# Go's client sends on what follows such a request without saying where it ends. An upstream that opens no
# tunnel takes those bytes, which are the visitor's own, for the next requests (RFC 9110, section 9.3.6).
TUNNEL_METHOD: Final = "CONNECT"

# The alphabet of pivgate.names.check_user_name, as Go writes it in a distinguished name (RFC 2253 escapes
# a plus sign). Both ends are anchored: the subject is this one attribute or the request is refused.
USER_PATTERN: Final = r"^CN=([A-Za-z0-9](?:[A-Za-z0-9._@-]|\\\+)*)$"

# Visible ASCII with one domain behind it: what can be a header's value whatever stands in it.
EMAIL_PATTERN: Final = r"^[!-~]+@[A-Za-z0-9.-]+$"

# What a header's name can have besides letters, digits and - _ . (RFC 9110, section 5.6.2). Some upstreams,
# lighttpd for one, turn each of them into the underscore of CGI; no header that is in use has one.
RARE_IN_NAMES: Final = "!#$%&'*+^`|~"

# What says who is calling, or from where; an asterisk at the end is Caddy's wildcard.
IDENTITY_HEADERS: Final = ("X-Client*", "Client-Cert*", "X-Real-Ip", "Forwarded")

# Every spelling that some upstream reads as one of them, in any case; an asterisk at each end finds what
# stands between them anywhere in a name (an asterisk too). CGI, WSGI and PHP turn _ and . into the same as -,
# but such names Caddy drops by itself, unless it is told to expect them: the audit sees to that. They have no
# patterns here because each request pays for each pattern.
DELETED_HEADERS: Final = (*(f"*{character}*" for character in RARE_IN_NAMES), *IDENTITY_HEADERS)

# Characters that would end the quoted text, name a placeholder, be a glob in the matcher's root (where
# Caddy expands it: `allow[1]` opens the folder allow1), or begin the mode of a socket.
_FORBIDDEN_IN_PATHS: Final = '"`{}*?[]\\|'


@dataclass(frozen=True)
class SnippetInput:
    """What the snippet depends on.

    Attributes:
        authority_pem: The authority's certificate: nothing else can have signed a client certificate.
        access: The access tree.
        verdict_socket: Where the running gate tells its verdict.
        contact: Whom a refused holder is told to ask; one line, may be empty.
    """

    authority_pem: Path
    access: Path
    verdict_socket: Path
    contact: str = ""


def render(wanted: SnippetInput) -> str:
    """Write the file ``pivgate.caddy``.

    Raises:
        InputError: A path cannot stand in a Caddyfile without meaning something else, or the contact is not
            one visible line.
    """
    authority = _path(wanted.authority_pem, "the authority's certificate")
    access = _path(wanted.access, "the access tree")
    socket = _path(wanted.verdict_socket, "the verdict socket")
    check_contact(wanted.contact)
    deletions = "\n".join(f"\t\trequest_header {_quoted(f'-{name}')}" for name in DELETED_HEADERS)
    return f"""\
# Written by pivgate, and written anew whenever it applies a configuration: changes here are lost.
# What each line is for: docs/reference/snippet.md

# import pivgate GROUP [what tls takes] {{ directives }}
(pivgate) {{
	tls {{args[1:]}} {{
		client_auth {{
			mode require_and_verify
			trust_pool file "{authority}"
		}}
	}}
	import pivgate-gate {{args[0]}} {{
		{{block}}
	}}
}}

# import pivgate-tls GROUP {{ tls {{ options of tls }} site {{ directives }} }}
(pivgate-tls) {{
	tls {{
		client_auth {{
			mode require_and_verify
			trust_pool file "{authority}"
		}}
		{{blocks.tls}}
	}}
	import pivgate-gate {{args[0]}} {{
		{{blocks.site}}
	}}
}}

(pivgate-gate) {{
	route {{
		@pivgate_connection {{
			not vars {{http.request.header.Connection}} {_listed(USUAL_CONNECTIONS)}
			not vars_regexp {{http.request.header.Connection}} `{CONNECTION_PATTERN}`
		}}
		handle @pivgate_connection {{
			import pivgate-refuse 400 "{Reason.CONNECTION_HEADER}"
		}}

		@pivgate_upgrade {{
			not vars {{http.request.header.Upgrade}} {_listed(USUAL_UPGRADES)}
			not vars_regexp {{http.request.header.Upgrade}} `{UPGRADE_PATTERN}`
		}}
		handle @pivgate_upgrade {{
			import pivgate-refuse 400 "{Reason.UPGRADE_HEADER}"
		}}

		@pivgate_unlisted not file {{
			root "{access}/{{args[0]}}"
			try_files {FINGERPRINT_ENTRY}
		}}
		handle @pivgate_unlisted {{
			@pivgate_in_force file {{
				root "{access}/everyone"
				try_files {FINGERPRINT_ENTRY}
			}}
			handle @pivgate_in_force {{
				import pivgate-refuse 403 "{Reason.NOT_A_MEMBER}"
			}}
			handle {{
				import pivgate-refuse 403 "{Reason.NOT_IN_FORCE}"
			}}
		}}

		@pivgate_nameless not vars_regexp pivgate_user {{http.request.tls.client.subject}} `{USER_PATTERN}`
		handle @pivgate_nameless {{
			import pivgate-refuse 403 "{Reason.NAMELESS}"
		}}

		@pivgate_connect method {TUNNEL_METHOD}
		handle @pivgate_connect {{
			import pivgate-refuse 400 "{Reason.CONNECT_METHOD}"
		}}

{deletions}

		request_header X-Client-User {{http.regexp.pivgate_user.1}}
		request_header X-Client-User `\\\\\\+` +
		request_header X-Client-Subject {{http.regexp.pivgate_user.0}}
		request_header X-Client-Serial {{http.request.tls.client.serial}}
		request_header X-Client-Fingerprint {{http.request.tls.client.fingerprint}}
		@pivgate_email vars_regexp {{http.request.tls.client.san.emails.0}} `{EMAIL_PATTERN}`
		request_header @pivgate_email X-Client-Email {{http.request.tls.client.san.emails.0}}

		handle {{
			{{block}}
		}}
	}}
}}

(pivgate-refuse) {{
	header {{
		Cache-Control no-store
		Vary Accept
		X-Content-Type-Options nosniff
		Content-Security-Policy "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
	}}
	@pivgate_browser header Accept *text/html*
	handle @pivgate_browser {{
		header Content-Type "text/html; charset=utf-8"
		respond {_heredoc(html_page("{args[1]}", wanted.contact), 3)} {{args[0]}}
	}}
	handle {{
		respond {_heredoc(text_page("{args[1]}", wanted.contact), 3)} {{args[0]}}
	}}
}}

http://{VERDICT_HOST} {{
	bind "unix/{socket}|{SOCKET_MODE}"
	route {{
		@admitted {{
			path_regexp ^/{GROUP_PATTERN}/[0-9a-f]{{64}}$
			file {{
				root "{access}"
				try_files {{http.request.uri.path}}
			}}
		}}
		respond @admitted "admitted" 200
		respond "refused" 403
	}}
}}
"""


def _listed(values: Iterable[str]) -> str:
    return " ".join(value or '""' for value in values)


def _quoted(name: str) -> str:
    """Quote a header's name for a Caddyfile where one of its characters would mean something there."""
    return f'"{name}"' if "`" in name else f"`{name}`"


def initial_caddyfile(
    admin_socket: Path, *, http_port: int = 80, https_port: int = 443, listen: str = ""
) -> str:
    """Write the Caddyfile of a new home; from then on it is the operator's.

    Args:
        admin_socket: Where Caddy's admin API is to listen.
        http_port: Port of plain HTTP, where Caddy only redirects to HTTPS.
        https_port: Port of the sites.
        listen: An address to listen on instead of all, such as ``127.0.0.1``.

    Raises:
        InputError: The socket's path cannot stand in a Caddyfile.
    """
    options = [f'admin "unix/{_path(admin_socket, "the admin socket")}|{SOCKET_MODE}"', "skip_install_trust"]
    if http_port != 80:
        options.append(f"http_port {http_port}")
    if https_port != 443:
        options.append(f"https_port {https_port}")
    if listen:
        options.append(f"default_bind {listen}")
    written = "\n".join(f"\t{option}" for option in options)
    return f"""\
# This file is yours. `pivgate site add` and `pivgate site remove` edit only the blocks that import pivgate.
{{
{written}
	servers {{
		protocols h1 h2
	}}
}}

import pivgate.caddy
"""


def _path(path: Path, what: str) -> str:
    text = str(path)
    bad = next((character for character in text if character in _FORBIDDEN_IN_PATHS), "")
    if bad or not text.isprintable():
        trouble = f"has {bad} in it" if bad else "has characters that cannot be seen"
        raise InputError(
            f"The path of {what}, {text!a}, {trouble}",
            'Choose a home whose path has none of " ` { } * ? [ ] \\ | and no invisible characters.',
        )
    if not path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"The path of {what}, {text}, is not absolute", "Name the home by its full path, without `..`."
        )
    return text


def _heredoc(text: str, depth: int) -> str:
    # Caddy ends a heredoc where its marker first appears, in the middle of a line too.
    marker = "PAGE"
    while marker in text:
        marker += "_"
    tabs = "\t" * depth
    lines = "".join(f"{tabs}{line}\n" if line else "\n" for line in text.split("\n"))
    return f"<<{marker}\n{lines}{tabs}{marker}"
