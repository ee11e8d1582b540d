# SPDX-License-Identifier: Apache-2.0
"""A browser's NSS database as a target: the module goes into its list, authorities into its certificates."""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.browser import nss
from pivgate.browser.change import Files
from pivgate.browser.module_list import Module, modules, with_module, without_module
from pivgate.errors import InputError

KIND = "nss"


@dataclass(frozen=True)
class Authority:
    """A certificate to be trusted for web sites.

    Attributes:
        name: What people call it, its subject's common name.
        der: The certificate.
    """

    name: str
    der: bytes

    @property
    def nickname(self) -> str:
        """What it is called in a database; the same for the same certificate, and no other's."""
        return f"{self.name} (pivgate {hashlib.sha256(self.der).hexdigest()[:12]})"


def wish(module: Module | None, authorities: tuple[Authority, ...]) -> dict[str, Any]:
    """Say what a database is to hold, in the form in which it is recorded."""
    found: dict[str, Any] = {}
    if module is not None:
        found["module"] = {"name": module.name, "library": module.library}
    if authorities:
        found["authorities"] = {each.nickname: base64.b64encode(each.der).decode() for each in authorities}
    return found


@dataclass(frozen=True)
class Database:
    """An NSS database.

    Attributes:
        place: Its folder: a Firefox profile, or the one that Chromium's browsers share.
        tools: NSS's program, where it is installed.
        live: A browser has it open: only its list of modules is written, which is read at the next start.
    """

    place: Path
    tools: nss.Tools | None
    live: bool = False
    kind: str = KIND
    modes: tuple[int, int] = (0o600, 0o700)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the database."""
        return tuple(self.place / name for name in ((nss.MODULES,) if self.live else nss.FILES))

    def content(self, path: Path, data: bytes | None) -> str:
        """Return a digest of what a file says."""
        return nss.content(path.name, data)

    def missing(self, files: Files, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is not in the database yet."""
        found: dict[str, Any] = {}
        if (module := wanted.get("module")) and not any(
            _same_library(each.library, module["library"])
            for each in modules(self._get(files, nss.MODULES) or b"")
        ):
            found["module"] = module
        if authorities := {} if self.live else wanted.get("authorities", {}):
            there = nss.certificates(self._get(files, nss.CERTIFICATES))
            lacking = {name: der for name, der in authorities.items() if base64.b64decode(der) not in there}
            if lacking:
                found["authorities"] = lacking
        return found

    def add(self, files: Files, wanted: Mapping[str, Any]) -> Files:
        """Return the database with what is wanted in it, made first where there is none.

        Raises:
            InputError: NSS's program is needed and is not installed.
            SecretError: The database has a password.
        """
        database = self._named(files)
        if not self.live and database[nss.CERTIFICATES] is None and database[nss.MODULES] is None:
            database = nss.new_database(nss.need_tools(self.tools), self.place)
        for nickname, der in wanted.get("authorities", {}).items():
            database = nss.with_authority(
                nss.need_tools(self.tools), database, nickname, base64.b64decode(der)
            )
        if module := wanted.get("module"):
            database[nss.MODULES] = with_module(database[nss.MODULES] or b"", Module(**module))
        return self._placed(database)

    def remove(self, files: Files, own: Mapping[str, Any]) -> Files:
        """Return the database without what is ours."""
        database = self._named(files)
        if (module := own.get("module")) and (text := database[nss.MODULES]) is not None:
            database[nss.MODULES] = without_module(text, Module(**module))
        there = set() if self.live else nss.certificates(database[nss.CERTIFICATES])
        for nickname, der in own.get("authorities", {}).items():
            if base64.b64decode(der) in there:
                database = nss.without_authority(nss.need_tools(self.tools), database, nickname)
        return self._placed(database)

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return both; there is one module, the later."""
        authorities = {**first.get("authorities", {}), **second.get("authorities", {})}
        return {**first, **second, **({"authorities": authorities} if authorities else {})}

    def check(self) -> None:
        """Refuse a database that is somebody else's, or in the middle of a write.

        Raises:
            InputError: Which, and what to do.
        """
        nearest = next(each for each in (self.place, *self.place.parents) if each.exists())
        if (owner := nearest.stat().st_uid) != os.geteuid():
            raise InputError(
                f"{nearest} belongs to another user (uid {owner})",
                f"Run the command as that user: `sudo -u '#{owner}' pivgate browser …`.",
            )
        for name in (nss.CERTIFICATES, nss.KEYS):
            if (self.place / f"{name}-journal").exists() or (self.place / f"{name}-wal").exists():
                raise InputError(
                    f"{self.place / name} was left in the middle of a write",
                    "Start the browser once and close it, then run the command again.",
                )

    def _get(self, files: Files, name: str) -> bytes | None:
        return files.get(self.place / name)

    def _named(self, files: Files) -> dict[str, bytes | None]:
        return {name: self._get(files, name) for name in nss.FILES}

    def _placed(self, database: Mapping[str, bytes | None]) -> Files:
        return {path: database[path.name] for path in self.paths}


def _same_library(one: str, other: str) -> bool:
    return bool(one) and (one == other or os.path.realpath(one) == os.path.realpath(other))
