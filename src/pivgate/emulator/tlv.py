# SPDX-License-Identifier: Apache-2.0
"""BER-TLV as ISO/IEC 7816-4 section 5.2.2 uses it: definite lengths, tags of up to three bytes."""

from pivgate.emulator.apdu import StatusError, StatusWord

_MULTI_BYTE_TAG = 0x1F
_CONTINUED = 0x80
_LONGEST_TAG = 3
_LONGEST_LENGTH = 3


class TlvError(StatusError):
    """Bytes that are not BER-TLV; left uncaught, the command ends with 6A80."""

    def __init__(self) -> None:
        super().__init__(StatusWord.INCORRECT_DATA)


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Split bytes into tags and values, one level deep, in the order they stand.

    Lengths need not be in their shortest form: real cards take ``81 05`` for ``05``.

    Raises:
        TlvError: A tag or length is cut off, too long, or indefinite, or a value runs past the end.
    """
    fields = []
    position = 0
    while position < len(data):
        tag, position = _parse_tag(data, position)
        length, position = _parse_length(data, position)
        end = position + length
        if end > len(data):
            raise TlvError
        fields.append((tag, data[position:end]))
        position = end
    return fields


def unwrap(tag: int, data: bytes) -> bytes:
    """Return the value of the one field that the bytes consist of.

    Raises:
        TlvError: The bytes are not exactly one field with that tag.
    """
    fields = parse(data)
    if len(fields) != 1 or fields[0][0] != tag:
        raise TlvError
    return fields[0][1]


def build(tag: int, value: bytes = b"") -> bytes:
    """Encode one field.

    Args:
        tag: Tag of one to three bytes, as it is written: ``0x7F49``.
        value: At most 16 MiB - 1.
    """
    length = len(value)
    if length < 0x80:
        encoded_length = bytes([length])
    else:
        size = (length.bit_length() + 7) // 8
        encoded_length = bytes([0x80 | size]) + length.to_bytes(size, "big")
    return tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big") + encoded_length + value


def _parse_tag(data: bytes, position: int) -> tuple[int, int]:
    tag = data[position]
    position += 1
    if tag & _MULTI_BYTE_TAG != _MULTI_BYTE_TAG:
        return tag, position
    for _ in range(_LONGEST_TAG - 1):
        if position >= len(data):
            break
        tag = tag << 8 | data[position]
        position += 1
        if not tag & _CONTINUED:
            return tag, position
    raise TlvError


def _parse_length(data: bytes, position: int) -> tuple[int, int]:
    if position >= len(data):
        raise TlvError
    first = data[position]
    position += 1
    if first < 0x80:
        return first, position
    size = first & 0x7F
    if not 1 <= size <= _LONGEST_LENGTH:
        raise TlvError
    # A length that is cut off ends past the data, as a value does; the caller sees both.
    return int.from_bytes(data[position : position + size], "big"), position + size
