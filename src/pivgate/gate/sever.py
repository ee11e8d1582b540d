# SPDX-License-Identifier: Apache-2.0
"""End everything that is open: let a fresh Caddy take over the ports, then kill the one before.

A reload ends no answer that is already streaming, and nothing in Caddy tells which connection shows which
certificate. So all of them are ended, in an order in which nobody else notices more than a reconnect:

1. A second Caddy reads the server certificates, then loads what was proved. Both listen on the same ports
   (SO_REUSEPORT, socket(7)).
2. The kernel is told to give new connections to the second one only.
3. Handshakes that the first one has begun get some time to become requests.
4. The first one is told to serve nothing: it answers what it has begun and tells HTTP/2 clients to go.
5. What is still open then is cut off: the first one is killed.
6. The second one is proved.

A file says that this is to be done, before the first step and until the last is done. Killed at any place, it
is done again from the beginning by the next command: everything that runs then is the one before. In the last
step that file becomes the one that says of which severings an event is still to tell.
"""

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pivgate.errors import GateError, OpenGateError, PivgateError, StorageError
from pivgate.files import make_private_directory, storage_error, sync_directory, write_atomic
from pivgate.gate import process
from pivgate.gate.admin import AdminApi
from pivgate.gate.caddy import Caddy, find_caddy
from pivgate.gate.own_process import Running, search, user_for, user_of
from pivgate.gate.ports import pids_that_listen
from pivgate.gate.probe import ProbeResult
from pivgate.gate.proof import prove
from pivgate.gate.proven import Proven, recall, record
from pivgate.gate.sever_configs import draining, warming
from pivgate.gate.sever_listeners import await_certificates, favour
from pivgate.settings import Home

# Seconds. A YubiKey takes 0.1 to 0.3 to sign its part of a handshake.
_FOR_CERTIFICATES = 0.2
_FOR_HANDSHAKES = 0.3
_FOR_ANSWERS = 0.2
# What was withdrawn is to be gone within a second. Where the second Caddy took long to start, the others get
# less time, but some: handshakes rather than answers, since Caddy, told to serve nothing, closes a connection
# whose first request comes after that without an answer.
_LATEST = 0.9
_LEAST_FOR_HANDSHAKES = 0.2
_LEAST_FOR_ANSWERS = 0.1


@dataclass(frozen=True)
class Severed:
    """What severing did.

    Attributes:
        pid: The Caddy that serves now.
        ended: ``time.monotonic()`` when nothing was open any more.
        probes: What was tried afterwards.
    """

    pid: int
    ended: float
    probes: tuple[ProbeResult, ...]


def intend(home: Home) -> None:
    """Write down that all open connections are to be ended, before access is taken away.

    Killed after that, the next command that withdraws, ``pivgate up`` or a change of the sites does it.

    Raises:
        StorageError: It cannot be written.
    """
    pids = {*_intended(home), *(found.pid for found in search(home))}
    make_private_directory(home.run)
    write_atomic(home.severing, json.dumps(sorted(pids)).encode())


def is_unfinished(home: Home) -> bool:
    """Return whether severing was begun, or was to be, and is not done, or more than one Caddy runs."""
    return home.severing.exists() or len(tuple(search(home))) > 1


def untold(home: Home) -> list[str]:
    """Return when each severing ended of which no event may tell yet: ISO 8601, UTC, in their order."""
    return [moment for moment in _listed(home.severed) if isinstance(moment, str)]


def all_told(home: Home) -> None:
    """Note that an event tells of each severing.

    Raises:
        StorageError: It cannot be written.
    """
    _remove(home.severed)


def sever(home: Home, since: float | None = None) -> Severed | None:
    """End every connection to the gate that is open now; None when no gate runs. Callers hold the lock.

    Args:
        home: The home.
        since: ``time.monotonic()`` when access was taken away; now, if not given.

    Raises:
        OpenGateError: They were not ended; or the fresh Caddy lets somebody in, and was stopped.
        GateError: The fresh Caddy could not be proved, and was stopped.
        StorageError: What was proved cannot be recorded, and the gate was stopped; or that it is done cannot.
    """
    begun = time.monotonic() if since is None else since
    if not tuple(search(home)):
        _remove(*map(_former, _names(home)), home.severing)
        return None
    try:
        intend(home)
        _refuse_another_user(home, search(home))
        before = _those_that_serve(home)
        proven, caddy = _last_proven(home), find_caddy()
        fresh = _take_over(home, caddy, proven)
        _let_go(home, begun, fresh, proven.config)
        for found in before:
            process.kill(found, home)
    except PivgateError as error:
        raise OpenGateError(
            f"What was open before may still be open: {error.message}",
            f"`pivgate down` ends it at once. {error.hint}".strip(),
        ) from error
    ended = time.monotonic()
    try:
        probes = prove(home, proven.config, proven.sites)
        record(home, Proven(fresh.pid, str(caddy.version), proven.sources, proven.config, proven.sites))
    except PivgateError as error:
        process.stop(home)
        # It is done all the same, and its event is due.
        with suppress(StorageError):
            _finish(home)
        error.hint = f"The gate was stopped; nothing is served. {error.hint}".strip()
        raise
    _finish(home)
    return Severed(fresh.pid, ended, probes)


