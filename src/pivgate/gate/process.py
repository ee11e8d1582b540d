# SPDX-License-Identifier: Apache-2.0
"""The running Caddy: start it, find it again, stop it, and never touch another process.

Caddy starts with nothing but its admin API, on a unix socket in the home, and is handed what to serve
through it. So a first start and a reload take the same way, and a Caddy that pivgate was killed beside
serves nobody.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from pivgate.errors import GateError, StorageError
from pivgate.files import PRIVATE_FILE, make_private_directory, storage_error, write_atomic
from pivgate.gate import unit
from pivgate.gate.admin import AdminApi, at_home
from pivgate.gate.caddy import Caddy, surroundings
from pivgate.gate.own_process import Running, command, identify, search, user_for
from pivgate.gate.ports import explain
from pivgate.gate.proven import PROVEN
from pivgate.gate.unix_http import BrokeOffError, NotRunningError, listener
from pivgate.settings import SERVICE, Home

_START_PATIENCE = 15.0
_LOG_LIMIT = 8 * 1024 * 1024
_LOG_END = 64 * 1024


def running(home: Home) -> Running | None:
    """Find the Caddy that serves a home; None when there is none.

    Its process id is in the pid file that Caddy writes; should that be lost, the admin socket tells who
    listens; should both be lost, all processes are looked through. A process counts only if its command line
    is that of the Caddy of this very home, so a number that the system has given to another process in the
    meantime is never taken for it.
    """
    for pid in (_pid_in(home.caddy_pid), listener(home.admin_socket)):
        if pid is not None and (found := identify(pid, home)):
            return found
    return next(search(home), None)


def can_be_asked(home: Home) -> bool:
    """Return whether somebody listens on both sockets of a running Caddy.

    A socket that was removed never comes back: Caddy goes on listening where nobody can reach it. One that
    serves nothing yet has only the first.
    """
    if listener(home.admin_socket) is None:
        return False
    with suppress(GateError):
        return listener(home.verdict_socket) is not None or "apps" not in AdminApi(home.admin_socket).config()
    return False


def start(caddy: Caddy, home: Home) -> Running:
    """Start Caddy, detached from this process and its terminal, serving nothing yet.

    Raises:
        GateError: It runs already, or ended at once; the reason is taken from its log.
        StorageError: The home cannot be written.
        HomeError: The home's path is too long for a socket.
    """
    home.check_socket_paths()
    if found := running(home):
        raise GateError(f"The gate is already running (process {found.pid})", "To stop it: `pivgate down`.")
    _clear(home)
    make_private_directory(home.run)
    make_private_directory(home.caddy_storage)
    try:
        return start_beside(caddy, home)
    except BaseException:
        _clear(home)
        raise


def start_beside(caddy: Caddy, home: Home) -> Running:
    """Start a Caddy that serves nothing yet, whether or not another one of this home runs.

    It takes the admin socket and the pid file for its own; what another one had there is unlinked. Beside one
    that a systemd service keeps, it is started in that service.

    Raises:
        GateError: It ended at once; the reason is taken from its log.
        StorageError: The home cannot be written.
    """
    there = {found.pid for found in search(home)}
    if any(unit.keeps(pid) for pid in there):
        return _start_in_service(home, there)
    log, offset = _open_log(home.caddy_log)
    try:
        process = _spawn(caddy, home, log)
    finally:
        os.close(log)
    try:
        _await_admin(process, caddy, home, offset)
    except BaseException:
        process.kill()
        process.wait()
        raise
    # Whoever started it reaps it, should it end first: demo and tests live on beside it.
    threading.Thread(target=process.wait, daemon=True).start()
    return Running(process.pid, caddy.path)


def _start_in_service(home: Home, there: set[int]) -> Running:
    if unit.keeps_us():
        raise GateError(
            "A service that is being started or reloaded starts no second Caddy",
            "Run `pivgate up` from a shell.",
        )
    write_atomic(home.successor, b"")
    try:
        # Returns when the request was read: taken back before that, it would be one for `pivgate up`.
        unit.ask("reload")
        api = AdminApi(home.admin_socket, timeout=_START_PATIENCE)
        deadline = time.monotonic() + _START_PATIENCE
        while time.monotonic() < deadline:
            pid = listener(home.admin_socket)
            with suppress(NotRunningError, BrokeOffError):
                if pid is not None and pid not in there and (found := identify(pid, home)) and api.config():
                    return found
            time.sleep(0.005)
    finally:
        home.successor.unlink(missing_ok=True)
    raise GateError(
        f"systemd has started no second Caddy within {_START_PATIENCE:.0f} seconds",
        f"`journalctl -u {SERVICE} -n 20` says why.",
    )


def stop(home: Home, grace: float = 5.0) -> bool:
    """Stop the Caddy of a home: politely, then by force.

    Args:
        home: The home.
        grace: Seconds to let requests in progress finish. New ones are refused at once.

    Returns:
        Whether there was one to stop.

    Raises:
        GateError: It belongs to another user, or does not end.
    """
    stopped = False
    while found := running(home):
        stopped = True
        if unit.keeps(found.pid) and not unit.keeps_us():
            # Ended in another way, it would be started again.
            with suppress(GateError):
                unit.ask("stop")
        _end(found, home, grace)
    # On a read-only disk what it has left stays; nobody takes that for alive, and the next start removes it.
    with suppress(StorageError):
        _clear(home)
    return stopped


def kill(found: Running, home: Home) -> None:
    """End one Caddy of a home at once: whatever it has open is cut off by the kernel.

    Raises:
        GateError: It belongs to another user, or does not end.
    """
    _end(found, home, 5.0, politely=False)


def _end(found: Running, home: Home, grace: float, *, politely: bool = True) -> None:
    try:
        handle = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return
    try:
        # The handle names one process for good. Looking again after taking it shuts out a number given away.
        if identify(found.pid, home) and not (
            (politely and _signal(handle, signal.SIGTERM, grace)) or _signal(handle, signal.SIGKILL, grace)
        ):
            raise GateError(f"Caddy (process {found.pid}) does not end", "Look at it with `ps`.")
    except PermissionError as error:
        raise GateError(
            f"This user may not stop Caddy (process {found.pid})",
            "Run the command as the user who started it.",
        ) from error
    finally:
        os.close(handle)


def _spawn(caddy: Caddy, home: Home, log: int) -> "subprocess.Popen[bytes]":
    with _first_config(home) as config:
        try:
            return subprocess.Popen(  # noqa: S603 - found by find_caddy
                [*_as_its_user(home), *command(caddy.path, home)],
                stdin=config,
                stdout=log,
                stderr=log,
                env=surroundings(home),
                # Paths in a Caddyfile that are not absolute start where the Caddyfile is.
                cwd=home.caddyfile.parent,
                start_new_session=True,
            )
        except OSError as error:
            raise GateError(f"Cannot run {caddy.path}: {error.strerror}", "Check that program.") from error


def _as_its_user(home: Home) -> list[str]:
    """Return the words with which root runs a command as the owner of the run folder, setpriv(1)."""
    if os.geteuid() == user_for(home):
        return []
    owner = home.run.stat()
    return [
        *("setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"),
        *(f"--{kind}=-all,+net_bind_service" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
        "--no-new-privs",
    ]


def _first_config(home: Home) -> IO[bytes]:
    try:
        config = tempfile.TemporaryFile(dir=home.run)  # noqa: SIM115 - the caller closes it
        config.write(json.dumps(at_home({}, home.admin_socket)).encode())
        config.seek(0)
    except OSError as error:
        raise storage_error("write in", home.run, error) from error
    return config


def _await_admin(process: "subprocess.Popen[bytes]", caddy: Caddy, home: Home, offset: int) -> None:
    api = AdminApi(home.admin_socket, timeout=_START_PATIENCE)
    deadline = time.monotonic() + _START_PATIENCE
    while process.poll() is None:
        with suppress(NotRunningError, BrokeOffError):
            # Until it has bound the socket, another Caddy of this home may answer there.
            if listener(home.admin_socket) == process.pid and api.config():
                return
        if time.monotonic() > deadline:
            raise GateError(
                f"Caddy does not answer within {_START_PATIENCE:.0f} seconds", f"Its log: {home.caddy_log}"
            )
        time.sleep(0.005)
    said = last_complaint(home.caddy_log, offset) or "".join(_last_lines(home.caddy_log, offset)[-1:])
    reason = said or f"status {process.returncode}"
    raise explain(reason, caddy.path, home) or GateError(
        f"Caddy ended at once: {reason}", f"Its whole log: {home.caddy_log}"
    )


def last_complaint(log: Path, offset: int = 0) -> str:
    """Return the last error at the end of Caddy's log; empty if there is none."""
    for line in reversed(_last_lines(log, offset)):
        try:
            entry = json.loads(line)
        except ValueError:
            if line.startswith("Error: "):
                return line.removeprefix("Error: ").removeprefix("loading initial config: ")
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal", "panic"):
            return str(entry.get("error") or entry.get("msg") or line)
    return ""


