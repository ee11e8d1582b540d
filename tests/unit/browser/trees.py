# SPDX-License-Identifier: Apache-2.0
"""A machine made of folders: its root, a holder's home, and what can be found in them."""

import hashlib
from pathlib import Path

from pivgate.browser.places import Places


def machine(folder: Path) -> Places:
    """Return the places of a machine whose root and home are below a folder."""
    root, home = folder / "root", folder / "root/home/alice"
    home.mkdir(parents=True)
    return Places(
        home=home,
        config=home / ".config",
        data=home / ".local/share",
        state=home / ".local/state/pivgate/browser",
        root=root,
        path=str(root / "usr/bin"),
    )


def put(path: Path, text: str | bytes = "", mode: int = 0o644) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    """Write a program."""
    return put(path, text, 0o755)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Return everything below a folder: path → mode, and digest of the content or where a link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            what = f"-> {path.readlink()}"
        elif path.is_file():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            what = "folder"
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, what)
    return found
