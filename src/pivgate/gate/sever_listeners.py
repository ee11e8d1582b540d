# SPDX-License-Identifier: Apache-2.0
"""Let the kernel give every new connection to one of several processes that listen on the same port.

Sockets that listen on one address with SO_REUSEPORT are a group, and a program of the classic packet filter
chooses among them by their number in the order in which they came (socket(7), SO_ATTACH_REUSEPORT_CBPF). Here
the newest is always chosen, so the others hear of no new connection any more and can finish what they began.
"""

import ctypes
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pivgate.gate.addresses import Tcp
from pivgate.gate.ports import listening

# linux/syscall numbers of pidfd_getfd(2) are the same on every architecture since 5.6.
_PIDFD_GETFD = 438
# asm-generic/socket.h and linux/filter.h. A program is one `ret #index`.
_SO_ATTACH_REUSEPORT_CBPF = 51
_RETURN_CONSTANT = 0x06


def favour(pid: int) -> int:
    """Give all new connections to a process that was the last to listen.

    This is a courtesy to visitors: without it, those whose connection is just being set up by another process
    lose it when that one ends. So nothing is raised when the system does not allow it, which it does not when
    the process has more rights than this one (pidfd_getfd(2), ptrace(2)).

    Returns:
        On how many sockets it was done.
    """
    done = 0
    for listener in _listeners(pid):
        with suppress(OSError):
            host, port = listener.getsockname()[:2]
            group = sum(address == Tcp(host, port) for _, address in listening())
            _choose(listener, group - 1)
            done += 1
    return done


def _choose(listener: socket.socket, index: int) -> None:
    instruction = ctypes.create_string_buffer(struct.pack("@HBBI", _RETURN_CONSTANT, 0, 0, index))
    program = struct.pack("@HP", 1, ctypes.addressof(instruction))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)


def _listeners(pid: int) -> Iterator[socket.socket]:
    """Yield a duplicate of each TCP socket on which a process listens, closed when the next one comes."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            for path in Path(f"/proc/{pid}/fd").iterdir():
                # One that was closed meanwhile is no listener.
                with suppress(OSError):
                    if str(path.readlink()).startswith("socket:"):
                        found = socket.socket(fileno=_duplicate(handle, int(path.name)))
                        if _listens(found):
                            yield found
                        found.close()
        finally:
            os.close(handle)


def _listens(found: socket.socket) -> bool:
    return (
        found.family in (socket.AF_INET, socket.AF_INET6)
        and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
    )


def _duplicate(handle: int, descriptor: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    duplicate: int = libc.syscall(_PIDFD_GETFD, handle, descriptor, 0)
    if duplicate < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return duplicate


def await_certificates(knocks: Iterable[tuple[Path, str]], patience: float) -> None:
    """Return when Caddy has a server certificate for each name, or the time is over.

    Args:
        knocks: A unix socket where Caddy speaks TLS, and a server name.
        patience: Seconds for all of them. A name may have no certificate yet; nobody is served there.
    """
    deadline = time.monotonic() + patience
    for path, name in knocks:
        while not _has_certificate(path, name) and time.monotonic() < deadline:
            time.sleep(0.005)


def _has_certificate(path: Path, name: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(1.0)
            plain.connect(str(path))
            with context.wrap_socket(plain, server_hostname=name):
                return True
    except ssl.SSLError as error:
        # Go's answer when it has none (RFC 8446, section 6.2); any other comes after it has shown one.
        return "INTERNAL_ERROR" not in (error.reason or "")
    except OSError:
        return True
