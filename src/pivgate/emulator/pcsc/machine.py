# SPDX-License-Identifier: Apache-2.0
"""Emulated keys behind the PC/SC service that the whole machine uses, beside real ones."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pivgate.emulator.pcsc.driver import PcscSetupError, compiled_driver
from pivgate.emulator.pcsc.reader import VirtualReader
from pivgate.emulator.pcsc.service import find_pcscd, reader_configuration


@dataclass(frozen=True)
class MachinePlaces:
    """Where the machine keeps what is touched.

    Attributes:
        configuration: pcscd's folder of readers (reader.conf(5)); it gets one file.
        driver: Folder for the driver; not below /run, from where nothing may be executed.
        systemd: Exists where systemd runs the machine (sd_booted(3)).
        sockets: Folder for the readers' sockets.
        pid: Where a running pcscd has written its process id.
    """

    configuration: Path = Path("/etc/reader.conf.d")
    driver: Path = Path("/usr/local/lib/pivgate")
    sockets: Path = Path("/run/pivgate-emulated")
    systemd: Path = Path("/run/systemd/system")
    pid: Path = Path("/run/pcscd/pcscd.pid")


class MachineService:
    """Adds readers to the machine's pcscd and takes them away again. pcscd restarts for that, both times.

    A process that is killed leaves empty readers behind, until this was started and ended once more.
    """

    def __init__(self, readers: Sequence[VirtualReader], places: MachinePlaces) -> None:
        self._readers = tuple(readers)
        self._places = places
        self._file = self._places.configuration / "pivgate-emulated"
        self._own: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Nothing: every program finds the machine's service by itself."""
        return {}

    def start(self) -> None:
        """Add the readers and let pcscd read its configuration.

        Raises:
            PcscSetupError: We are not root, pcscd is missing, or it would have to be restarted by hand.
        """
        if os.geteuid() != 0:
            raise PcscSetupError(
                "Only root may add readers to the machine's PC/SC service",
                "Run it with sudo, or without --machine: then it has a service of its own.",
            )
        program = find_pcscd()
        if not self._systemd and self._running():
            raise PcscSetupError(
                "pcscd runs here, and not under systemd: nobody but you can restart it",
                "End it first; it is started here, and ended again.",
            )
        driver = compiled_driver(self._places.driver)
        try:
            self._places.sockets.mkdir(mode=0o700, exist_ok=True)
            self._places.configuration.mkdir(parents=True, exist_ok=True)
            self._file.write_text(reader_configuration(self._readers, driver))
        except OSError as error:
            raise PcscSetupError(
                f"Cannot write {error.filename}: {error.strerror}",
                "Check the path and the state of the disk.",
            ) from error
        if self._systemd:
            self._restart()
        else:
            self._own = subprocess.Popen([program, "--foreground"], stdout=subprocess.DEVNULL)  # noqa: S603

    def stop(self) -> None:
        """Take the readers away again."""
        shutil.rmtree(self._places.sockets, ignore_errors=True)
        self._file.unlink(missing_ok=True)
        if self._own is not None:
            self._own.terminate()
            self._own.wait()
        elif self._systemd:
            self._restart()

    @property
    def _systemd(self) -> bool:
        return self._places.systemd.exists()

    def _running(self) -> bool:
        try:
            # pcscd writes the end of the C string along.
            os.kill(int(self._places.pid.read_text().strip("\0\n")), 0)
        except (OSError, ValueError):
            return False
        return True

    def _restart(self) -> None:
        # Not started where it was not running: its socket starts it when somebody asks.
        subprocess.run(["systemctl", "try-restart", "pcscd.service"], check=False)  # noqa: S607
