# SPDX-License-Identifier: Apache-2.0
"""The driver for pcscd, compiled when it is first needed and kept for the next time."""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("driver.c")
_PRIVATE = 0o700
_FLAGS = ("-shared", "-fPIC", "-O2", "-Wall")
# Where ifdhandler.h is: Debian, Fedora, Arch; then Homebrew's folder for a pcsc-lite of its own.
_HEADERS = ("/usr/include/PCSC", "/usr/local/include/PCSC")


class PcscSetupError(Exception):
    """Emulated keys cannot be put behind a PC/SC service here.

    Args:
        message: What is missing or failed.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def default_cache() -> Path:
    """Return the folder for compiled drivers: ``$XDG_CACHE_HOME/pivgate``, by default below ``~/.cache``.

    A relative path there counts as none (XDG Base Directory Specification).
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "pivgate"


def compiled_driver(cache: Path) -> Path:
    """Return the driver as a shared library, compiling it when this version of it is not there yet.

    Args:
        cache: Folder for it; made with mode 0700. pcscd runs what is in there, so nobody else may write it.

    Raises:
        PcscSetupError: The compiler or pcsc-lite's header is missing, or the folder is somebody else's.
    """
    _make_private(cache)
    source = _SOURCE.read_bytes()
    library = cache / f"pcsc-driver-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if not library.exists():
        _compile(library)
    return library


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise PcscSetupError(
            f"The folder for the PC/SC driver, {folder}, cannot be made: {error.strerror}",
            "Set XDG_CACHE_HOME to a folder of yours.",
        ) from error
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise PcscSetupError(
            f"Others may write into {folder}, from where pcscd would load a program",
            f"Take that away: `chmod go-w {folder}`, or set XDG_CACHE_HOME to a folder of yours.",
        )


def _compile(library: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    headers = next((path for path in _HEADERS if Path(path, "ifdhandler.h").exists()), None)
    if compiler is None or headers is None:
        raise PcscSetupError(
            "The PC/SC driver is compiled on first use, and "
            + (
                "there is no C compiler" if compiler is None else "pcsc-lite's header ifdhandler.h is missing"
            ),
            "On Debian and Ubuntu: `apt install gcc libc6-dev libpcsclite-dev`.",
        )
    descriptor, name = tempfile.mkstemp(dir=library.parent, prefix=".pcsc-driver.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        done = subprocess.run(  # noqa: S603 - our own source, a compiler from PATH
            [compiler, *_FLAGS, "-I", headers, "-o", name, str(_SOURCE)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PcscSetupError(
                f"The PC/SC driver does not compile: {done.stderr.strip()[:400]}",
                "On Debian and Ubuntu: `apt install gcc libc6-dev libpcsclite-dev`.",
            )
        temporary.chmod(0o755)
        temporary.replace(library)
    finally:
        temporary.unlink(missing_ok=True)
