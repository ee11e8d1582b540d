# SPDX-License-Identifier: Apache-2.0
"""What the card asks of an application on it."""

from typing import Protocol

from pivgate.emulator.apdu import CommandApdu


class Applet(Protocol):
    """An application that is selected by its identifier and then answers commands.

    The card has done the chaining of commands and replies and checked the class byte: an applet sees whole
    commands with class 00, and returns whole replies.
    """

    @property
    def aid(self) -> bytes:
        """The full application identifier, 5 to 16 bytes."""
        ...

    def select(self) -> bytes:
        """Become the selected application and return the reply to SELECT."""
        ...

    def deselect(self) -> None:
        """Another SELECT takes over: what was proved in this session is forgotten."""
        ...

    def process(self, command: CommandApdu) -> bytes:
        """Carry out a command and return its reply data.

        Raises:
            StatusError: The command ends with another status word than 9000.
        """
        ...

    def power_off(self) -> None:
        """The power is gone: everything volatile is forgotten."""
        ...
