# SPDX-License-Identifier: Apache-2.0
"""Edits of the operator's Caddyfile: only blocks that import pivgate, everything else byte for byte. Pure.

A file is read and written with its own line ends (``newline=""``), so that they survive an edit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pivgate.errors import HomeError, InputError
from pivgate.gate.caddyfile_address import (
    check_address,
    check_tls,
    check_upstream,
    default_tls,
    key_of,
)
from pivgate.gate.caddyfile_blocks import Block, BlockKind, Directive, blocks, directives
from pivgate.gate.caddyfile_tokens import CaddyfileError
from pivgate.names import check_group_name

PLAIN_SNIPPET: Final = "pivgate"
"""Opts in a site whose ``tls`` takes arguments at most."""

TLS_SNIPPET: Final = "pivgate-tls"
"""Opts in a site that brings a ``tls`` block of its own."""


@dataclass(frozen=True)
class Site:
    """A site behind the gate, as the Caddyfile has it.

    Attributes:
        address: Its address as it is written there.
        upstream: The first upstream in its block; empty when it does not proxy.
        group: Who may open it.
        tls: What follows the group: ``internal``, an e-mail address, or certificate and key; or nothing.
        line: Line its block begins on, when it was read from a file.
    """

    address: str
    upstream: str
    group: str
    tls: str = ""
    line: int = field(default=0, compare=False)


def sites(text: str) -> list[Site]:
    """List the sites that opted in, one for each address, in the file's order.

    Raises:
        CaddyfileError: The file's quotes or braces do not close.
    """
    found = []
    for block in blocks(text):
        opt_in = _opt_in(block)
        if opt_in is not None:
            found += [_site(address, opt_in, block.line) for address in block.addresses]
    return found


def check_opt_ins(text: str) -> None:
    """Refuse a site that opts in without a group, which Caddy would complain of in the wrong place.

    Raises:
        CaddyfileError: An ``import pivgate`` is not followed by a group's name.
    """
    for block in blocks(text):
        opt_in = _opt_in(block)
        # A placeholder's value is not known here; the audit sees what it became.
        if opt_in is None or any("{" in word.text for word in opt_in.words[2:3]):
            continue
        try:
            check_group_name("".join(word.text for word in opt_in.words[2:3]))
        except InputError as error:
            raise CaddyfileError(
                opt_in.words[0].line,
                f"`import {opt_in.words[1].text}` does not name a group: {error.message}",
                f"Write `import {opt_in.words[1].text} everyone {{ ... }}`, or another group's name.",
            ) from error


def add_site(text: str, site: Site, proxy_options: Sequence[str] = ()) -> str:
    """Append a site's block. Without ``tls``, a name that no public authority certifies gets ``internal``.

    Args:
        text: The Caddyfile.
        site: The site.
        proxy_options: What stands in the braces of its ``reverse_proxy``, one line each.

    Raises:
        InputError: The address, upstream, group or ``tls`` cannot stand in a Caddyfile.
        CaddyfileError: The address is taken, or nothing can be appended to this file.
    """
    check_address(site.address)
    check_upstream(site.upstream)
    check_group_name(site.group)
    check_tls(site.tls)
    check_opt_ins(text)
    for block in blocks(text):
        if not block.braces:
            raise CaddyfileError(
                block.line,
                "this site has no braces, so no other can follow it",
                "Put { after its address and } at its end, then run the command again.",
            )
        if block.kind is BlockKind.SITE and key_of(site.address) in map(key_of, block.addresses):
            raise CaddyfileError(
                block.line,
                f"{site.address} is there already",
                f"Change that block by hand, or run `pivgate site remove {site.address}` first.",
            )
    if text.endswith("\r"):
        raise CaddyfileError(
            text.count("\n") + 1, "the last line ends in half a line end", "Save the file with whole ones."
        )
    return _append(text, _written(site, proxy_options))


def remove_site(text: str, address: str) -> str:
    """Take out a site's block; of several addresses in one block, only the one.

    Raises:
        HomeError: There is no such site.
        CaddyfileError: It is there, but did not opt in, so it is not ours to remove.
    """
    wanted = key_of(address)
    for block in blocks(text):
        if block.kind is not BlockKind.SITE or wanted not in map(key_of, block.addresses):
            continue
        if _opt_in(block) is None:
            raise CaddyfileError(
                block.line, f"{address} is not behind pivgate", "Remove it by hand if you no longer want it."
            )
        if len(block.addresses) > 1:
            return _without_address(text, block, wanted)
        return _without_block(text, block)
    raise HomeError(
        f"There is no site {address!a} in the Caddyfile", "`pivgate site list` shows those there are."
    )


def _opt_in(block: Block) -> Directive | None:
    if block.kind is not BlockKind.SITE:
        return None
    for directive in directives(block.body):
        words = [word.text for word in directive.words]
        if words[:1] == ["import"] and len(words) > 1 and words[1] in (PLAIN_SNIPPET, TLS_SNIPPET):
            return directive
    return None


def _site(address: str, opt_in: Directive, line: int) -> Site:
    words = [word.text for word in opt_in.words]
    return Site(
        address=address,
        upstream=_upstream(opt_in),
        group=words[2] if len(words) > 2 else "",
        tls=" ".join(words[3:]),
        line=line,
    )


def _upstream(opt_in: Directive) -> str:
    for position, word in enumerate(opt_in.body):
        if word.text != "reverse_proxy":
            continue
        for argument in opt_in.body[position + 1 :]:
            if argument.line != word.line or argument.opens:
                break
            # A matcher stands before the upstreams: a path, a name with @, or an asterisk.
            if not argument.text.startswith(("/", "@", "*")):
                return argument.text
    return ""


def _written(site: Site, proxy_options: Sequence[str]) -> str:
    issuer = site.tls or default_tls(site.address)
    tls = f" {issuer}" if issuer else ""
    options = "".join(f"\t\t\t{line}\n" for line in proxy_options)
    braces = f" {{\n{options}\t\t}}" if options else ""
    return (
        f"{site.address} {{\n"
        f"\timport {PLAIN_SNIPPET} {site.group}{tls} {{\n"
        f"\t\treverse_proxy {site.upstream}{braces}\n"
        "\t}\n"
        "}"
    )


def _append(text: str, block: str) -> str:
    # A file without a line end at its end keeps that trait, so that removing the block restores it.
    end = _line_end(text)
    block = block.replace("\n", end)
    if not text:
        return f"{block}{end}"
    if text.endswith("\n"):
        return f"{text}{end}{block}{end}"
    return f"{text}{end}{end}{block}"


def _without_block(text: str, block: Block) -> str:
    before, after = text[: block.start], text[block.end :]
    rest = after.lstrip(" \t")
    if rest.startswith(("\n", "\r\n")):
        after = rest[rest.index("\n") + 1 :]
        if _ends_with_blank_line(before):
            before = _without_line_end(before)
    elif not rest:
        before, after = _without_line_end(_without_line_end(before)), rest
    return before + after


def _without_address(text: str, block: Block, wanted: str) -> str:
    keys = [key for key in block.keys if key.text != ","]
    if any(key.quoted for key in keys):
        raise CaddyfileError(
            block.line, "there are quotes in this list of addresses", "Take the address out by hand."
        )
    position = next(index for index, key in enumerate(keys) if key_of(key.text.removesuffix(",")) == wanted)
    if position + 1 < len(keys):
        return text[: keys[position].start] + text[keys[position + 1].start :]
    # The last one: the comma before it goes too.
    last = keys[position - 1]
    comma = 1 if last.text.endswith(",") else 0
    return text[: last.end - comma] + text[keys[position].end :]


def _line_end(text: str) -> str:
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _ends_with_blank_line(text: str) -> bool:
    shortened = _without_line_end(text)
    return shortened != text and (shortened == "" or shortened.endswith("\n"))


__all__ = ["CaddyfileError", "Site", "add_site", "check_opt_ins", "remove_site", "sites"]