def _refuse_another_user(home: Home, processes: Iterable[Running]) -> None:
    """Linux lets two processes listen on one port only if both are of one user (socket(7))."""
    for found in processes:
        if (user := user_of(found.pid)) not in (None, user_for(home)):
            raise GateError(
                f"the gate (process {found.pid}) runs as another user, number {user}",
                "Run the command again as that user.",
            )


def _those_that_serve(home: Home) -> tuple[Running, ...]:
    """End what a command that was killed has left: of several Caddys, those that listen on no port.

    One that is only starting would take the sockets away from the next.
    """
    found = tuple(search(home))
    serving = pids_that_listen() & {one.pid for one in found}
    if not serving:
        return found
    for one in found:
        if one.pid not in serving:
            process.kill(one, home)
    return tuple(one for one in found if one.pid in serving)


def _take_over(home: Home, caddy: Caddy, proven: Proven) -> Running:
    """Let a second Caddy listen where the first does; without it, should that fail."""
    _keep_names(home)
    fresh: Running | None = None
    try:
        fresh = process.start_beside(caddy, home)
        warm = warming(proven.config, proven.sites, home.run)
        api = AdminApi(home.admin_socket)
        api.load(warm.config)
        await_certificates(warm.knocks, _FOR_CERTIFICATES)
        api.load(proven.config)
    except BaseException:
        if fresh:
            process.kill(fresh, home)
        _restore_names(home)
        raise
    return fresh


def _let_go(home: Home, begun: float, fresh: Running, config: Mapping[str, Any]) -> None:
    """Give the Caddy before the time to finish what takes no long time."""
    favour(fresh.pid)
    _wait(_LEAST_FOR_HANDSHAKES, _FOR_HANDSHAKES, begun + _LATEST - _FOR_ANSWERS)
    former = AdminApi(_former(home.admin_socket), timeout=_FOR_ANSWERS, known_as=home.admin_socket)
    # It is killed in any case.
    with suppress(GateError):
        former.load(draining(config))
        _wait(_LEAST_FOR_ANSWERS, _FOR_ANSWERS, begun + _LATEST)


def _wait(least: float, most: float, latest: float) -> None:
    time.sleep(max(least, min(most, latest - time.monotonic())))


def _intended(home: Home) -> list[int]:
    return [pid for pid in _listed(home.severing) if isinstance(pid, int)]


def _listed(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _last_proven(home: Home) -> Proven:
    for pid in _intended(home):
        if found := recall(home, pid):
            return found
    raise GateError(
        "what the gate serves was never proved, so no other may take over", "`pivgate up` starts it afresh."
    )


def _former(path: Path) -> Path:
    return path.with_suffix(".old")


def _names(home: Home) -> tuple[Path, ...]:
    return (home.admin_socket, home.verdict_socket)


def _keep_names(home: Home) -> None:
    """Give the sockets of the Caddy before a second name; the first is about to be the other's."""
    for path in _names(home):
        try:
            _former(path).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                _former(path).hardlink_to(path)
        except OSError as error:
            raise storage_error("link", _former(path), error) from error


def _restore_names(home: Home) -> None:
    for path in _names(home):
        with suppress(OSError):
            _former(path).replace(path)


def _finish(home: Home) -> None:
    _remove(*map(_former, _names(home)))
    moment = datetime.now(UTC).isoformat(timespec="microseconds")
    write_atomic(home.severing, json.dumps([*untold(home), moment]).encode())
    try:
        # One step: it is to be done, or done and to be recorded, never both and never neither.
        home.severing.replace(home.severed)
    except OSError as error:
        raise storage_error("write", home.severed, error) from error
    sync_directory(home.root)


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error("remove", path, error) from error
