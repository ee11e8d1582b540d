# SPDX-License-Identifier: Apache-2.0
"""Asks a PKCS#11 module what it offers, in a process that may crash or hang without harm to us."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pivgate.browser import pkcs11_program
from pivgate.errors import DeviceError

SECONDS = 20.0


@dataclass(frozen=True)
class Token:
    """A token that a module shows.

    Attributes:
        label: Its name.
        certificates: The certificates on it that are shown without a PIN, DER.
    """

    label: str
    certificates: tuple[bytes, ...]


@dataclass(frozen=True)
class Offer:
    """What a module offers.

    Attributes:
        description: What it calls itself.
        tokens: The tokens that are there.
    """

    description: str
    tokens: tuple[Token, ...]


def ask_module(library: str, environment: Mapping[str, str], seconds: float = SECONDS) -> Offer:
    """Load a module and ask for its tokens.

    Args:
        library: Its path.
        environment: The variables of the process that loads it.
        seconds: How long it may take.

    Raises:
        DeviceError: It cannot be loaded, crashes, hangs, or refuses.
    """
    command = [sys.executable, "-I", pkcs11_program.__file__, library]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environment),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _broken(library, f"it does not answer within {seconds:.0f} s") from error
    if done.returncode < 0:
        raise _broken(library, f"it crashed ({signal.Signals(-done.returncode).name})")
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise _broken(library, f"it ended with status {done.returncode}") from error
    if "error" in answer:
        raise _broken(library, answer["error"])
    return Offer(
        answer["description"],
        tuple(
            Token(each["label"], tuple(map(bytes.fromhex, each["certificates"]))) for each in answer["tokens"]
        ),
    )


def _broken(library: str, reason: str) -> DeviceError:
    return DeviceError(
        f"The PKCS#11 module {library} cannot be used: {reason}",
        "Install it anew (`sudo apt install --reinstall opensc-pkcs11`), or name another with --module.",
    )
