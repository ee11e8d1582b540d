# SPDX-License-Identifier: Apache-2.0
"""pivgate run again and again, each time in a process of its own that begins where its libraries are loaded.

Starting them takes longer than most commands do. The command line itself is imported anew in each process.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

_LIBRARIES = (
    *("click", "rich.console", "rich.table", "sqlalchemy", "yubikit.management", "yubikit.piv"),
    *("cryptography.x509", "cryptography.hazmat.primitives.serialization"),
    *("cryptography.hazmat.primitives.asymmetric.ec", "cryptography.hazmat.primitives.asymmetric.rsa"),
    *("pivgate.authority.issue", "pivgate.emulator.connection", "pivgate.emulator.state_file"),
    *("pivgate.enrolment.founding", "pivgate.gate.apply", "pivgate.registry.store"),
    *("pivgate.yubikey.find", "pivgate.yubikey.session"),
)
_LARGEST_ORDER = 1 << 20


class ForkedPivgate:
    """The process from which the others are made."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._parent = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def run(
        self, port: Path | None, words: list[str], given: str, environment: Mapping[str, str], timeout: float
    ) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end.

        Args:
            port: Folder with the keys that are plugged in; None for those of the machine's PC/SC service.
            words: pivgate's arguments.
            given: What it reads on its standard input.
            environment: All of its environment.
            timeout: Seconds.

        Raises:
            TimeoutExpired: It takes longer; it was killed.
        """
        ours, theirs = socket.socketpair()
        with (
            ours,
            tempfile.TemporaryFile() as into,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            into.write(given.encode())
            into.seek(0)
            order = json.dumps([port and str(port), words, str(Path.cwd()), dict(environment)])
            with theirs:
                streams = [into.fileno(), out.fileno(), err.fileno()]
                socket.send_fds(self._orders, [order.encode()], [*streams, theirs.fileno()])
            ours.settimeout(timeout)
            with ours.makefile() as replies:
                worker = int(replies.readline())
                try:
                    status = int(replies.readline())
                except TimeoutError:
                    os.kill(worker, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(words, timeout) from None
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, status, out.read().decode(), err.read().decode())

    def close(self) -> None:
        """End it, and wait until it has written down what was covered."""
        self._orders.close()
        self._parent.wait(60)


@cache
def forked_pivgate() -> ForkedPivgate:
    """Return the one of this test process."""
    made = ForkedPivgate()
    atexit.register(made.close)
    return made


def _serve(orders: socket.socket) -> None:
    for library in _LIBRARIES:
        import_module(library)
    # Else each child would spend most of its time on taking these libraries apart when it ends.
    gc.freeze()
    while True:
        order, streams, _, _ = socket.recv_fds(orders, _LARGEST_ORDER, 4)
        if not order:
            return
        keeper = os.fork()
        if keeper == 0:
            # It outlives the order by one process: the next order need not wait for this one's end.
            if os.fork() == 0:
                orders.close()
                _keep(order, streams)
                return
            os._exit(0)
        os.waitpid(keeper, 0)
        for stream in streams:
            os.close(stream)


def _keep(order: bytes, streams: list[int]) -> None:
    """Run the command in a child of this process, and tell its number and its exit status."""
    worker = os.fork()
    if worker == 0:
        _become(order, streams)
        return
    os.write(streams[3], f"{worker}\n".encode())
    _, status = os.waitpid(worker, 0)
    os.write(streams[3], f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(order: bytes, streams: list[int]) -> None:
    port, words, folder, environment = json.loads(order)
    # Without a terminal nothing can be asked there: a question fails instead of waiting for somebody.
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, stream in enumerate(streams[:3]):
        os.dup2(stream, descriptor)
    for stream in streams:
        os.close(stream)
    # Only now: it is this process's command line.
    from tests.cli import emulated_pivgate

    if port is not None:
        emulated_pivgate.plug_in(Path(port))
    sys.argv = ["pivgate", *words]
    emulated_pivgate.main()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    with socket.socket(fileno=int(sys.argv[1])) as given_orders:
        _serve(given_orders)
