# SPDX-License-Identifier: Apache-2.0
"""Firefox's lists of profiles, ``profiles.ini`` and ``installs.ini``: which folders they name."""

import configparser
from pathlib import Path

from pivgate.errors import StorageError


def named_profiles(folder: Path, profiles: str, installs: str = "") -> dict[Path, str]:
    """Return the profiles that the lists name: folder → name, in the order of the lists.

    Args:
        folder: Where the lists are; relative paths start there.
        profiles: The text of ``profiles.ini``.
        installs: The text of ``installs.ini``, in which each installed Firefox has its own default.

    Raises:
        StorageError: A list is damaged.
    """
    found: dict[Path, str] = {}
    for name, section in _sections(profiles, folder / "profiles.ini"):
        if name.startswith("Profile") and (path := section.get("Path")):
            # Joining keeps an absolute path as it is, which IsRelative=0 says it is.
            found.setdefault(folder / path, section.get("Name") or path)
        elif name.startswith("Install") and (path := section.get("Default")):
            found.setdefault(folder / path, Path(path).name)
    for _, section in _sections(installs, folder / "installs.ini"):
        if path := section.get("Default"):
            found.setdefault(folder / path, Path(path).name)
    return found


def _sections(text: str, source: Path) -> list[tuple[str, configparser.SectionProxy]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        parser.read_string(text.removeprefix("\ufeff"))
    except configparser.Error as error:
        raise StorageError(
            f"{source} is damaged: {' '.join(str(error).split())}",
            "Start Firefox once, which mends it, or name the profile with --profile.",
        ) from error
    return [(name, parser[name]) for name in parser.sections()]
