# SPDX-License-Identifier: Apache-2.0
"""Every failure a user can meet: what happened, and what to do about it.

Code raises one of these; only ``cli.commands`` prints them and exits. A caller that must tell one failure
from another catches a subclass; everything else is told apart by its words, not by its type.
"""


class PivgateError(Exception):
    """A failure to be shown to the user.

    Args:
        message: What happened, in one sentence, without a full stop at the end being required.
        hint: What to do next. Empty only where nothing can be done.

    The exit code is a property of the class, documented in ``docs/reference/exit-codes.md``.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RefusedError(PivgateError):
    """A check said no: a certificate, a key, a request or a log did not pass verification."""

    exit_code = 1


class InputError(PivgateError):
    """What the user gave (a name, an option, a file they wrote) cannot be used as it is."""

    exit_code = 2


class HomeError(PivgateError):
    """The home is not there, is already there, or something named in it does not exist."""

    exit_code = 3


class SecretError(PivgateError):
    """A PIN, PUK, management key or passphrase is wrong, missing, or blocked."""

    exit_code = 4


class DeviceError(PivgateError):
    """The key in this machine cannot be used: absent, pulled out, another make, PIV off, no PC/SC."""

    exit_code = 5


class GateError(PivgateError):
    """Caddy is missing, too old, not running, or does not take the configuration."""

    exit_code = 6


class OpenGateError(PivgateError):
    """The gate lets somebody through whom it must refuse. Never raised for anything less."""

    exit_code = 7


class StorageError(PivgateError):
    """Reading or writing failed: full disk, read-only home, damaged registry or settings."""

    exit_code = 8


class BusyError(PivgateError):
    """Another pivgate command is at work on the same home."""

    exit_code = 9
