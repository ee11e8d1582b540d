# SPDX-License-Identifier: Apache-2.0
"""Can a browser in a sandbox load the module? A snap or a flatpak sees its own files, not the machine's.

What holds in November 2026. Snaps of Firefox and Chromium bring OpenSC's module, bound to the path that it
has on a Debian system, and reach PC/SC once the interface ``pcscd`` is connected, which nobody does for the
holder (Ubuntu, "Enable smart cards in snapped browsers"; https://snapcraft.io/docs/pcscd-interface;
canonical/firefox-snap#82, #86). A flatpak sees neither the machine's ``/usr`` nor, without ``--socket=pcsc``,
PC/SC; Flathub's Firefox and Chromium bring no module (flatpak/flatpak#4066, #6740), Fedora's Firefox does.
"""

import configparser
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from pivgate.browser.found import Packaging, Store
from pivgate.browser.module import INSTALL
from pivgate.browser.module_list import Module
from pivgate.browser.places import Places

_BROUGHT = Module("OpenSC (pivgate)", "opensc-pkcs11.so")
_SECONDS = 10
_INSTEAD = "or use the browser from your distribution's packages"


@dataclass(frozen=True)
class Reach:
    """What a browser can load.

    Attributes:
        module: The module as the browser sees it; None if it can load none.
        cause: Why it cannot use the key as it is; empty if it can.
        remedy: What to do about it.
    """

    module: Module | None
    cause: str = ""
    remedy: str = ""


def reach(places: Places, store: Store, module: Module | None) -> Reach:
    """Say what the browser that reads a database can load, and what it lacks.

    Args:
        places: Where things are.
        store: The database.
        module: The module that was found on the machine, or named; None when there is none: a sandbox may
            bring OpenSC's.
    """
    if module is None and store.packaging is Packaging.SYSTEM:
        return Reach(None, "no PKCS#11 module is installed", INSTALL)
    module = module or _BROUGHT
    if store.packaging is Packaging.SNAP:
        return _snap(places, store, module)
    if store.packaging is Packaging.FLATPAK:
        return _flatpak(places, store, module)
    return Reach(module)


def _snap(places: Places, store: Store, module: Module) -> Reach:
    name = store.identity
    inside = places.root / "snap" / name / "current"
    own = places.home / "snap" / name
    seen = _brought(inside, module, ("usr/lib/*", "usr/lib/*/pkcs11", "usr/lib"))
    if not seen and Path(module.library).is_relative_to(own):
        # What lies in the snap's own part of the home is there under the same path.
        seen = module
    if not seen:
        return Reach(
            None,
            f"the sandbox of the snap {name} hides {module.library}, and the snap brings no {_file(module)}",
            f"Run `sudo snap refresh {name}` (with OpenSC since October 2024), {_INSTEAD}.",
        )
    if not _snap_is_connected(places, name):
        return Reach(
            seen,
            f"the snap {name} may not talk to the PC/SC service",
            f"Run `sudo snap connect {name}:pcscd`, then start the browser anew.",
        )
    return Reach(seen)


def _flatpak(places: Places, store: Store, module: Module) -> Reach:
    name = store.identity
    installed = [
        folder
        for base in (places.data / "flatpak", places.root / "var/lib/flatpak")
        if (folder := base / "app" / name / "current/active").is_dir()
    ]
    seen = None
    for folder in installed:
        seen = seen or _brought(
            folder / "files", module, ("lib", "lib64", "lib/*", "lib64/pkcs11"), prefix="/app"
        )
    if not seen and Path(module.library).is_relative_to(places.home / ".var/app" / name):
        seen = module
    if not seen:
        return Reach(
            None,
            f"the sandbox of the flatpak {name} hides {module.library}, and the flatpak brings no module",
            "Use the browser from your distribution's packages: `--filesystem=` cannot put a module "
            "into the sandbox's /usr. Fedora's own flatpak of Firefox brings OpenSC.",
        )
    if not _flatpak_has_pcsc(places, name, installed):
        return Reach(
            seen,
            f"the flatpak {name} may not talk to the PC/SC service",
            f"Run `flatpak override --user --socket=pcsc {name}`, then start the browser anew.",
        )
    return Reach(seen)


def _brought(inside: Path, module: Module, folders: tuple[str, ...], prefix: str = "") -> Module | None:
    """Return the module of the same file name that the sandbox brings, by its path in there."""
    for pattern in folders:
        for path in sorted(inside.glob(f"{pattern}/{_file(module)}")):
            return replace(module, library=f"{prefix}/{path.relative_to(inside)}")
    return None


def _file(module: Module) -> str:
    return Path(module.library).name


def _snap_is_connected(places: Places, name: str) -> bool:
    """Ask snapd; where it does not answer, say no: connecting twice does no harm."""
    lines = _output(["snap", "connections", name], places).splitlines()
    # Columns: interface, plug, slot, notes. A plug that is not connected has "-" for its slot.
    return any(words[:2] == ["pcscd", f"{name}:pcscd"] and words[2] != "-" for words in map(_words, lines))


def _words(line: str) -> list[str]:
    return [*line.split(), "-", "-", "-"]


def _output(command: list[str], places: Places) -> str:
    if (program := shutil.which(command[0], path=places.path)) is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system, with names of ours
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _flatpak_has_pcsc(places: Places, name: str, installed: list[Path]) -> bool:
    """Read the permissions, the later over the earlier: the flatpak's own, the machine's, the holder's."""
    files = [
        *(folder / "metadata" for folder in installed[:1]),
        places.root / "var/lib/flatpak/overrides" / name,
        places.data / "flatpak/overrides" / name,
    ]
    granted = False
    for file in files:
        for word in _sockets(file):
            if word in ("pcsc", "!pcsc"):
                granted = word == "pcsc"
    return granted


def _sockets(file: Path) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(file.read_text(errors="replace"))
    except (OSError, configparser.Error):
        return []
    return parser.get("Context", "sockets", fallback="").split(";")
