# SPDX-License-Identifier: Apache-2.0
"""A plan in words: what would change in each file."""

import difflib
from pathlib import Path

from pivgate.browser import nss
from pivgate.browser.change import Plan


def describe(plan: Plan) -> list[tuple[Path, list[str]]]:
    """Return, for each file that would be written, what would change in it; for text the lines."""
    return [(path, _change(path, plan)) for path in plan.changes]


def _change(path: Path, plan: Plan) -> list[str]:
    old, new = plan.now[path], plan.after[path]
    if path.name == nss.CERTIFICATES:
        names = ", ".join(plan.adds.get("authorities", {})) or "none"
        return [f"{_verb(old)}; trusted to certify web sites: {names}"]
    if path.name == nss.KEYS:
        return [f"{_verb(old)}; the database's own proof that its trust settings are genuine"]
    lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=0)
    return [_verb(old), *(line for line in list(lines)[2:] if not line.startswith("@@"))]


def _verb(old: bytes | None) -> str:
    return "is made" if old is None else "is changed"


def _lines(data: bytes | None) -> list[str]:
    return (data or b"").decode(errors="replace").splitlines()
