# SPDX-License-Identifier: Apache-2.0
"""``pivgate site check``: what the audit and the knocks found, for a person or for a program."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pivgate.cli.output import busy, print_json, print_rows
from pivgate.errors import InputError
from pivgate.gate.audit_finding import AuditError, Finding
from pivgate.gate.sites import GatedSite
from pivgate.settings import Home, load_settings


def check_home(home: Home, *, as_json: bool) -> None:
    """Audit the home's Caddyfile and knock at what runs.

    Raises:
        PivgateError: As :func:`pivgate.gate.apply.check`.
    """
    from pivgate.gate.apply import check

    load_settings(home)
    try:
        checked = busy("Knocking at every site…", lambda: check(home))
    except AuditError as error:
        if as_json:
            _print_json([], error.findings, [])
        raise
    knocks = [
        {
            "site": result.site,
            "attempt": result.attempt,
            "outcome": result.outcome.value,
            "milliseconds": round(result.milliseconds, 1),
        }
        for result in checked.probes
    ]
    if as_json:
        _print_json(_gated(checked.sites), (), knocks)
    else:
        columns = {"site": "site", "attempt": "attempt", "outcome": "outcome", "milliseconds": "ms"}
        sound = "The configuration is sound. The gate is not running: no knocks."
        print_rows(columns, knocks, as_json=False, empty=sound)
    if checked.pending:
        click.echo(
            "The running gate serves something else than the Caddyfile says: `pivgate up` applies it.",
            err=True,
        )


def check_file(caddyfile: Path, home: Home, *, as_json: bool) -> None:
    """Audit any Caddyfile.

    Raises:
        AuditError: It has holes.
        InputError: It cannot be read as text, or asks nobody for a client certificate.
        GateError: There is no usable Caddy, or Caddy does not understand the file.
        StorageError: It cannot be read.
    """
    from pivgate.gate.audit_file import audit_file
    from pivgate.gate.caddy import find_caddy

    audited = busy("Reading the Caddyfile…", lambda: audit_file(find_caddy(), caddyfile, home))
    hosts = _gated(audited.gated)
    hosts += [
        {"host": host, "port": None, "kept_by": "client_auth", "groups": []} for host in audited.handmade
    ]
    if as_json:
        _print_json(hosts, audited.findings, [])
    for warning in audited.warnings:
        click.echo(f"Caddy remarks: {warning}", err=True)
    if audited.findings:
        raise AuditError(audited.findings)
    if not hosts:
        raise InputError(
            f"No site in {caddyfile} asks for client certificates, so there is nothing to prove",
            "Is it the right file? A site opts in with `import pivgate GROUP { ... }`.",
        )
    if not as_json:
        columns = {"host": "host", "port": "port", "kept_by": "kept by", "groups": "allowed"}
        print_rows(columns, hosts, as_json=False, empty="")


def _gated(sites: Sequence[GatedSite]) -> list[dict[str, object]]:
    return [
        {"host": site.host, "port": site.port, "kept_by": "pivgate", "groups": list(site.groups)}
        for site in sites
    ]


def _print_json(hosts: Sequence[object], findings: Sequence[Finding], knocks: Sequence[object]) -> None:
    found = [{**asdict(finding), "kind": finding.kind.value} for finding in findings]
    print_json({"hosts": hosts, "findings": found, "knocks": knocks})
