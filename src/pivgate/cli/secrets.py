# SPDX-License-Identifier: Apache-2.0
"""Where secrets come from: a file, standard input, a credential directory or a prompt. Never an argument."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pivgate.cli.output import is_terminal
from pivgate.errors import SecretError
from pivgate.files import storage_error

_MAXIMUM = 4096


@dataclass(frozen=True)
class SecretSource:
    """One kind of secret and the ways to hand it over.

    Attributes:
        name: What it is called in words, such as ``passphrase of the authority``.
        option: The option that names a file, such as ``--passphrase-file``.
        credential: Its name below ``$CREDENTIALS_DIRECTORY`` (systemd.exec(5), "Credentials").
    """

    name: str
    option: str
    credential: str

    def click_option(self) -> Callable[[Any], Any]:
        """Return the option for a command; ``-`` reads standard input."""
        return click.option(
            self.option,
            type=click.Path(path_type=Path, allow_dash=True),
            help=f"File that holds the {self.name}; `-` for standard input.",
        )

    def given(self, file: Path | None) -> str | None:
        """Return the secret from the file, standard input or the credential directory, if any is there.

        Raises:
            SecretError: The source is there but cannot be used.
            StorageError: The file cannot be read.
        """
        if file is not None and str(file) == "-":
            if sys.stdin is None:
                raise SecretError(
                    f"The {self.name} is to come from standard input, which is closed",
                    f"Open it, or give a file with {self.option}.",
                )
            return self._clean(sys.stdin.buffer.readline(_MAXIMUM + 1))
        if file is not None:
            return self._clean(_beginning(file))
        if directory := os.environ.get("CREDENTIALS_DIRECTORY"):
            path = Path(directory) / self.credential
            if path.exists():
                return self._clean(_beginning(path))
        return None

    def ask(self, file: Path | None, *, new: bool = False, advice: str = "") -> str:
        """Return the secret, asking for it when no other source has it.

        Args:
            file: The value of the option.
            new: It is being chosen now: asked for twice.
            advice: Shown before the prompt.

        Raises:
            SecretError: There is no source and nobody to ask.
        """
        given = self.given(file)
        if given is not None:
            return given
        if not is_terminal(sys.stdin):
            raise SecretError(
                f"The {self.name} is needed, and there is nobody to ask for it",
                f"Give a file with {self.option} (`-` reads standard input), "
                f"or the credential {self.credential} in $CREDENTIALS_DIRECTORY.",
            )
        if advice:
            click.echo(advice, err=True)
        label = f"New {self.name}" if new else self.name[0].upper() + self.name[1:]
        return str(
            click.prompt(
                label,
                hide_input=True,
                default="",
                show_default=False,
                confirmation_prompt=f"{label}, again" if new else False,
                err=True,
            )
        )

    def _clean(self, data: bytes) -> str:
        if len(data) > _MAXIMUM:
            raise SecretError(f"The {self.name} is longer than {_MAXIMUM} bytes", "Check the file.")
        try:
            return data.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise SecretError(f"The {self.name} is not UTF-8 text", "Check the file.") from None


def _beginning(file: Path) -> bytes:
    # No more than shows that it is too long: a device may have no end.
    try:
        with file.open("rb") as opened:
            return opened.read(_MAXIMUM + 1)
    except OSError as error:
        raise storage_error("read", file, error) from error


PASSPHRASE = SecretSource("passphrase of the authority's key", "--passphrase-file", "pivgate-passphrase")
PIN = SecretSource("PIN", "--pin-file", "pivgate-pin")
PUK = SecretSource("PUK", "--puk-file", "pivgate-puk")
MANAGEMENT_KEY = SecretSource("PIV management key", "--management-key-file", "pivgate-management-key")
