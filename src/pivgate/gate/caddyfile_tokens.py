# SPDX-License-Identifier: Apache-2.0
"""The words of a Caddyfile, each with the place it was read from, so that edits touch nothing else.

The grammar is Caddy's own (https://caddyserver.com/docs/caddyfile/concepts#structure, and for the corners
the behaviour of its lexer): words end at white space; ``"`` and a backquote begin quoted words only at a
word's start; ``<<MARKER`` begins a heredoc; ``#`` begins a comment only at a word's start; a carriage
return does not exist; a backslash before a line end continues the line.
"""

import re
from dataclasses import dataclass

from pivgate.errors import InputError

# The characters Go's unicode.IsSpace knows; Python's str.isspace knows four separators more.
_SPACE = frozenset("\t\n\v\f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(c) for c in range(0x2000, 0x200B)
}
_MARKER = re.compile(r"[A-Za-z0-9_-]+")


class CaddyfileError(InputError):
    """A Caddyfile cannot be read, or must not be edited in the way that was asked for; names the line."""

    def __init__(self, line: int, message: str, hint: str) -> None:
        super().__init__(f"Caddyfile, line {line}: {message}", hint)
        self.line = line


@dataclass(frozen=True)
class Token:
    """One word.

    Attributes:
        text: What Caddy reads: without quotes and escapes.
        line: Line it begins on, as Caddy counts: a continued line counts as one with the line before it.
        last_line: Line it ends on; another than ``line`` for quoted words with line ends in them.
        start: Offset of its first character, a quote included.
        end: Offset after its last character.
        quoted: Whether it was quoted in any way; a quoted brace is no brace.
    """

    text: str
    line: int
    last_line: int
    start: int
    end: int
    quoted: bool

    @property
    def opens(self) -> bool:
        """Whether it is the brace that opens a block."""
        return self.text == "{" and not self.quoted

    @property
    def closes(self) -> bool:
        """Whether it is the brace that closes a block."""
        return self.text == "}" and not self.quoted


def tokenize(text: str) -> list[Token]:
    """Read all words of a Caddyfile.

    Args:
        text: The file with its own line ends, as ``open(..., newline="")`` reads it.

    Raises:
        CaddyfileError: A quoted word or a heredoc does not end.
    """
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 1 if text.startswith("\ufeff") else 0
        self.line = 1
        # Line ends that a backslash took away: counted with the next real one, so that what they join
        # has one number.
        self.joined = 0
        self.escaped = False

    def run(self) -> list[Token]:
        tokens = []
        while self._find_word():
            start = self.position
            quote = self.text[start]
            tokens.append(self._quoted(quote, start) if quote in '"`' else self._word(start))
            self.escaped = False
        return tokens

    def _find_word(self) -> bool:
        """Move to the next word's first character; say whether there is one.

        A backslash may already be pending then: Caddy carries it over blanks and out of comments.
        """
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "#":
                self._skip_comment()
            elif character == "\\" and not self.escaped:
                self.escaped = True
                self.position += 1
            elif character == "\n":
                self._end_line()
            elif character in _SPACE or character == "\r":
                self.position += 1
            else:
                return True
        return False

    def _skip_comment(self) -> None:
        end = self.text.find("\n", self.position)
        end = len(self.text) if end < 0 else end
        # A backslash anywhere in a comment takes the line end away: what follows counts as the same line.
        self.escaped = self.escaped or "\\" in self.text[self.position : end]
        self.position = end

    def _end_line(self) -> None:
        if self.escaped:
            self.joined += 1
            self.escaped = False
        else:
            self.line += 1 + self.joined
            self.joined = 0
        self.position += 1

    def _word(self, start: int) -> Token:
        line = self.line
        word: list[str] = []
        may_be_heredoc = True
        while self.position < len(self.text):
            character = self.text[self.position]
            if may_be_heredoc and word[:2] == ["<", "<"]:
                return self._heredoc_or_word(line, start)
            if character == "\\" and not self.escaped:
                self.escaped = True
            elif character in _SPACE:
                break
            elif character != "\r":
                if self.escaped and character == "<":
                    may_be_heredoc = False
                elif self.escaped:
                    word.append("\\")
                self.escaped = False
                word.append(character)
            self.position += 1
        token = Token("".join(word), line, line, start, self.position, quoted=False)
        if self.text[self.position : self.position + 1] == "\n":
            self._end_line()
        return token

    def _heredoc_or_word(self, line: int, start: int) -> Token:
        """Read on after ``<<``: a space before the line's end makes it an ordinary word."""
        head = re.compile(r"[^ \n]*").match(self.text, self.position)
        marker = head.group().replace("\r", "") if head else ""
        self.position += len(head.group()) if head else 0
        if self.text[self.position : self.position + 1] != "\n":
            return Token(f"<<{marker}", line, line, start, self.position, quoted=False)
        if not _MARKER.fullmatch(marker):
            raise CaddyfileError(
                line, f"{marker!a} cannot mark a heredoc's end", "Use letters, digits, _ and - after <<."
            )
        body = self.position + 1
        end = self.text.find(marker, body)
        if end < 0:
            raise CaddyfileError(
                line, f"the heredoc <<{marker} does not end", f"Write {marker} after its last line."
            )
        text = self.text[body:end]
        self.position = end + len(marker)
        self.line += text.count("\n") + 1 + self.joined
        self.joined = 0
        return Token(text, line, line + max(text.count("\n"), 1) + 1, start, self.position, quoted=True)

    def _quoted(self, quote: str, start: int) -> Token:
        line = self.line
        word: list[str] = []
        self.position += 1
        while self.position < len(self.text):
            character = self.text[self.position]
            self.position += 1
            if quote == '"' and character == "\\" and not self.escaped:
                self.escaped = True
                continue
            if quote == '"' and self.escaped:
                word.append(character if character == '"' else f"\\{character}")
                self.escaped = False
            elif character == quote:
                text = "".join(word)
                return Token(text, line, line + text.count("\n"), start, self.position, quoted=True)
            else:
                word.append(character)
            if character == "\n":
                self.line += 1 + self.joined
                self.joined = 0
        raise CaddyfileError(line, f"the quote {quote} is not closed", f"Write {quote} where the text ends.")
