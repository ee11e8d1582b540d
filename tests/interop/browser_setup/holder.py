# SPDX-License-Identifier: Apache-2.0
"""A holder with a home of their own, who runs ``pivgate browser``; NSS's own programs say what came of it."""

import datetime
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pivgate.cli.commands import pivgate

OPENSC = Path("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so")


@dataclass(frozen=True)
class Holder:
    """Somebody with a home folder.

    Attributes:
        home: The folder.
    """

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that their programs get."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return {**kept, "HOME": str(self.home), "NO_COLOR": "1"}

    @property
    def nssdb(self) -> Path:
        """The database that Chromium's browsers share."""
        return self.home / ".pki" / "nssdb"

    def pivgate(
        self, *arguments: str | Path, under: tuple[str, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``pivgate browser``; it may fail."""
        done = subprocess.run(
            [*under, sys.executable, "-m", "pivgate", "browser", *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def good(self, *arguments: str | Path) -> str:
        """Run ``pivgate browser``, which must succeed; return what it printed."""
        done = self.pivgate(*arguments)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    def quick(self, *arguments: str | Path) -> None:
        """Run ``pivgate browser`` in this process, which saves the start of another; it must succeed."""
        unset = {name: None for name in os.environ if name.startswith("XDG_")}
        done = CliRunner(env={**unset, "HOME": str(self.home)}).invoke(
            pivgate, ["browser", *map(str, arguments)]
        )
        assert done.exit_code == 0, done.output


def new_database(folder: Path, password: str = "") -> None:
    """Make an NSS database, as a browser would."""
    folder.mkdir(parents=True, exist_ok=True)
    if password:
        file = folder.with_name("password")
        file.write_text(password)
        _nss("certutil", "-N", "-d", f"sql:{folder}", "-f", str(file))
    else:
        _nss("certutil", "-N", "-d", f"sql:{folder}", "--empty-password")


def modules(folder: Path) -> str:
    """Ask ``modutil`` which modules a database lists."""
    return _nss("modutil", "-dbdir", f"sql:{folder}", "-list")


def trusted(folder: Path) -> dict[str, str]:
    """Ask ``certutil`` for the certificates of a database: nickname → trust."""
    lines = [line.rsplit(None, 1) for line in _nss("certutil", "-L", "-d", f"sql:{folder}").splitlines()[4:]]
    return {words[0].strip(): words[1] for words in lines if len(words) == 2}


def add_certificate(folder: Path, nickname: str, file: Path) -> None:
    """Have the holder import an authority of their own."""
    _nss("certutil", "-A", "-d", f"sql:{folder}", "-n", nickname, "-t", "C,,", "-i", str(file))


def set_password(folder: Path, password: str) -> None:
    """Have the holder set a primary password where there was none."""
    old, new = folder.with_name("old"), folder.with_name("new")
    old.write_text("\n")
    new.write_text(password)
    _nss("certutil", "-W", "-d", f"sql:{folder}", "-f", str(old), "-@", str(new))


def add_module(folder: Path, name: str, library: Path) -> None:
    """Have the holder add a module of their own."""
    _nss("modutil", "-force", "-dbdir", f"sql:{folder}", "-add", name, "-libfile", str(library))


def authority(folder: Path, name: str = "Caddy Local Authority", *, is_authority: bool = True) -> Path:
    """Write the certificate of a new authority and return its path."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


def _nss(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done
    return done.stdout
