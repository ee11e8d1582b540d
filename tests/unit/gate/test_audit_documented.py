# SPDX-License-Identifier: Apache-2.0
"""No finding without its paragraph in the reference, and none without a Caddyfile that has it."""

import re
from pathlib import Path

from pivgate.gate.audit_finding import Kind

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "audit.md").read_text()
SECTIONS = dict(re.findall(r"^## ([a-z0-9-]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = {kind.value for kind in Kind}

# What no Caddyfile leads to with stock Caddy, and a snippet that was replaced; other tests bring them about.
WITHOUT_CADDYFILE = {"admin-remote", "config-fetched", "listener-wrapper", "not-gated", "plain-http"}


def test_each_kind_is_explained_and_no_other() -> None:
    assert SECTIONS.keys() == KINDS
    for name, text in SECTIONS.items():
        for part in ("**What:** ", "**Risk:** ", "**Instead:** "):
            assert text.count(part) == 1, f"{name} lacks {part}"


def test_each_kind_has_a_caddyfile_that_is_attacked() -> None:
    files = (ROOT / "tests" / "golden" / "audit" / "bad").glob("*.caddy")
    found = {path.read_text().splitlines()[0].removeprefix("# finding: ") for path in files}
    assert found | WITHOUT_CADDYFILE == KINDS
    assert not found & WITHOUT_CADDYFILE