def _last_lines(log: Path, offset: int) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(offset, log.stat().st_size - _LOG_END))
            return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def _open_log(path: Path) -> tuple[int, int]:
    try:
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        # Caddy's user may put a link there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        log = os.open(path, flags, PRIVATE_FILE)
        os.fchmod(log, PRIVATE_FILE)
        return log, os.fstat(log).st_size
    except OSError as error:
        raise storage_error("write", path, error) from error


def _clear(home: Home) -> None:
    """Remove what a Caddy that is gone has left.

    Raises:
        GateError: One still runs, or somebody listens there: without these files it could not be stopped.
        StorageError: They cannot be removed.
    """
    if found := running(home):
        raise GateError(f"The gate still runs (process {found.pid})", "To stop it: `pivgate down`.")
    if (other := listener(home.admin_socket)) is not None:
        raise GateError(
            f"Process {other} listens on {home.admin_socket} and was not started by pivgate for this home",
            "Stop that process and run the command again.",
        )
    sockets = (home.admin_socket, home.verdict_socket)
    known = (home.caddy_pid, *sockets, home.severing, home.successor, home.run / PROVEN)
    for path in (*known, *home.run.glob("*.old"), *home.run.glob("warm.*")):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error("remove", path, error) from error


def _pid_in(path: Path) -> int | None:
    try:
        text = path.read_text(errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _signal(handle: int, number: signal.Signals, patience: float) -> bool:
    """Send a signal and wait; return whether the process has ended."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(patience * 1000))
