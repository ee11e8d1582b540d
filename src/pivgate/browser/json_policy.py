# SPDX-License-Identifier: Apache-2.0
"""A policy file, JSON: read it strictly, and write it with the indentation that it had."""

import json
import re
from typing import Any

from pivgate.errors import InputError

Policy = dict[str, Any]


def parse(text: bytes, source: str) -> Policy:
    """Return what a policy file says.

    Args:
        text: Its content.
        source: Its path, for the error.

    Raises:
        InputError: It is not a JSON object as the standard has it (RFC 8259). A browser may take comments and
            spare commas; rewriting such a file would lose them.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{source} is not plain JSON, so nothing can be added to it: {error}",
            "Mend the file, or take the comments out, and run the command again.",
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{source} is not a JSON object", "Mend the file and run the command again.")
    return value


def written(policy: Policy, like: bytes | None) -> bytes:
    """Return a policy as a file, indented as an earlier one was."""
    found = re.search(rb"\n([ \t]+)\S", like or b"")
    indent: str | int = found.group(1).decode() if found else 2
    return (json.dumps(policy, indent=indent, ensure_ascii=False) + "\n").encode()
