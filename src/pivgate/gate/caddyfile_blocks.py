# SPDX-License-Identifier: Apache-2.0
"""The blocks of a Caddyfile: options, snippets, named routes and sites, and the directives in a block."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pivgate.gate.caddyfile_tokens import CaddyfileError, Token, tokenize


class BlockKind(Enum):
    """What a block at the top of a Caddyfile is."""

    OPTIONS = "options"
    SNIPPET = "snippet"
    NAMED_ROUTE = "named route"
    SITE = "site"


@dataclass(frozen=True)
class Block:
    """One block at the top.

    Attributes:
        kind: What it is.
        keys: What stands before its brace: a site's addresses, commas removed when they are read.
        body: The words between its braces.
        end: Offset after its closing brace.
        braces: Whether it has any; the only site of a file may go without.
    """

    kind: BlockKind
    keys: tuple[Token, ...]
    body: tuple[Token, ...]
    start: int
    end: int
    line: int
    braces: bool

    @property
    def addresses(self) -> tuple[str, ...]:
        """A site's addresses as they are written."""
        return tuple(key.text.removesuffix(",") for key in self.keys if key.text != ",")


@dataclass(frozen=True)
class Directive:
    """One line of a block: its words, and the words of the block it opens.

    Attributes:
        words: The directive's name and its arguments.
        body: What stands between its braces; empty without any.
    """

    words: tuple[Token, ...]
    body: tuple[Token, ...]

    @property
    def name(self) -> str:
        """The directive's name."""
        return self.words[0].text if self.words else ""


def blocks(text: str) -> list[Block]:
    """Read a Caddyfile's blocks, in their order. Top-level ``import`` lines are skipped, not followed.

    Raises:
        CaddyfileError: Braces or quotes do not close, or an address does not stand where one is expected.
    """
    tokens = tokenize(text)
    found = []
    position = 0
    while position < len(tokens):
        if tokens[position].text == "import":
            position = _after_import(tokens, position)
        else:
            block, position = _block(tokens, position)
            found.append(block)
    return found


def directives(body: Sequence[Token]) -> list[Directive]:
    """Split a block's words into its directives.

    Raises:
        CaddyfileError: A brace in it does not close.
    """
    found = []
    position = 0
    while position < len(body):
        first = position
        position = _line_end(body, position)
        words = tuple(body[first:position])
        inner: tuple[Token, ...] = ()
        if position < len(body) and body[position].opens:
            close = _closing(body, position)
            inner = tuple(body[position + 1 : close])
            position = close + 1
        found.append(Directive(words, inner))
    return found


def _block(tokens: Sequence[Token], first: int) -> tuple[Block, int]:
    position = first
    while position < len(tokens) and not tokens[position].opens:
        if position > first and _starts_body(tokens[position - 1], tokens[position]):
            return _braceless(tokens, first, position), len(tokens)
        if tokens[position].closes:
            raise CaddyfileError(tokens[position].line, "there is a } that closes nothing", "Remove it.")
        position += 1
    if position == len(tokens):
        return _braceless(tokens, first, position), position
    close = _closing(tokens, position)
    keys = tuple(tokens[first:position])
    block = Block(
        kind=_kind(keys),
        keys=keys,
        body=tuple(tokens[position + 1 : close]),
        start=tokens[first].start,
        end=tokens[close].end,
        line=tokens[first].line,
        braces=True,
    )
    return block, close + 1


def _starts_body(before: Token, after: Token) -> bool:
    return _new_line(before, after) and not before.text.endswith(",")


def _braceless(tokens: Sequence[Token], first: int, body: int) -> Block:
    return Block(
        kind=BlockKind.SITE,
        keys=tuple(tokens[first:body]),
        body=tuple(tokens[body:]),
        start=tokens[first].start,
        end=tokens[-1].end,
        line=tokens[first].line,
        braces=False,
    )


def _kind(keys: Sequence[Token]) -> BlockKind:
    if not keys:
        return BlockKind.OPTIONS
    if len(keys) == 1 and keys[0].text.endswith(")"):
        if keys[0].text.startswith("("):
            return BlockKind.SNIPPET
        if keys[0].text.startswith("&("):
            return BlockKind.NAMED_ROUTE
    return BlockKind.SITE


def _after_import(tokens: Sequence[Token], position: int) -> int:
    position = _line_end(tokens, position)
    if position < len(tokens) and tokens[position].opens:
        return _closing(tokens, position) + 1
    return position


def _line_end(tokens: Sequence[Token], position: int) -> int:
    """Index after a line's last word, or of the brace that ends the line."""
    position += 1
    while (
        position < len(tokens)
        and not tokens[position].opens
        and not _new_line(tokens[position - 1], tokens[position])
    ):
        position += 1
    return position


def _closing(tokens: Sequence[Token], opening: int) -> int:
    depth = 0
    for position in range(opening, len(tokens)):
        depth += tokens[position].opens - tokens[position].closes
        if depth == 0:
            return position
    raise CaddyfileError(tokens[opening].line, "the { is never closed", "Write the missing }.")


def _new_line(before: Token, after: Token) -> bool:
    return before.last_line < after.line
