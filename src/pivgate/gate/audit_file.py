# SPDX-License-Identifier: Apache-2.0
"""Audits a Caddyfile that lies anywhere, whoever wrote it: gated sites, and client certificates by hand."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pivgate.errors import InputError, StorageError
from pivgate.files import read_file
from pivgate.gate.audit_finding import Finding
from pivgate.gate.audit_handmade import examine_handmade
from pivgate.gate.audit_lines import Source, asking_addresses
from pivgate.gate.audit_node import Node
from pivgate.gate.caddy import Caddy, adapt
from pivgate.gate.caddyfile import check_opt_ins
from pivgate.gate.caddyfile import sites as opted_in_sites
from pivgate.gate.caddyfile_tokens import tokenize
from pivgate.gate.config_audit import AuditInput, Examined, examine
from pivgate.gate.sites import GatedSite
from pivgate.settings import Home


@dataclass(frozen=True)
class FileAudit:
    """What a Caddyfile was found to be.

    Attributes:
        gated: Sites behind pivgate.
        handmade: Hosts that ask for client certificates without it.
        findings: Every hole that was found.
        warnings: Caddy's remarks on the file.
    """

    gated: tuple[GatedSite, ...]
    handmade: tuple[str, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]


def audit_file(caddy: Caddy, caddyfile: Path, home: Home) -> FileAudit:
    """Adapt a Caddyfile and look for holes in what comes of it. Nothing is written or started.

    Args:
        caddy: The Caddy that reads it.
        caddyfile: The file.
        home: The home here, which need not exist; the file may be of another.

    Raises:
        GateError: Caddy does not understand it.
        InputError: It is not text, or a site in it opts in without a group.
        StorageError: It cannot be read.
    """
    sources = read_sources(caddyfile)
    check_opt_ins(sources[0].text)
    _check_snippet(caddyfile, sources[0].text, home)
    adapted = adapt(caddy, home, caddyfile.absolute())
    return examine_sources(adapted.config, sources, home, adapted.warnings)


def examine_sources(
    config: dict[str, Any], sources: Sequence[Source], home: Home, warnings: tuple[str, ...] = ()
) -> FileAudit:
    """Look for holes in an adapted configuration, of whatever home it is.

    Args:
        config: What ``caddy adapt`` made of the sources.
        sources: The Caddyfile first, then the files that it imports.
        home: The home here.
        warnings: Caddy's remarks.

    Raises:
        GateError: It is not a configuration that Caddy could have made.
        CaddyfileError: A source cannot be read as a Caddyfile.
    """
    opted_in = frozenset(site.address for source in sources for site in opted_in_sites(source.text))
    ours = _home_of(config, home)
    examined = Examined([], frozenset(), ())
    if ours or opted_in:
        ours = ours or home
        expected = AuditInput(
            ours.authority_certificate,
            ours.access,
            ours.admin_socket,
            ours.verdict_socket,
            opted_in,
            tuple(sources),
        )
        examined = examine(config, expected)
    asking = frozenset(address for source in sources for address in asking_addresses(source.text))
    handmade, more = examine_handmade(config, examined.hosts, asking, sources)
    # What both say of the same place, the gate's own audit says better.
    found = {(each.kind, each.where): each for each in (*more, *examined.findings)}
    return FileAudit(tuple(examined.sites), tuple(handmade), tuple(found.values()), warnings)


def read_sources(caddyfile: Path) -> tuple[Source, ...]:
    """Read a Caddyfile and the files that it imports at the top, but for the snippet.

    Raises:
        InputError: The Caddyfile is not text.
        StorageError: It cannot be read.
    """
    text = _text(caddyfile)
    return (Source(str(caddyfile), text), *_imported(caddyfile, text))


def _imported(caddyfile: Path, text: str) -> Iterator[Source]:
    tokens = tokenize(text)
    for before, after in pairwise(tokens):
        if before.text != "import" or before.line != after.line or after.text.endswith("pivgate.caddy"):
            continue
        pattern = after.text
        if "{" in pattern or not ("/" in pattern or "." in pattern or "*" in pattern):
            continue
        root = Path(pattern).anchor or "."
        found = (caddyfile.parent / root).glob(pattern.removeprefix(root)) if pattern.strip("/") else ()
        for path in sorted(path for path in found if path.is_file()):
            try:
                yield Source(str(path), _text(path))
            except (InputError, StorageError):
                # Only lines are looked for in it; Caddy itself says what is wrong with it.
                continue


def _check_snippet(caddyfile: Path, text: str, home: Home) -> None:
    """Say where the snippet is, when a draft lies elsewhere than the home's own Caddyfile."""
    wanted = home.snippet.name
    if (caddyfile.parent / wanted).exists():
        return
    if any(a.text == "import" and b.text == wanted for a, b in pairwise(tokenize(text))):
        there = home.snippet.exists()
        raise InputError(
            f"{caddyfile} imports {wanted}, which is not beside it",
            f"Write `import {home.snippet}` to check it here."
            if there
            else "Create a home with `pivgate init`, or name yours with --home.",
        )


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at byte {error.start}", "Mend the file.") from error


def _home_of(config: dict[str, Any], home: Home) -> Home | None:
    """Return the home whose access tree the configuration looks into; None when it looks into none."""
    roots = Counter(
        str(Path(lookup["root"].text()).parent.parent)
        for lookup in Node(config)["apps"].members_named("file")
        if any("tls.client.fingerprint" in text for text in lookup["try_files"].texts())
    )
    if str(home.authority_certificate) in json.dumps(config):
        return home
    return Home(Path(roots.most_common(1)[0][0])) if roots else None
