# SPDX-License-Identifier: Apache-2.0
"""The card: which application is selected, and commands and replies that come in pieces.

ISO/IEC 7816-4: class byte 5.4.1, command chaining 5.3.3, GET RESPONSE 7.6.1, SELECT 7.1.1.
"""

from collections.abc import Callable, Sequence

from pivgate.emulator.apdu import (
    SHORT_MAXIMUM,
    CommandApdu,
    StatusError,
    StatusWord,
    parse_command,
)
from pivgate.emulator.applet import Applet

_CHAINED = 0x10
_SECURE_MESSAGING = 0x0C
_LOGICAL_CHANNEL = 0x03
_SELECT = 0xA4
_GET_RESPONSE = 0xC0
_BY_NAME = 0x04
_RETURN_INFORMATION = 0x00
_NEXT_OCCURRENCE = 0x02
_RETURN_NOTHING = 0x0C
_AID_LENGTHS = range(5, 17)

MAXIMUM_APDU = 3062
"""Bytes of one command that a YubiKey takes: its USB descriptor allows CCID messages of 3072 bytes."""
MAXIMUM_CHAINED_DATA = 3072
"""Bytes of data that the pieces of one chained command may have together."""


class Card:
    """A smart card with some applications on it.

    Args:
        applets: The applications, in the order in which a partial identifier finds them.
        atr: Answer to reset.
        available: Asked at each SELECT with an application's full identifier; False hides the application.
    """

    def __init__(
        self, applets: Sequence[Applet], atr: bytes, available: Callable[[bytes], bool] = lambda _aid: True
    ) -> None:
        self.atr = atr
        self._applets = tuple(applets)
        self._available = available
        self._selected: Applet | None = None
        self._chain_header: tuple[int, int, int] | None = None
        self._chain = bytearray()
        self._pending = b""

    def transmit(self, raw: bytes) -> bytes:
        """Answer one command APDU: reply data, then two bytes of status, whatever the bytes are."""
        try:
            return self._answer(raw)
        except StatusError as error:
            return error.status.to_bytes(2, "big")

    def reset(self) -> None:
        """Take the power away and give it back: no application is selected, nothing is remembered."""
        for applet in self._applets:
            applet.power_off()
        self._selected = None
        self._end_chain()
        self._pending = b""

    def _answer(self, raw: bytes) -> bytes:
        # Only GET RESPONSE, right after the reply that was too long, gets at the rest of it.
        pending, self._pending = self._pending, b""
        if len(raw) > MAXIMUM_APDU:
            raise StatusError(StatusWord.WRONG_LENGTH)
        command = parse_command(raw)
        if command.cla:
            _check_class(command.cla)
        if command.ins == _GET_RESPONSE and self._chain_header is None:
            return self._get_response(command, pending)
        if command.cla or self._chain_header is not None:
            joined = self._join(command)
            if joined is None:
                return b"\x90\x00"
            command = joined
        reply = self._select(command) if command.ins == _SELECT else self._process(command)
        return self._send(reply, command.le)

    def _process(self, command: CommandApdu) -> bytes:
        if self._selected is None:
            raise StatusError(StatusWord.INSTRUCTION_NOT_SUPPORTED)
        return self._selected.process(command)

    def _send(self, reply: bytes, le: int | None) -> bytes:
        limit = le or SHORT_MAXIMUM
        if len(reply) <= limit:
            return reply + b"\x90\x00"
        self._pending = reply[limit:]
        return reply[:limit] + bytes((StatusWord.MORE_DATA >> 8, min(len(self._pending), 0x100) & 0xFF))

    def _get_response(self, command: CommandApdu, pending: bytes) -> bytes:
        if command.p1 or command.p2:
            raise StatusError(StatusWord.INCORRECT_P1_P2)
        if command.data:
            raise StatusError(StatusWord.WRONG_LENGTH)
        if not pending:
            raise StatusError(StatusWord.CONDITIONS_NOT_SATISFIED)
        return self._send(pending, command.le)

    def _join(self, command: CommandApdu) -> CommandApdu | None:
        """Collect a piece of a chained command; return the whole command with its last piece."""
        header = (command.ins, command.p1, command.p2)
        if self._chain_header is not None and self._chain_header != header:
            self._end_chain()
            # A new client begins with SELECT and cannot know that another one left a chain open.
            if command.ins != _SELECT:
                raise StatusError(StatusWord.LAST_COMMAND_OF_CHAIN_EXPECTED)
        self._chain_header = header
        self._chain += command.data
        if len(self._chain) > MAXIMUM_CHAINED_DATA:
            self._end_chain()
            raise StatusError(StatusWord.WRONG_LENGTH)
        if command.cla & _CHAINED:
            return None
        data = bytes(self._chain)
        self._end_chain()
        return CommandApdu(command.cla, command.ins, command.p1, command.p2, data, command.le)

    def _end_chain(self) -> None:
        self._chain_header = None
        self._chain.clear()

    def _select(self, command: CommandApdu) -> bytes:
        if command.p1 != _BY_NAME or command.p2 not in (
            _RETURN_INFORMATION,
            _NEXT_OCCURRENCE,
            _RETURN_NOTHING,
        ):
            raise StatusError(StatusWord.INCORRECT_P1_P2)
        # No two applications of a YubiKey share a name, so there is never a next one.
        found = None if command.p2 == _NEXT_OCCURRENCE else self._find(command.data)
        if found is None:
            raise StatusError(StatusWord.FILE_NOT_FOUND)
        if self._selected is not None:
            self._selected.deselect()
        self._selected = found
        information = found.select()
        return b"" if command.p2 == _RETURN_NOTHING else information

    def _find(self, name: bytes) -> Applet | None:
        if len(name) not in _AID_LENGTHS:
            return None
        for applet in self._applets:
            if applet.aid.startswith(name) and self._available(applet.aid):
                return applet
        return None


def _check_class(cla: int) -> None:
    """Refuse what a YubiKey does not know: proprietary classes, channels, secure messaging.

    Raises:
        StatusError: 6E00, 6881 or 6882.
    """
    if cla & ~(_CHAINED | _SECURE_MESSAGING | _LOGICAL_CHANNEL):
        raise StatusError(StatusWord.CLASS_NOT_SUPPORTED)
    if cla & _SECURE_MESSAGING:
        raise StatusError(StatusWord.SECURE_MESSAGING_NOT_SUPPORTED)
    if cla & _LOGICAL_CHANNEL:
        raise StatusError(StatusWord.LOGICAL_CHANNEL_NOT_SUPPORTED)
