# SPDX-License-Identifier: Apache-2.0
"""An emulated key as yubikit sees a real one: a device that opens connections, which fail as PC/SC's do.

What is raised when, and with which words and codes, follows pyscard's ``PCSCCardConnection`` and ykman's
``ScardSmartCardConnection`` over pcsc-lite, so that code that handles these handles the real ones.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from smartcard.Exceptions import CardConnectionException
from smartcard.scard import (
    SCARD_E_INVALID_HANDLE,
    SCARD_E_NOT_TRANSACTED,
    SCARD_E_SHARING_VIOLATION,
    SCARD_E_UNKNOWN_READER,
    SCARD_W_REMOVED_CARD,
    SCardGetErrorMessage,
)
from yubikit.core import PID, TRANSPORT
from yubikit.core.smartcard import SmartCardConnection

from pivgate.emulator.yubikey import EmulatedYubiKey


class Moment(Enum):
    """When a hook is called."""

    BEFORE = "before"
    """The command has not reached the key."""
    AFTER = "after"
    """The key has carried the command out; the reply has not arrived."""


Hook = Callable[[Moment, bytes], None]
"""Called around every APDU with the command's bytes.

It may raise (the program was killed at this point) or call ``EmulatedYubiKey.remove`` (the key was pulled
out).
"""


class EmulatedConnection(SmartCardConnection):
    """A connection to an emulated key; opened by ``EmulatedDevice.open``, never twice at a time."""

    def __init__(self, device: "EmulatedDevice") -> None:
        self._device = device
        self._yubikey = device.yubikey
        self._insertion = self._yubikey.insertions
        self._open = True

    @property
    def transport(self) -> TRANSPORT:
        """The emulated key is plugged into a USB port."""
        return TRANSPORT.USB

    def close(self) -> None:
        """Give the key back; PC/SC takes its power away then, and with it what was proved to it.

        Raises:
            CardConnectionException: The key was pulled out meanwhile. The connection is closed all the same,
                and closing it again does nothing. (pyscard does this too: its issue 131.)
        """
        if not self._open:
            return
        self._open = False
        self._device.release()
        if not self._alive:
            raise _failure("Failed to disconnect: ", SCARD_E_INVALID_HANDLE)
        self._yubikey.card.reset()

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """Send a command.

        Args:
            apdu: The command's bytes.

        Returns:
            Reply data and status word.

        Raises:
            CardConnectionException: The connection was closed, or the key was pulled out or has restarted.
        """
        if not self._open:
            raise CardConnectionException("Card not connected")
        apdu = bytes(apdu)
        hook = self._device.hook
        if hook is not None:
            hook(Moment.BEFORE, apdu)
        if not self._alive:
            raise _failure("Failed to transmit with protocol T1. ", SCARD_W_REMOVED_CARD)
        reply = self._yubikey.transmit(apdu)
        if hook is not None:
            insertion = self._yubikey.insertions  # the command itself may have made the key restart
            hook(Moment.AFTER, apdu)
            if not self._yubikey.inserted or self._yubikey.insertions != insertion:
                raise _failure("Failed to transmit with protocol T1. ", SCARD_E_NOT_TRANSACTED)
        return reply[:-2], int.from_bytes(reply[-2:], "big")

    @property
    def _alive(self) -> bool:
        return self._yubikey.inserted and self._yubikey.insertions == self._insertion


class EmulatedDevice:
    """An emulated key in this machine's port.

    Args:
        yubikey: The key.
        hook: Called around every APDU of every connection.

    Attributes:
        yubikey: The key.
        hook: May be changed at any time.
        absences: How many more attempts to open fail because the reader has not come back yet, as happens for
            about a second after a real key was plugged in or has restarted.
    """

    pid = PID.YK4_OTP_FIDO_CCID
    """USB product identifier, which yubikit's ``read_info`` wants."""

    def __init__(self, yubikey: EmulatedYubiKey, hook: Hook | None = None) -> None:
        self.yubikey = yubikey
        self.hook = hook
        self.absences = 0
        self._connection: EmulatedConnection | None = None

    @property
    def serial(self) -> int | None:
        """The key's serial number."""
        return self.yubikey.serial

    @property
    def description(self) -> str:
        """What a list of devices shows."""
        return f"Emulated YubiKey {self.yubikey.firmware.name} (keys not protected), serial {self.serial}"

    def open(self) -> EmulatedConnection:
        """Connect to the key, alone.

        Raises:
            CardConnectionException: The key is not there, or another connection is open.
        """
        if self.absences or not self.yubikey.visible:
            self.absences = max(0, self.absences - 1)
            raise _failure("Unable to connect with protocol: T0 or T1. ", SCARD_E_UNKNOWN_READER)
        if self._connection is not None:
            raise _failure("Unable to connect with protocol: T0 or T1. ", SCARD_E_SHARING_VIOLATION)
        self._connection = EmulatedConnection(self)
        return self._connection

    def release(self) -> None:
        """Forget the connection, which has been closed."""
        self._connection = None

    def abandon(self) -> None:
        """The process that had the key open is gone: PC/SC closes its connection for it."""
        if self._connection is not None:
            with suppress(CardConnectionException):
                self._connection.close()


def _failure(prefix: str, code: int) -> CardConnectionException:
    return CardConnectionException(prefix + SCardGetErrorMessage(code), hresult=code)
