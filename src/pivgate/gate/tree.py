# SPDX-License-Identifier: Apache-2.0
"""Folders and empty files, reached through directory descriptors and never through a link.

A name is always looked up in a folder that is held open, so nothing that is moved or replaced meanwhile
can turn a removal or an addition to another place.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from pivgate.errors import StorageError
from pivgate.files import PRIVATE_DIRECTORY, PRIVATE_FILE, storage_error, sync_directory

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)


class Folder:
    """A folder held open. Use it in ``with``.

    Attributes:
        path: Where it was found, for messages only.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self.path = path

    def __enter__(self) -> "Folder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @staticmethod
    def open_root(path: Path) -> "Folder | None":
        """Open a folder; None when there is nothing there, or something else.

        Raises:
            StorageError: It cannot be read.
        """
        try:
            return Folder(os.open(path, _FOLDER), path)
        except OSError as error:
            if error.errno in (errno.ENOENT, *_NOT_A_FOLDER):
                return None
            raise storage_error("open", path, error) from error

    @staticmethod
    def make_root(path: Path) -> "Folder":
        """Open a folder, created when there is none; anything else in its place, a link too, is replaced.

        Raises:
            StorageError: It cannot be created or read.
        """
        if folder := Folder.open_root(path):
            return folder
        try:
            path.unlink(missing_ok=True)
            path.mkdir(mode=PRIVATE_DIRECTORY)
            sync_directory(path.parent)
            return Folder(os.open(path, _FOLDER), path)
        except OSError as error:
            raise storage_error("create", path, error) from error

    def open(self, name: str, *, create: bool = False) -> "Folder":
        """Open a folder in this one.

        Raises:
            StorageError: It cannot be opened or created, or is not a folder.
        """
        try:
            made = create and self._make(name)
            folder = Folder(os.open(name, _FOLDER, dir_fd=self._descriptor), self.path / name)
            if made:
                # Open to the same group as this one, whatever the umask is.
                os.fchmod(folder._descriptor, self._mode())
            return folder
        except OSError as error:
            raise storage_error("open", self.path / name, error) from error

    def _make(self, name: str) -> bool:
        try:
            os.mkdir(name, PRIVATE_DIRECTORY, dir_fd=self._descriptor)
        except FileExistsError:
            return False
        return True

    def _mode(self) -> int:
        return stat.S_IMODE(os.fstat(self._descriptor).st_mode)

    def children(self) -> Iterator[tuple[str, bool]]:
        """Yield each name in the folder, and whether it is a folder itself (a link to one is not).

        Raises:
            StorageError: The folder cannot be read.
        """
        return iter([(entry.name, entry.is_dir(follow_symlinks=False)) for entry in self._scan()])

    def files(self) -> Iterator[tuple[str, bool]]:
        """Yield each name in the folder, and whether it is a regular file (a link to one is not).

        Raises:
            StorageError: The folder cannot be read.
        """
        return iter([(entry.name, entry.is_file(follow_symlinks=False)) for entry in self._scan()])

    def _scan(self) -> "list[os.DirEntry[str]]":
        try:
            with os.scandir(self._descriptor) as entries:
                return list(entries)
        except OSError as error:
            raise storage_error("read", self.path, error) from error

    def holds(self, name: str) -> bool:
        """Say whether there is anything of that name, a dangling link too.

        Raises:
            StorageError: It cannot be told.
        """
        try:
            os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise storage_error("look for", self.path / name, error) from error
        return True

    def create(self, name: str) -> None:
        """Create an empty file, readable for the group that may read the folder.

        Raises:
            StorageError: It could not be created.
        """
        try:
            descriptor = os.open(name, _NEW_FILE, PRIVATE_FILE, dir_fd=self._descriptor)
            try:
                os.fchmod(descriptor, PRIVATE_FILE | (self._mode() & stat.S_IRGRP))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error("create", self.path / name, error) from error

    def remove(self, name: str) -> None:
        """Remove whatever has that name: file, link, pipe, or a folder with all that is in it.

        Raises:
            StorageError: It could not be removed.
        """
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            self._remove_folder(name)
        except OSError as error:
            raise storage_error("remove", self.path / name, error) from error

    def _remove_folder(self, name: str) -> None:
        try:
            shutil.rmtree(name, dir_fd=self._descriptor)
        except OSError as error:
            raise storage_error("remove", self.path / name, error) from error

    def sync(self) -> None:
        """Make removals and additions survive a power cut.

        Raises:
            StorageError: The system could not promise it.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(
                f"Cannot make {self.path} durable: {error.strerror}", "Check the state of the disk."
            ) from error
