# SPDX-License-Identifier: Apache-2.0
"""Commands and replies of ISO/IEC 7816-4: four bytes of header, lengths in a short and an extended form."""

from dataclasses import dataclass
from enum import IntEnum

SHORT_MAXIMUM = 256
EXTENDED_MAXIMUM = 65536


class StatusWord(IntEnum):
    """The two bytes that end every reply (ISO/IEC 7816-4, section 5.6, and SP 800-73-4 part 2)."""

    SUCCESS = 0x9000
    MORE_DATA = 0x6100
    VERIFY_FAILED = 0x63C0
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    LOGICAL_CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    LAST_COMMAND_OF_CHAIN_EXPECTED = 0x6883
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_METHOD_BLOCKED = 0x6983
    DATA_INVALID = 0x6984
    CONDITIONS_NOT_SATISFIED = 0x6985
    COMMAND_NOT_ALLOWED = 0x6986
    INCORRECT_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    NOT_ENOUGH_MEMORY = 0x6A84
    INCORRECT_P1_P2 = 0x6A86
    REFERENCE_DATA_NOT_FOUND = 0x6A88
    WRONG_P1_P2 = 0x6B00
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00
    COMMAND_ABORTED = 0x6F00


class StatusError(Exception):
    """A command ends with a status word other than 9000.

    Args:
        status: The status word; an int, since 63Cx carries a counter.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """A command, whichever form it came in.

    Attributes:
        cla: Class byte.
        ins: Instruction byte.
        p1: First parameter.
        p2: Second parameter.
        data: Command data, without its length.
        le: The most bytes that the sender wants back (1 to 65536); None when it did not say.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None


@dataclass(frozen=True, slots=True)
class Response:
    """Reply data and the status word after it."""

    data: bytes
    status: int

    def encode(self) -> bytes:
        """Return the bytes as they go over the wire."""
        return self.data + self.status.to_bytes(2, "big")


def parse_command(raw: bytes) -> CommandApdu:
    """Read a command APDU in any of the seven forms of ISO/IEC 7816-4, section 5.2.

    Raises:
        StatusError: 6700 when the lengths do not fit the bytes.
    """
    length = len(raw)
    if length < 4:
        raise StatusError(StatusWord.WRONG_LENGTH)
    cla, ins, p1, p2 = raw[:4]
    if length == 4:
        return CommandApdu(cla, ins, p1, p2, b"", None)
    lc = raw[4]
    if length == 5:
        return CommandApdu(cla, ins, p1, p2, b"", lc or SHORT_MAXIMUM)
    if lc:
        data, rest = raw[5 : 5 + lc], raw[5 + lc :]
        if len(data) != lc or len(rest) > 1:
            raise StatusError(StatusWord.WRONG_LENGTH)
        return CommandApdu(cla, ins, p1, p2, data, (rest[0] or SHORT_MAXIMUM) if rest else None)
    return _parse_extended(cla, ins, p1, p2, raw[5:])


def _parse_extended(cla: int, ins: int, p1: int, p2: int, body: bytes) -> CommandApdu:
    first = int.from_bytes(body[:2], "big")
    if len(body) == 2:
        return CommandApdu(cla, ins, p1, p2, b"", first or EXTENDED_MAXIMUM)
    data, rest = body[2 : 2 + first], body[2 + first :]
    if not first or len(data) != first or len(rest) not in (0, 2):
        raise StatusError(StatusWord.WRONG_LENGTH)
    le = (int.from_bytes(rest, "big") or EXTENDED_MAXIMUM) if rest else None
    return CommandApdu(cla, ins, p1, p2, data, le)
