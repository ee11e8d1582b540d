# SPDX-License-Identifier: Apache-2.0
"""The head of the event chain in a file of its own: one line, ``<number> <hash>``.

It only ever moves forward along the chain. Where the registry is not a continuation of it (an older copy
was put back, events were cut off) it stays as it is, as the evidence; so it does where it is missing.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from pivgate.errors import InputError
from pivgate.files import left_beside, read_file, write_atomic
from pivgate.names import quoted
from pivgate.registry.audit import AuditError, Head

_LINE: Final = re.compile(rb"(0|[1-9][0-9]{0,17}) ([0-9a-f]{64})\n")


def read_head(path: Path) -> Head:
    """Read the head file.

    Raises:
        AuditError: It is missing, or is not such a line.
        StorageError: It cannot be read.
    """
    if not path.exists():
        raise AuditError(
            f"The head file {path} is missing, so nobody can say whether the last events were cut off",
            "Restore it from a backup. `pivgate audit log` shows the events that are there.",
        )
    match = _LINE.fullmatch(read_file(path))
    if match is None:
        raise AuditError(
            f"The head file {path} is damaged: it does not hold a number and a hash",
            "Restore it from a backup. `pivgate audit log` shows the events that are there.",
        )
    return Head(int(match[1]), match[2].decode())


def parse_head(text: str) -> Head:
    """Read a head that somebody kept elsewhere: the line of the head file, as it was.

    Raises:
        InputError: It is not such a line.
    """
    match = _LINE.fullmatch(f"{text.strip()}\n".encode("utf-8", "backslashreplace"))
    if match is None:
        raise InputError(
            f"{quoted(text)} is not the head of a log", "Give the line of the head file: a number and a hash."
        )
    return Head(int(match[1]), match[2].decode())


def write_head(path: Path, head: Head) -> None:
    """Replace the head file in one step. Callers hold its lock.

    Raises:
        StorageError: It cannot be written.
    """
    for left in left_beside(path):  # by a command that was killed at this
        with suppress(OSError):
            left.unlink()
    write_atomic(path, f"{head.sequence} {head.hash}\n".encode())
