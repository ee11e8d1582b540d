# SPDX-License-Identifier: Apache-2.0
"""A pcscd of our own: what it takes, what others see of it, and how it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.pcsc.driver import PcscSetupError, compiled_driver
from pivgate.emulator.pcsc.reader import VirtualReader
from pivgate.emulator.pcsc.service import PcscService, find_pcscd, reader_configuration
from pivgate.emulator.yubikey import EmulatedYubiKey

PATIENCE = 10.0
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
MACHINES = Path("/run/pcscd")

Make = Callable[..., PcscService]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pgs"))
    yield path
    shutil.rmtree(path)


def readers_in(folder: Path, number: int = 1, firmware: str = "5.7.4") -> list[VirtualReader]:
    return [
        VirtualReader(folder / f"{each}.sock", EmulatedYubiKey(FIRMWARE[firmware], each + 1))
        for each in range(number)
    ]


class Bench:
    """A service and its readers, with every key plugged in."""

    def __init__(self, folder: Path, number: int = 1) -> None:
        self.readers = readers_in(folder, number)
        self.service = PcscService(folder, self.readers)

    def __enter__(self) -> "Bench":
        self.service.start()
        for reader in self.readers:
            reader.insert()
        for reader in self.readers:
            reader.await_power(PATIENCE)
        return self

    def __exit__(self, *_arguments: object) -> None:
        for reader in self.readers:
            reader.remove()
        self.service.stop()

    @property
    def pid(self) -> int:
        assert self.service._process is not None
        return self.service._process.pid

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            env={**os.environ, **self.service.environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def cards(self) -> list[bool]:
        """Say of each reader in turn whether a card is in it."""
        lines = self.run("opensc-tool", "--list-readers").stdout.splitlines()
        return [line.split()[1] == "Yes" for line in lines if line[:1].isdigit()]

    def serial(self, reader: int) -> int:
        """Ask a key for its serial number, through everything."""
        said = self.run(
            *("opensc-tool", "-c", "default", "-r", str(reader)),
            *("-s", "00:A4:04:00:05:A0:00:00:03:08", "-s", "00:F8:00:00"),
        ).stdout.split("Received")
        assert "SW1=0x90" in said[-1], said
        return int("".join(said[-1].split("\n")[1].split()[:4]), 16)


def await_true(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def test_two_readers_are_two(folder: Path) -> None:
    with Bench(folder, 2) as bench:
        assert bench.cards() == [True, True]
        assert (bench.serial(0), bench.serial(1)) == (1, 2)
        bench.readers[0].remove()
        await_true(lambda: bench.cards() == [False, True])
        assert bench.serial(1) == 2
        bench.readers[0].insert()
        await_true(lambda: bench.cards() == [True, True])
        assert bench.serial(0) == 1


def test_sixteen_readers_and_no_more(folder: Path) -> None:
    with Bench(folder, 16) as bench:
        assert bench.cards() == [True] * 16
        assert bench.serial(15) == 16
    with pytest.raises(PcscSetupError, match="room for 16 readers") as failure:
        PcscService(folder, readers_in(folder, 17)).start()
    assert failure.value.remedy


def test_the_machine_is_left_alone(folder: Path) -> None:
    def look() -> tuple[list[str], str]:
        return sorted(map(str, MACHINES.glob("*"))), Path("/proc/self/mountinfo").read_text()

    before = look()
    with Bench(folder) as bench:
        assert look() == before
        # No port: what it has open are unix sockets.
        inodes = {str(file.readlink()) for file in Path(f"/proc/{bench.pid}/fd").iterdir()}
        for family in ("tcp", "tcp6", "udp", "udp6"):
            lines = Path(f"/proc/{bench.pid}/net/{family}").read_text().splitlines()[1:]
            assert not inodes & {f"socket:[{line.split()[9]}]" for line in lines}
    assert look() == before


def test_nobody_else_gets_in(folder: Path) -> None:
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with Bench(folder) as bench:
        for path in (bench.readers[0].path, folder / "run" / "pcscd.comm"):
            command = ["/usr/bin/python3", "-c", connect, str(path)]
            assert subprocess.run(command, check=False).returncode == 0
            if os.geteuid() == 0:
                said = subprocess.run([*NOBODY, *command], capture_output=True, text=True, check=False)
                assert "Permission denied" in said.stderr


def test_it_ends_and_starts_again(folder: Path) -> None:
    with Bench(folder) as bench:
        pid = bench.pid
        bench.service.stop()
        assert not alive(pid)
        assert bench.cards() == []
        bench.service.stop()
        bench.service.start()
        await_true(lambda: bench.cards() == [True])
        assert bench.serial(0) == 1


def test_it_is_killed_and_starts_again(folder: Path) -> None:
    with Bench(folder) as bench:
        os.kill(bench.pid, signal.SIGKILL)
        await_true(lambda: bench.cards() == [])
        bench.service.stop()
        # What it leaves behind must not look like another one that runs.
        (folder / "run" / "pcscd.pid").write_text(f"{os.getpid()}\n")
        bench.service.start()
        await_true(lambda: bench.cards() == [True])
        assert bench.serial(0) == 1


STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from pivgate.emulator.pcsc.service import PcscService
service = PcscService(Path(sys.argv[1]), ())
service.start()
print(service._process.pid, flush=True)
time.sleep(60)
"""


def test_it_does_not_outlive_a_killed_owner(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert alive(pid)
        owner.kill()
        owner.wait()
        await_true(lambda: not alive(pid))


def lacking(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    real = shutil.which
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name, *rest, **more: None if name in missing else real(name, *rest, **more),
    )


def test_pcscd_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "pcscd")
    with pytest.raises(PcscSetupError, match="pcscd is not installed") as failure:
        PcscService(folder, ()).start()
    assert "apt install pcscd" in failure.value.remedy
    assert list(folder.iterdir()) == []


