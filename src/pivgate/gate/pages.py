# SPDX-License-Identifier: Apache-2.0
"""What a refused holder reads: a page in a browser, plain text elsewhere.

The texts become bodies of Caddy's ``respond`` inside a Caddyfile. Three languages meet there: the Caddyfile
(``{$NAME}``, ``{args[0]}``), Caddy's placeholders (``{http...}``), and HTML. Braces mean something in two of
them, so no brace of the contact reaches the file, and the page has none: its style is inline.
"""

import html
from enum import StrEnum

from pivgate.errors import InputError

_FINGERPRINT = "{http.request.tls.client.fingerprint}"
_NOBODY_NAMED = "whoever runs this site"


class Reason(StrEnum):
    """Why the gate refused: one sentence, no character of which means anything to HTML or a Caddyfile."""

    NOT_IN_FORCE = (
        "The certificate on your key is not in force here: it was revoked or replaced, or never admitted."
    )
    NOT_A_MEMBER = "Your key is in order, but this site is for the group {args[0]}, and you are not in it."
    NAMELESS = "The certificate on your key does not name a user in the way this gate expects."
    CONNECTION_HEADER = "The Connection header of your request names a field that has to stay."
    UPGRADE_HEADER = "Your request asks for another protocol than WebSocket in its Upgrade header."
    CONNECT_METHOD = "Your request has the method CONNECT, and no tunnel leads through this gate."


def check_contact(contact: str) -> None:
    """Accept one line of visible text, or nothing.

    Raises:
        InputError: It has a line end, a control character or a mark that turns the direction of writing.
    """
    if not contact.isprintable():
        raise InputError(
            f"The contact {contact!a} has characters that cannot be seen",
            "Set `contact` in settings.toml to one line of text: a name, an address, a telephone number.",
        )


def text_page(reason: str, contact: str) -> str:
    """Write the refusal for curl and other programs.

    Args:
        reason: A ``Reason``, or the Caddyfile placeholder that stands for one.
        contact: Whom to ask, any printable line; braces become parentheses.
    """
    whom = contact.replace("{", "(").replace("}", ")") or _NOBODY_NAMED
    return f"refused: {reason}\nAsk {whom}, and name this certificate: {_FINGERPRINT}\n"


def html_page(reason: str, contact: str) -> str:
    """Write the refusal for browsers: one self-contained page, no script, no brace but Caddy's own.

    Args:
        reason: A ``Reason``, or the Caddyfile placeholder that stands for one.
        contact: Whom to ask, any printable line.
    """
    whom = html.escape(contact or _NOBODY_NAMED).replace("{", "&#123;").replace("}", "&#125;")
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>This site did not open</title>
<body style="max-width: 34rem; margin: 12vh auto; padding: 0 1rem; font: 1.1rem/1.5 system-ui, sans-serif">
<h1 style="font-size: 1.6rem">This site did not open</h1>
<p>{reason}</p>
<p>Ask {whom}, and name this certificate:</p>
<p><code style="overflow-wrap: anywhere">{_FINGERPRINT}</code></p>
"""
