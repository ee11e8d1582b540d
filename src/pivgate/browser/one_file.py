# SPDX-License-Identifier: Apache-2.0
"""What the targets have in common that are one file, which every user of the machine reads."""

from pathlib import Path

from pivgate.browser.change import digest


class OneFile:
    """One file.

    Attributes:
        place: The file.
        modes: Permission bits for it and for a folder that we make.
    """

    place: Path
    modes = (0o644, 0o755)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file."""
        return (self.place,)

    def content(self, path: Path, data: bytes | None) -> str:  # noqa: ARG002 - the interface of a target
        """Return what the file says: its bytes."""
        return digest(data)
