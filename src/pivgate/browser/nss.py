# SPDX-License-Identifier: Apache-2.0
"""An NSS database as three files in memory: certificates are added and removed by NSS's own ``certutil``.

``certutil`` works on a copy in a folder of ours, so what a change would do is known before the browser's own
files are touched, and each of those is then replaced in one step.
"""

import hashlib
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pivgate.errors import InputError, SecretError, StorageError

CERTIFICATES, KEYS, MODULES = "cert9.db", "key4.db", "pkcs11.txt"
FILES = (CERTIFICATES, KEYS, MODULES)

Contents = Mapping[str, bytes | None]
"""Name in the database's folder → what is in the file; None where there is none."""

PACKAGES = (
    "Install it: `apt install libnss3-tools` (Debian, Ubuntu), `dnf install nss-tools` (Fedora), "
    "`pacman -S nss` (Arch), `zypper install mozilla-nss-tools` (openSUSE); then run the command again."
)
_SECONDS = 30


@dataclass(frozen=True)
class Tools:
    """NSS's own program for its databases.

    Attributes:
        certutil: Its path.
    """

    certutil: str


def find_tools(path: str) -> Tools | None:
    """Look for NSS's ``certutil``; None when it is not there.

    Args:
        path: Folders to look in, as in ``$PATH``. Gentoo calls the program ``nsscertutil``.
    """
    for name in ("nsscertutil", "certutil"):
        if found := shutil.which(name, path=path):
            return Tools(found)
    return None


def need_tools(tools: Tools | None) -> Tools:
    """Insist on the tools.

    Raises:
        InputError: They are not installed; the packages that have them are named.
    """
    if tools is None:
        raise InputError(
            "The program certutil of NSS is not installed, which a browser's database needs", PACKAGES
        )
    return tools


def new_database(tools: Tools, folder: Path) -> dict[str, bytes | None]:
    """Return a new database without a password, as a browser would create it.

    Args:
        tools: NSS's program.
        folder: Where it is going to be.
    """
    with _copy({}) as place:
        _run(tools, place, "-N", "--empty-password")
        made = _read(place)
    # NSS writes down where it made the list; it would mislead whoever reads it.
    listed = made[MODULES] or b""
    return {**made, MODULES: listed.replace(f"'sql:{place}'".encode(), f"'sql:{folder}'".encode())}


def with_authority(tools: Tools, files: Contents, nickname: str, der: bytes) -> dict[str, bytes | None]:
    """Return the database with an authority that is trusted to certify web sites.

    Args:
        tools: NSS's program.
        files: The database.
        nickname: What the certificate is called in it.
        der: The certificate.

    Raises:
        SecretError: The database has a password.
    """
    with _copy(files) as place:
        given = place / "authority.der"
        given.write_bytes(der)
        _run(tools, place, "-A", "-n", nickname, "-t", "C,,", "-i", str(given))
        return {**files, **_databases(place)}


def without_authority(tools: Tools, files: Contents, nickname: str) -> dict[str, bytes | None]:
    """Return the database without a certificate of that name.

    Raises:
        SecretError: The database has a password.
    """
    with _copy(files) as place:
        _run(tools, place, "-D", "-n", nickname)
        return {**files, **_databases(place)}


def certificates(data: bytes | None) -> set[bytes]:
    """Return the certificates in a ``cert9.db``, DER. Its table has a column for each attribute.

    Raises:
        StorageError: It is not such a database.
    """
    # CKA_VALUE is attribute 0x11; CKA_CLASS, 0x00, of a certificate is 1 (PKCS#11 v3.0, pkcs11t.h).
    return {
        value
        for table, row in _rows(data)
        if table == "nssPublic"
        and row.get("a0") == b"\0\0\0\1"
        and isinstance(value := row.get("a11"), bytes)
    }


def content(name: str, data: bytes | None) -> str:
    """Return a digest of what a file says: two databases with the same rows are the same.

    A browser that only opened a database changes counters and free pages in it, and nothing else.
    """
    if data is None:
        return "absent"
    if name not in (CERTIFICATES, KEYS):
        return hashlib.sha256(data).hexdigest()
    lines = sorted(repr((table, sorted(row.items()))) for table, row in _rows(data))
    return "rows:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rows(data: bytes | None) -> list[tuple[str, dict[str, object]]]:
    if data is None:
        return []
    found: list[tuple[str, dict[str, object]]] = []
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            # Bytes 18 and 19 say that a log is kept beside the file, which one in memory cannot have
            # (https://www.sqlite.org/fileformat.html#file_format_version_numbers).
            database.deserialize(data[:18] + b"\1\1" + data[20:])
            database.row_factory = _named
            tables = [
                row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            for table in tables:
                rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the database's own name
                # Columns come and go with versions of NSS; an attribute that is not there is NULL.
                found += [
                    (table, {key: value for key, value in row.items() if value is not None}) for row in rows
                ]
    except sqlite3.Error as error:
        raise StorageError(
            f"A browser's database cannot be read: {error}",
            "Start the browser once and close it, then run the command again.",
        ) from error
    return found


def _named(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


@contextmanager
def _copy(files: Contents) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pivgate-nss-") as folder:
        place = Path(folder)
        for name in FILES:
            data = files.get(name)
            if data is not None:
                (place / name).write_bytes(data)
        # certutil would ask a terminal for a password; an empty line says that there is none.
        (place / "password").write_text("\n")
        yield place


def _databases(place: Path) -> dict[str, bytes | None]:
    return {name: data for name, data in _read(place).items() if name != MODULES}


def _read(place: Path) -> dict[str, bytes | None]:
    return {name: (place / name).read_bytes() if (place / name).exists() else None for name in FILES}


def _run(tools: Tools, place: Path, verb: str, *arguments: str) -> None:
    password = [] if verb == "-N" else ["-f", str(place / "password")]
    command = [tools.certutil, verb, "-d", f"sql:{place}", *password, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the program we found, on a folder of ours
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(f"{tools.certutil} did not do its work: {error}", PACKAGES) from error
    if done.returncode == 0:
        return
    if "SEC_ERROR_BAD_PASSWORD" in done.stderr:
        raise SecretError(
            "The browser's database has a primary password, so no authority can be added for it",
            "Add the authority in the browser (Settings, Certificates, Authorities, Import), or for all "
            "profiles with `pivgate browser setup --system`.",
        )
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    raise StorageError(
        f"{tools.certutil} {verb} failed: {reason}",
        "Start the browser once and close it, then run the command again.",
    )
