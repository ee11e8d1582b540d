# SPDX-License-Identifier: Apache-2.0
"""Apply the Caddyfile, fail-closed: render, adapt, audit, load, probe; and go back when anything is wrong.

Callers hold the home's lock.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pivgate.errors import GateError, HomeError, PivgateError
from pivgate.files import PUBLIC_FILE, read_file, write_atomic
from pivgate.gate import process
from pivgate.gate.addresses import Tcp, parse_listen
from pivgate.gate.admin import AdminApi, LoadRefusedError, at_home
from pivgate.gate.audit_file import read_sources
from pivgate.gate.caddy import Caddy, adapt, find_caddy, refuse_old_running
from pivgate.gate.caddyfile import check_opt_ins
from pivgate.gate.caddyfile import sites as opted_in_sites
from pivgate.gate.config_audit import AuditInput, audit
from pivgate.gate.joined import joined
from pivgate.gate.own_process import Running
from pivgate.gate.ports import explain, refuse_shared
from pivgate.gate.probe import ProbeResult
from pivgate.gate.proof import prove
from pivgate.gate.proven import Proven, fingerprint_of_sources, recall, record
from pivgate.gate.sever import is_unfinished, sever
from pivgate.gate.sharing import share
from pivgate.gate.sites import GatedSite
from pivgate.gate.snippet import SnippetInput, render
from pivgate.gate.timeouts import limited
from pivgate.gate.upstream_log import without_requests
from pivgate.settings import Home, load_settings

# Seconds; it takes less than one thousandth when the machine is idle.
_HANDOVER = 0.1


@dataclass(frozen=True)
class Prepared:
    """A configuration that passed the static audit and was not loaded yet.

    Attributes:
        config: Caddy's JSON.
        sites: The gated sites in it.
        warnings: Caddy's remarks on the Caddyfile.
        sources: SHA-256 over the Caddyfile and the snippet.
    """

    config: dict[str, Any]
    sites: tuple[GatedSite, ...]
    warnings: tuple[str, ...]
    sources: str


@dataclass(frozen=True)
class Applied:
    """What came of applying the Caddyfile.

    Attributes:
        sites: The gated sites.
        warnings: Caddy's remarks on the Caddyfile.
        probes: What was tried on the running gate; empty when none is running.
        pid: Process id of the gate that serves it now; None when none is running.
        started: Whether the gate was started for it.
        pending: Whether the running gate serves something else than the Caddyfile says.
        severed: Whether open connections were ended first, which an earlier command had begun.
    """

    sites: tuple[GatedSite, ...]
    warnings: tuple[str, ...]
    probes: tuple[ProbeResult, ...]
    pid: int | None
    started: bool
    pending: bool = False
    severed: bool = False


def up(home: Home) -> Applied:
    """Start the gate, or bring the running one to the Caddyfile.

    Raises:
        OpenGateError: Somebody was let in who must not be; what was served before is again, or nothing.
        GateError: There is no usable Caddy, the Caddyfile is not taken, or nothing could be proved.
        StorageError: The home cannot be read or written.
        HomeError: There is no home.
    """
    caddy = find_caddy()
    prepared = prepare(home, caddy)
    return _serve(home, caddy, prepared)


def _serve(home: Home, caddy: Caddy, prepared: Prepared) -> Applied:
    severed = is_unfinished(home) and sever(home) is not None
    found = process.running(home)
    if found and not process.can_be_asked(home):
        # Nothing can be loaded into it and nothing proved on it, so it must not go on serving.
        process.stop(home)
        found = None
    if found:
        refuse_old_running(found.pid)
    serving = found or process.start(caddy, home)
    try:
        results = put_into_force(home, serving, caddy, prepared)
    except BaseException:
        if found is None:
            process.stop(home)
        raise
    return Applied(
        prepared.sites, prepared.warnings, results, serving.pid, started=found is None, severed=severed
    )


def apply(home: Home) -> Applied:
    """Bring the running gate to the Caddyfile. When none is running, only check that it could be.

    Raises:
        OpenGateError: Somebody was let in who must not be; what was served before is again, or nothing.
        GateError: There is no usable Caddy, the Caddyfile is not taken, or nothing could be proved.
        StorageError: The home cannot be read or written.
        HomeError: There is no home.
    """
    caddy = find_caddy()
    prepared = prepare(home, caddy)
    if process.running(home) is None:
        return Applied(prepared.sites, prepared.warnings, (), None, started=False)
    return _serve(home, caddy, prepared)


def check(home: Home) -> Applied:
    """Prove what is there: audit the Caddyfile, and knock at the gate that runs. Nothing is loaded.

    Raises:
        OpenGateError: Somebody was let in who must not be.
        GateError: There is no usable Caddy, the audit finds holes, or nothing could be proved.
        StorageError: The home cannot be read.
        HomeError: There is no home.
    """
    prepared = prepare(home, find_caddy())
    serving = process.running(home)
    if serving is None:
        return Applied(prepared.sites, prepared.warnings, (), None, started=False)
    if not process.can_be_asked(home):
        raise GateError(
            f"The gate runs (process {serving.pid}) but cannot be asked: its sockets in {home.run} are gone",
            "`pivgate down` closes it; `pivgate up` starts it afresh.",
        )
    config = AdminApi(home.admin_socket).config()
    sites = tuple(audit(config, _expected(home)))
    results = prove(home, config, sites)
    return Applied(
        sites,
        prepared.warnings,
        results,
        serving.pid,
        started=False,
        pending=config != prepared.config,
    )


def apply_edit(home: Home, caddyfile: str) -> Applied:
    """Replace the Caddyfile and apply it; the old text is put back when that fails.

    Args:
        home: The home.
        caddyfile: The new text.

    Raises:
        PivgateError: As :func:`apply`.
    """
    before = read_file(home.caddyfile)
    write_atomic(home.caddyfile, caddyfile.encode(), PUBLIC_FILE)
    try:
        return apply(home)
    except BaseException:
        write_atomic(home.caddyfile, before, PUBLIC_FILE)
        raise


def prepare(home: Home, caddy: Caddy) -> Prepared:
    """Render the snippet, adapt the Caddyfile, and audit what comes of it. Nothing is loaded.

    Raises:
        GateError: Caddy does not understand the Caddyfile, or somebody could get around the gate.
        HomeError: There is no home, or no Caddyfile in it.
        StorageError: The home cannot be read or written.
    """
    settings = load_settings(home)
    if not home.caddyfile.exists():
        raise HomeError(f"There is no Caddyfile at {home.caddyfile}", "Restore it from a backup.")
    snippet = render(
        SnippetInput(home.authority_certificate, home.access, home.verdict_socket, settings.contact)
    ).encode()
    if not home.snippet.exists() or read_file(home.snippet) != snippet:
        write_atomic(home.snippet, snippet)
    sources = fingerprint_of_sources(home)
    check_opt_ins(_text(home))
    adapted = adapt(caddy, home, home.caddyfile)
    opted_in = frozenset(site.address for site in opted_in_sites(_text(home)))
    config = without_requests(joined(adapted.config))
    config = limited(config, settings.write_timeout, settings.stream_timeout)
    expected = replace(_expected(home, opted_in), sources=read_sources(home.caddyfile))
    sites = audit(config, expected)
    return Prepared(at_home(config, home.admin_socket), tuple(sites), adapted.warnings, sources)


def _expected(home: Home, opted_in: frozenset[str] = frozenset()) -> AuditInput:
    return AuditInput(
        home.authority_certificate, home.access, home.admin_socket, home.verdict_socket, opted_in
    )


def _text(home: Home) -> str:
    try:
        return read_file(home.caddyfile).decode()
    except UnicodeDecodeError as error:
        raise GateError(
            f"{home.caddyfile} is not UTF-8 at byte {error.start}", "Mend the file; nothing was changed."
        ) from error


def put_into_force(home: Home, serving: Running, caddy: Caddy, prepared: Prepared) -> tuple[ProbeResult, ...]:
    """Load a configuration into the running Caddy and prove it, or go back to the one proved before.

    Raises:
        OpenGateError: Somebody was let in; what serves now is said.
        GateError: Caddy does not take it, or nothing could be proved; what serves now is said.
        StorageError: The certificates to try are missing, or the result cannot be recorded.
    """
    refuse_shared(_ports(prepared.config), serving.pid, home)
    share(home)
    before = recall(home, serving.pid)
    try:
        results = load_and_prove(home, prepared.config, prepared.sites)
        record(
            home,
            Proven(serving.pid, str(caddy.version), prepared.sources, prepared.config, prepared.sites),
        )
    except LoadRefusedError as error:
        # Caddy has gone back by itself; loading the old configuration once more would only cut connections.
        raise explain(error.reason, serving.program, home) or error from error
    except PivgateError as error:
        error.hint = f"{_go_back(home, before)} {error.hint}".strip()
        raise
    except BaseException:
        _go_back(home, before)
        raise
    return results


def load_and_prove(
    home: Home, config: Mapping[str, Any], sites: Iterable[GatedSite]
) -> tuple[ProbeResult, ...]:
    """Load a configuration and try to get past it. What was served before is gone, whatever comes of it.

    Raises:
        OpenGateError: Somebody was let in.
        GateError: Caddy does not take it, or nothing could be proved.
        StorageError: The certificates to try are missing.
    """
    AdminApi(home.admin_socket).load(config)
    # Caddy answers when the old servers have begun to stop; until they have, they still take a connection now
    # and then, and a probe that meets one proves nothing about the new configuration.
    time.sleep(_HANDOVER)
    return prove(home, config, sites)


def _go_back(home: Home, before: Proven | None) -> str:
    """Serve what was proved before, if it still holds, else nothing; say which."""
    if before is None:
        process.stop(home)
        return "The gate was stopped; nothing is served."
    try:
        load_and_prove(home, before.config, before.sites)
    except PivgateError as error:
        process.stop(home)
        return f"Going back failed ({error.message}), so the gate was stopped; nothing is served."
    return "What was served before is served again."


def _ports(config: Mapping[str, Any]) -> list[Tcp]:
    servers = ((config.get("apps") or {}).get("http") or {}).get("servers") or {}
    return [
        endpoint
        for server in servers.values()
        for listen in server.get("listen") or []
        for endpoint in parse_listen(listen)
        if isinstance(endpoint, Tcp)
    ]
