# SPDX-License-Identifier: Apache-2.0
"""A pcscd of our own, beside the machine's: it sees emulated keys only, and only we see it.

It runs in a mount namespace in which its socket folder is ours and the folder with drivers for USB readers is
empty, so that it never reaches for a real key.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pivgate.emulator.pcsc.driver import PcscSetupError, compiled_driver, default_cache
from pivgate.emulator.pcsc.reader import VirtualReader

SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"
"""Tells every program that uses pcsc-lite where its service listens (pcscd(8), "Environment")."""

_MOST_READERS = 16
_LONGEST_PATH = 107
_READABLE = re.compile(r"[\w/.:=@-]+", re.ASCII)
_START = 10.0
_STOP = 5.0

# $1 our socket folder, $2 pcscd's, $3 its USB drivers; the rest is pcscd's command. pcscd ends when we do.
_SCRIPT = """
mount --bind "$1" "$2" || exit 1
if [ -d "$3" ]; then mount -t tmpfs -o size=4k none "$3" || exit 1; fi
shift 3
exec setpriv --pdeathsig TERM "$@"
"""


class PcscService:
    """Runs pcscd with one reader per emulated key.

    Args:
        folder: For its socket, its configuration and its log; short, private, and there already.
        readers: What it is to have; their sockets need not exist yet. At most 16.
        cache: Where the compiled driver is kept.
    """

    def __init__(self, folder: Path, readers: Sequence[VirtualReader], *, cache: Path | None = None) -> None:
        self._folder = folder
        self._readers = tuple(readers)
        self._cache = cache or default_cache()
        self._run = folder / "run"
        self._log = folder / "pcscd.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to use this service."""
        return {SOCKET_VARIABLE: str(self._socket)}

    @property
    def _socket(self) -> Path:
        return self._run / "pcscd.comm"

    def start(self) -> None:
        """Start pcscd, again after ``stop``, and wait until it answers.

        Raises:
            PcscSetupError: pcscd or what it takes is missing, or it does not start.
        """
        program = find_pcscd()
        driver = compiled_driver(self._cache)
        theirs, usb_drivers = _folders_of(program)
        self._check(theirs)
        text = reader_configuration(self._readers, driver)
        self._run.mkdir(mode=0o755, exist_ok=True)
        for left in self._run.glob("pcscd.*"):  # by one that was killed
            left.unlink()
        configuration = self._folder / "readers"
        configuration.mkdir(mode=0o700, exist_ok=True)
        (configuration / "pivgate").write_text(text)
        command = (program, "--foreground", "--config", str(configuration))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - no shell reads our arguments
                [*_in_namespace(), "sh", "-c", _SCRIPT, "sh", self._run, theirs, usb_drivers, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End pcscd; its clients see that the service has gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _check(self, theirs: Path) -> None:
        if len(self._readers) > _MOST_READERS:
            raise PcscSetupError(f"pcscd has room for {_MOST_READERS} readers", "Ask for fewer keys.")
        longest = max(
            (self._socket, *(reader.path for reader in self._readers)), key=lambda path: len(str(path))
        )
        if len(os.fsencode(longest)) > _LONGEST_PATH:
            raise PcscSetupError(
                f"The path of the socket {longest} is longer than {_LONGEST_PATH} bytes",
                "Set TMPDIR to a folder with a shorter path.",
            )
        missing = [name for name in ("unshare", "mount", "setpriv") if shutil.which(name) is None]
        if missing:
            raise PcscSetupError(
                f"A pcscd of our own needs {', '.join(missing)}",
                "They come with util-linux: `apt install util-linux`.",
            )
        with suppress(OSError):
            theirs.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not theirs.is_dir():
            raise PcscSetupError(
                f"The folder {theirs} is missing, and only root may make it",
                f"Once, until the next start of the machine: `sudo mkdir -m 755 {theirs}`.",
            )

    def _await(self) -> None:
        if self._process is None:
            raise RuntimeError("pcscd was not started")
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
                probe.connect(str(self._socket))
                return
            time.sleep(0.01)
        words = self._log.read_text(errors="replace").strip()
        unprivileged = os.geteuid() != 0 and "unshare" in words
        raise PcscSetupError(
            f"pcscd does not start: {words[-400:] or 'no reason given'}",
            "This system lets only root make a namespace: run the command with sudo."
            if unprivileged
            else "Look whether `pcscd --foreground --debug` starts by itself.",
        )


def reader_configuration(readers: Sequence[VirtualReader], driver: Path) -> str:
    """Return the text of a file for pcscd's folder of readers (reader.conf(5)).

    Args:
        readers: The readers, in the order in which they are to be listed.
        driver: The compiled driver.

    Raises:
        PcscSetupError: pcscd could not read one of the paths; it knows no way to quote them.
    """
    for path in (driver, *(reader.path for reader in readers)):
        if not _READABLE.fullmatch(str(path)):
            raise PcscSetupError(
                f"pcscd cannot read the path {path}: there is more in it than letters, digits and -_.:=@",
                "Set TMPDIR and XDG_CACHE_HOME to folders with plain names.",
            )
    entries = [
        f'FRIENDLYNAME "{reader.yubikey.firmware.reader_name}"\n'
        # pcscd looks whether the part before the colon is there.
        f"DEVICENAME /dev/null:{reader.path}\nLIBPATH {driver}\nCHANNELID {number}\n"
        for number, reader in enumerate(readers)
    ]
    return "\n".join(entries)


def find_pcscd() -> str:
    """Return the path of pcscd, which is often outside an ordinary user's PATH.

    Raises:
        PcscSetupError: It is not installed.
    """
    found = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise PcscSetupError(
            "The smart card service pcscd is not installed", "On Debian and Ubuntu: `apt install pcscd`."
        )
    return found


def _in_namespace() -> tuple[str, ...]:
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ("unshare", *user, "--mount")


def _folders_of(program: str) -> tuple[Path, Path]:
    """Ask pcscd for its socket's folder and that of its drivers for USB readers; its build fixed both."""
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    folders = dict(re.findall(r"\b(ipcdir|usbdropdir)=(\S+)", words))
    return Path(folders.get("ipcdir", "/run/pcscd")), Path(folders.get("usbdropdir", "/usr/lib/pcsc/drivers"))
