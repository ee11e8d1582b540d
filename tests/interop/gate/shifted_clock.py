# SPDX-License-Identifier: Apache-2.0
"""A Caddy whose clock can be set while it runs; the machine's own is not touched. Linux on x86-64 only.

Caddy asks for the time in the vDSO, code of the kernel's that is mapped into every process (vdso(7)), by
``__vdso_clock_gettime``; written to, the mapping is a copy of the process's own. So that function is replaced
by one which asks the kernel and adds a number of seconds to CLOCK_REALTIME alone, as when a person or NTP
sets the clock. CLOCK_MONOTONIC, by which Go measures how long something takes, stays true.

Run as a program, it becomes Caddy; a child puts the function in before the first instruction of it is run.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

SHIFT_VARIABLE = "CADDY_CLOCK_SHIFT"
"""By how many seconds the clock of a Caddy that is started is ahead."""

# mov eax, 228 (clock_gettime); syscall; test edi, edi; jne end; mov rcx, [rip + 6]; add [rsi], rcx; end: ret.
# Two bytes are between the end and the number of seconds, so that it is aligned and written in one piece.
_CODE = bytes.fromhex("b8e4000000 0f05 85ff 750a 488b0d06000000 48010e c3 9090")
_SHIFT = struct.Struct("<q")

# linux/ptrace.h and linux/prctl.h.
_PTRACE_CONT, _PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_O_TRACEEXEC = 7, 17, 0x4206, 0x10
_BECAME_ANOTHER_PROGRAM = signal.SIGTRAP | 4 << 8  # PTRACE_EVENT_EXEC
_PR_SET_PTRACER, _ANY_PROCESS = 0x59616D61, -1


def launcher(caddy: Path, folder: Path) -> Path:
    """Write a program into a folder that runs a Caddy with a clock that can be set; return its path."""
    if platform.machine() != "x86_64":
        raise NotImplementedError(
            f"The clock of a running Caddy can be set on x86-64 only; this machine is {platform.machine()}."
        )
    program = folder / "caddy-with-a-clock"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{__file__}" "{caddy}" "$@"\n')
    program.chmod(0o755)
    return program


def shift(pid: int, seconds: int) -> None:
    """Set the clock of a running process that was started by :func:`launcher` so much ahead of the machine's.

    Raises:
        LookupError: It has no clock of its own.
    """
    with closing(_Memory(pid)) as memory:
        address = memory.clock()
        if memory.read(address, len(_CODE)) != _CODE:
            raise LookupError(f"Process {pid} has no clock of its own.")
        memory.write(address + len(_CODE), _SHIFT.pack(seconds))


class Clock:
    """The clock of every Caddy of one home, of those too that are started later.

    Args:
        pids: Finds those that run, each started by :func:`launcher`.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def set(self, days: float) -> None:
        """Set it so many days ahead of the machine's."""
        seconds = round(days * 86400)
        os.environ[SHIFT_VARIABLE] = str(seconds)
        for pid in self._pids():
            shift(pid, seconds)


class _Memory:
    """The memory of a process, and the vDSO in it."""

    def __init__(self, pid: int) -> None:
        self._maps = Path(f"/proc/{pid}/maps")
        self._descriptor = os.open(f"/proc/{pid}/mem", os.O_RDWR)

    def read(self, address: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, address)

    def write(self, address: int, data: bytes) -> None:
        written = os.pwrite(self._descriptor, data, address)
        assert written == len(data)

    def close(self) -> None:
        os.close(self._descriptor)

    def clock(self) -> int:
        """Find ``__vdso_clock_gettime`` by the symbol table of the vDSO, elf(5)."""
        (line,) = (line for line in self._maps.read_text().splitlines() if line.endswith("[vdso]"))
        start, end = (int(text, 16) for text in line.split()[0].split("-"))
        image = self.read(start, end - start)
        (table,) = struct.unpack_from("<Q", image, 0x28)
        size, count = struct.unpack_from("<HH", image, 0x3A)
        sections = [struct.unpack_from("<IIQQQQIIQQ", image, table + size * at) for at in range(count)]
        for _, kind, _, _, offset, length, strings, _, _, _ in sections:
            if kind != 11:  # SHT_DYNSYM
                continue
            for at in range(offset, offset + length, 24):
                name, _, _, _, value, extent = struct.unpack_from("<IBBHQQ", image, at)
                name += sections[strings][4]
                if image[name:].startswith(b"__vdso_clock_gettime\0"):
                    assert value % _SHIFT.size == 0
                    assert extent >= len(_CODE) + _SHIFT.size
                    return start + value
        raise LookupError("The vDSO of this kernel has no __vdso_clock_gettime.")


def _give_clock(pid: int, seconds: int) -> None:
    with closing(_Memory(pid)) as memory:
        memory.write(memory.clock(), _CODE + _SHIFT.pack(seconds))


def _main(program: str, *arguments: str) -> None:
    """Become a program with a clock of its own."""
    seconds = int(os.environ.pop(SHIFT_VARIABLE, "0"))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    # Where only a parent may look into a process: allow it the child, and later the tests.
    libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANY_PROCESS), 0, 0, 0)
    this = os.getpid()
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        # Of a child's child Caddy hears nothing when it ends.
        if os.fork() == 0:
            if libc.ptrace(_PTRACE_SEIZE, this, None, _PTRACE_O_TRACEEXEC) != 0:
                os._exit(1)
            os.write(done, b"!")
            # Before it has become another program it stops for each signal, which it does not need.
            while os.waitpid(this, 0)[1] >> 8 != _BECAME_ANOTHER_PROGRAM:
                libc.ptrace(_PTRACE_CONT, this, None, None)
            _give_clock(this, seconds)
            libc.ptrace(_PTRACE_DETACH, this, None, None)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(done)
    if os.read(ready, 1) != b"!":
        raise PermissionError("This system does not let one process trace another.")
    os.execv(program, [program, *arguments])  # noqa: S606 - the program is the caller's choice


if __name__ == "__main__":
    _main(*sys.argv[1:])
