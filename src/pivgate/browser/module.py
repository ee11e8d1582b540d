# SPDX-License-Identifier: Apache-2.0
"""Finds the PKCS#11 module through which a browser reaches the key: OpenSC's, or Yubico's."""

from pathlib import Path

from pivgate.browser.module_list import Module
from pivgate.browser.places import Places
from pivgate.errors import InputError

_FOLDERS = (
    "usr/lib/*-linux-gnu*",
    "usr/lib64",
    "usr/lib64/pkcs11",
    "usr/lib/pkcs11",
    "usr/lib",
    "usr/local/lib",
    "usr/local/lib/pkcs11",
    "usr/local/lib64",
    "home/linuxbrew/.linuxbrew/lib",
    "home/linuxbrew/.linuxbrew/lib/pkcs11",
    "opt/homebrew/lib",
)
# OpenSC first: it knows a card that was pulled out and put back, and is in every distribution.
_LIBRARIES = (
    ("opensc-pkcs11.so", "OpenSC (pivgate)"),
    ("libykcs11.so", "YKCS11 (pivgate)"),
    ("libykcs11.so.2", "YKCS11 (pivgate)"),
)
INSTALL = (
    "Install OpenSC: `apt install opensc-pkcs11 pcscd` (Debian, Ubuntu), "
    "`dnf install opensc pcsc-lite` (Fedora), `pacman -S opensc ccid` (Arch); or name a module with --module."
)


def find_module(places: Places) -> Module | None:
    """Return the module to use; None when none is installed."""
    for library, name in _LIBRARIES:
        for pattern in _FOLDERS:
            for path in sorted(places.root.glob(f"{pattern}/{library}")):
                if path.is_file():
                    return Module(name, str(path))
    return None


def need_module(places: Places) -> Module:
    """Return the module to use.

    Raises:
        InputError: None is installed.
    """
    if (found := find_module(places)) is None:
        raise no_module()
    return found


def no_module() -> InputError:
    """Say that no module is installed."""
    return InputError("No PKCS#11 module was found, through which a browser reaches the key", INSTALL)


def named_module(path: Path) -> Module:
    """Return the module at a path that somebody named.

    Raises:
        InputError: There is no file.
    """
    if not path.is_file():
        raise InputError(f"There is no module at {path}", INSTALL)
    known = dict(_LIBRARIES)
    absolute = path.absolute()
    return Module(known.get(path.name, f"{path.stem} (pivgate)"), str(absolute))
