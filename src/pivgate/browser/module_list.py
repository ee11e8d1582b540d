# SPDX-License-Identifier: Apache-2.0
"""NSS's list of PKCS#11 modules, ``pkcs11.txt``: read it, add an entry, take one out, keep every other byte.

A file of entries, each a few lines ``name=value``, with an empty line after each (NSS,
https://firefox-source-docs.mozilla.org/security/nss/legacy/pkcs11/module_specs/index.html). ``modutil``
writes the same two lines. NSS reads the file when a program starts; a running one does not see a change.
"""

import re
from dataclasses import dataclass

from pivgate.errors import InputError


@dataclass(frozen=True)
class Module:
    """A PKCS#11 module as NSS lists it: its name for people, and the path of its library."""

    name: str
    library: str


# An entry: lines that are not empty, up to an empty one or the end.
_ENTRY = re.compile(rb"(?:[^\n]+(?:\n|\Z))+")


def modules(text: bytes) -> list[Module]:
    """Return the modules of a list in their order; NSS's own has no library."""
    return [_parsed(match.group()) for match in _ENTRY.finditer(text)]


def with_module(text: bytes, module: Module) -> bytes:
    """Return the list with a module added at its end, in the form that ``modutil`` writes.

    Raises:
        InputError: The name or the path cannot stand in the list.
    """
    for value in (module.name, module.library):
        if not value.isprintable() or not value:
            raise InputError(
                f"{value!a} cannot stand in a list of modules", "Give a path without odd characters."
            )
    gap = b"" if not text or text.endswith(b"\n\n") else b"\n" if text.endswith(b"\n") else b"\n\n"
    return text + gap + f"library={module.library}\nname={module.name}\n\n".encode()


def without_module(text: bytes, module: Module) -> bytes:
    """Return the list without a module, and the empty line after it; the same list when it is not there."""
    for match in _ENTRY.finditer(text):
        if _parsed(match.group()) == module:
            end = match.end() + (text[match.end() : match.end() + 1] == b"\n")
            return text[: match.start()] + text[end:]
    return text


def _parsed(entry: bytes) -> Module:
    values = dict(line.partition("=")[::2] for line in entry.decode(errors="surrogateescape").split("\n"))
    return Module(values.get("name", ""), values.get("library", ""))