def test_util_linux_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "unshare", "setpriv")
    with pytest.raises(PcscSetupError, match="needs unshare, setpriv") as failure:
        PcscService(folder, ()).start()
    assert "util-linux" in failure.value.remedy
    assert list(folder.iterdir()) == []


def test_pcscd_is_found_outside_of_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert find_pcscd().endswith("sbin/pcscd")


def program(folder: Path, name: str, script: str) -> Path:
    """Put a program of our own into a folder below, which belongs into PATH."""
    path = folder / "programs" / name
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path.parent


def test_pcscd_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = program(folder, "pcscd", "echo it is broken >&2; exit 3")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (folder / "own").mkdir()
    with pytest.raises(PcscSetupError, match="does not start: it is broken") as failure:
        PcscService(folder / "own", ()).start()
    assert "pcscd --foreground --debug" in failure.value.remedy


def test_a_folder_of_pcscd_that_cannot_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = program(folder, "pcscd", "echo pcscd 2.0 ipcdir=/proc/none/pcscd usbdropdir=/proc/none/usb")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(PcscSetupError, match="/proc/none/pcscd is missing") as failure:
        PcscService(folder, ()).start()
    assert "sudo mkdir -m 755 /proc/none/pcscd" in failure.value.remedy


def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    deep = folder / ("x" * 90)
    deep.mkdir()
    with pytest.raises(PcscSetupError, match="longer than 107 bytes") as failure:
        PcscService(deep, ()).start()
    assert "TMPDIR" in failure.value.remedy
    with pytest.raises(PcscSetupError, match="longer than 107 bytes"):
        PcscService(folder, readers_in(deep / "y")).start()
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize("name", ["with space", "ünï", 'quo"te', "line\nbreak", "hash#"])
def test_a_path_that_pcscd_cannot_read(folder: Path, name: str) -> None:
    with pytest.raises(PcscSetupError, match="pcscd cannot read the path") as failure:
        reader_configuration(readers_in(folder / name), Path("/x.so"))
    assert "TMPDIR" in failure.value.remedy
    with pytest.raises(PcscSetupError, match="pcscd cannot read the path"):
        reader_configuration((), Path(f"/{name}.so"))


def test_pcscd_reads_every_path_that_is_let_through(folder: Path) -> None:
    odd = folder / "a-b_c.d:e=f@g"
    odd.mkdir()
    service = PcscService(odd, readers_in(odd), cache=odd / "cache")
    service.start()
    service.stop()


UNPRIVILEGED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from pivgate.emulator.pcsc.driver import PcscSetupError
from pivgate.emulator.pcsc.service import PcscService
service = PcscService(Path(sys.argv[1]), ())
try:
    service.start()
except PcscSetupError as error:
    print(error.remedy)
else:
    print("started")
    service.stop()
"""


@pytest.mark.parametrize("allowed", [True, False], ids=["namespaces", "no namespaces"])
def test_an_unprivileged_user(folder: Path, *, allowed: bool) -> None:
    nobody = NOBODY if os.geteuid() == 0 else ()
    if nobody:
        MACHINES.mkdir(mode=0o755, exist_ok=True)
        os.chown(folder, 65534, 65534)
    if allowed:
        probe = subprocess.run([*nobody, "unshare", "-Urm", "true"], capture_output=True, check=False)
        allowed = probe.returncode == 0
    else:
        program(folder, "unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    done = subprocess.run(
        [*nobody, sys.executable, "-c", UNPRIVILEGED, str(folder), *sys.path],
        env={
            **os.environ,
            "HOME": str(folder),
            "XDG_CACHE_HOME": "",
            "PATH": f"{folder / 'programs'}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "started" if allowed else "with sudo" in done.stdout


def speak(path: Path, answers: list[bytes]) -> threading.Thread:
    """Be a card that gives these answers, each to whoever connects next, and hangs up."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(PATIENCE)

    def serve() -> None:
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    # The driver hangs up as soon as it has seen nonsense, before all of it was said.
                    with suppress(ConnectionError):
                        connection.recv(100)
                        connection.sendall(answer or b"")
        path.unlink()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_card_that_talks_nonsense_harms_neither_pcscd_nor_another_card(folder: Path) -> None:
    atr = FIRMWARE["5.7.4"].atr
    long = b"\0\x22" + atr.ljust(34)
    answers = [b"", b"\0", b"\0\0", b"\xff\xff", long, b"\xff\xff" + bytes(65535), b"\0\5" + atr[:2]]
    with Bench(folder, 2) as bench:
        first = bench.readers[0]
        first.remove()
        speak(first.path, answers).join(3 * PATIENCE)
        assert not first.path.exists(), "each was asked"
        assert bench.serial(1) == 2
        first.insert()
        first.await_power(PATIENCE)
        assert bench.serial(0) == 1


def test_a_card_that_speaks_unasked_is_thrown_out(folder: Path) -> None:
    reader = readers_in(folder)[0]
    service = PcscService(folder, [reader])
    service.start()
    atr = FIRMWARE["5.7.4"].atr
    try:
        # After its answer to reset it says more: the driver hangs up, and asks anew.
        speak(reader.path, [bytes((0, len(atr))) + atr + b"more"] * 2).join(PATIENCE)
        assert not reader.path.exists()
    finally:
        service.stop()


def test_the_driver_is_compiled_where_it_was_told(folder: Path) -> None:
    service = PcscService(folder, readers_in(folder), cache=folder / "cache")
    service.start()
    service.stop()
    assert compiled_driver(folder / "cache").parent == folder / "cache"
