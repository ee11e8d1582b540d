# SPDX-License-Identifier: Apache-2.0
"""Checks on the fields of a command, each of which ends the command with a status word."""

from enum import IntEnum
from typing import TypeVar

from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord

_Number = TypeVar("_Number", bound=IntEnum)


def require(condition: bool, status: StatusWord = StatusWord.INCORRECT_DATA) -> None:
    """Go on only when the condition holds.

    Raises:
        StatusError: It does not; 6A80 unless told otherwise.
    """
    if not condition:
        raise StatusError(status)


def no_data(apdu: CommandApdu) -> None:
    """Refuse data where none belongs.

    Raises:
        StatusError: 6700.
    """
    require(not apdu.data, StatusWord.WRONG_LENGTH)


def number(kind: type[_Number], value: int, status: StatusWord = StatusWord.INCORRECT_DATA) -> _Number:
    """Give a number its name.

    Raises:
        StatusError: The number has none; 6A80 unless told otherwise.
    """
    try:
        return kind(value)
    except ValueError:
        raise StatusError(status) from None


def unique(fields: list[tuple[int, bytes]]) -> dict[int, bytes]:
    """Index fields by their tags.

    Raises:
        StatusError: 6A80 when a tag occurs twice: two readers could take two different values.
    """
    require(len({tag for tag, _ in fields}) == len(fields))
    return dict(fields)
