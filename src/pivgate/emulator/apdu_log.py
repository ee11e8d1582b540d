# SPDX-License-Identifier: Apache-2.0
"""Commands and replies as lines that people can read and show to others: no secret is in them.

What is shown is what is known to be public. Everything else is a number of bytes: also what is unknown, cut
off, wrong, or not for this emulator.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pivgate.emulator import tlv
from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord, parse_command
from pivgate.emulator.apdu_names import PUBLIC_OBJECTS, number_name, object_name, reference_name, status_name
from pivgate.emulator.firmware import KeyType, ManagementKeyType
from pivgate.emulator.management import MANAGEMENT_AID
from pivgate.emulator.otp import OTP_AID
from pivgate.emulator.piv.applet import AID as PIV_AID
from pivgate.emulator.piv.references import MANAGEMENT_KEY

_CHAINED = 0x10
_SELECT = 0xA4
_GET_RESPONSE = 0xC0
_VERIFY = 0x20
_BY_NAME = 0x04
_AID_LENGTHS = range(5, 17)
_LONGEST_OBJECT_ID = 3
_FORGET = _DELETE = 0xFF


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a command is, and how much of it may be shown.

    Attributes:
        words: Instruction, and what it is about.
        rest: Of the command's data, what the words do not say already.
        public: The rest may be shown.
        reply: The reply's data may be shown.
    """

    words: str
    rest: bytes = b""
    public: bool = False
    reply: bool = False


class ApduLog:
    """Turns the commands to one key, in the order in which they came, into lines.

    It remembers which application is selected, the pieces of a chained command, and whether the reply that
    GET RESPONSE goes on with is public.
    """

    def __init__(self) -> None:
        self._application = b""
        self._chain: tuple[bytes, bytes] | None = None
        self._going_on = False

    def line(self, command: bytes, reply: bytes) -> str:
        """Return the line for one command.

        Args:
            command: The command APDU, in any form, also a broken one.
            reply: Reply data and two bytes of status.

        Returns:
            For instance ``00200080 VERIFY PIN (8 bytes, not shown) → 63C2 wrong, 2 tries left``.
        """
        status = int.from_bytes(reply[-2:], "big")
        going_on, self._going_on = self._going_on, False
        try:
            apdu = parse_command(command)
        except StatusError:
            self._chain = None
            return f"no command APDU{_hidden(command)} → {_answer(status, reply[:-2])}"
        if apdu.cla & ~_CHAINED:
            self._chain = None
            return f"class {apdu.cla:02X}{_hidden(command)} → {_answer(status, reply[:-2])}"
        header = command[:4].hex().upper()
        whole = self._join(command[1:4], apdu)
        if whole is None:
            if status != StatusWord.SUCCESS:
                self._chain = None
            return f"{header} a piece of a command{_hidden(apdu.data)} → {_answer(status, reply[:-2])}"
        succeeded = status == StatusWord.SUCCESS or status & 0xFF00 == StatusWord.MORE_DATA
        seen = self._see(whole, going_on)
        if whole.ins == _SELECT and succeeded:
            self._application = whole.data
        self._going_on = seen.reply and status & 0xFF00 == StatusWord.MORE_DATA
        # What was refused may have been meant for another application, where the same bytes are a secret.
        rest = _shown(seen.rest) if seen.public and succeeded else _hidden(seen.rest)
        guess = "wrong, " if whole.data and status & 0xFFF0 == StatusWord.VERIFY_FAILED else ""
        return f"{header} {seen.words}{rest} → {_answer(status, reply[:-2], seen.reply, guess)}"

    def _join(self, header: bytes, apdu: CommandApdu) -> CommandApdu | None:
        """Collect the pieces of a chained command; None until its last one is there."""
        earlier = self._chain[1] if self._chain is not None and self._chain[0] == header else b""
        data = earlier + apdu.data
        self._chain = (header, data) if apdu.cla & _CHAINED else None
        return None if self._chain else CommandApdu(0, apdu.ins, apdu.p1, apdu.p2, data, apdu.le)

    def _see(self, apdu: CommandApdu, going_on: bool) -> _Seen:
        if apdu.ins == _SELECT:
            return _select(apdu)
        if apdu.ins == _GET_RESPONSE:
            return _Seen("GET RESPONSE", reply=going_on)
        for aid, instructions in ((PIV_AID, _PIV), (MANAGEMENT_AID, _MANAGEMENT)):
            if self._application and aid.startswith(self._application) and apdu.ins in instructions:
                return instructions[apdu.ins](apdu)
        return _Seen(f"instruction {apdu.ins:02X}", apdu.data)


def _answer(status: int, data: bytes, public: bool = False, guess: str = "") -> str:
    return f"{status:04X} {guess}{status_name(status)}{_shown(data) if public else _hidden(data)}"


def _shown(data: bytes) -> str:
    return f" {data.hex().upper()}" if data else ""


def _hidden(data: bytes) -> str:
    return f" ({len(data)} {'byte' if len(data) == 1 else 'bytes'}, not shown)" if data else ""


def _select(apdu: CommandApdu) -> _Seen:
    if apdu.p1 != _BY_NAME or len(apdu.data) not in _AID_LENGTHS:
        return _Seen("SELECT", apdu.data)
    known = {PIV_AID: "PIV", MANAGEMENT_AID: "management", OTP_AID: "OTP"}
    name = next((name for aid, name in known.items() if aid.startswith(apdu.data)), apdu.data.hex().upper())
    return _Seen(f"SELECT {name}", reply=True)


def _verify(apdu: CommandApdu) -> _Seen:
    name = reference_name(apdu.p2)
    if apdu.p1 == _FORGET:
        return _Seen(f"VERIFY {name}: take it back", apdu.data)
    return _Seen(f"VERIFY {name}" if apdu.data else f"VERIFY {name}: ask", apdu.data)


def _authenticate(apdu: CommandApdu) -> _Seen:
    algorithms = ManagementKeyType if apdu.p2 == MANAGEMENT_KEY else KeyType
    words = f"GENERAL AUTHENTICATE {reference_name(apdu.p2)} {number_name(algorithms, apdu.p1)}"
    return _Seen(words, apdu.data)


def _get_data(apdu: CommandApdu) -> _Seen:
    match _fields(apdu.data):
        case [(0x5C, name)] if 1 <= len(name) <= _LONGEST_OBJECT_ID:
            object_id = int.from_bytes(name, "big")
            return _Seen(f"GET DATA {object_name(object_id)}", reply=object_id in PUBLIC_OBJECTS)
    return _Seen("GET DATA", apdu.data)


def _put_data(apdu: CommandApdu) -> _Seen:
    match _fields(apdu.data):
        case [(0x5C, name), (0x53, value)] if 1 <= len(name) <= _LONGEST_OBJECT_ID:
            object_id = int.from_bytes(name, "big")
            return _Seen(f"PUT DATA {object_name(object_id)}", value, public=object_id in PUBLIC_OBJECTS)
    return _Seen("PUT DATA", apdu.data)


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    try:
        return tlv.parse(data)
    except tlv.TlvError:
        return []


def _move(apdu: CommandApdu) -> _Seen:
    source = reference_name(apdu.p2)
    if apdu.p1 == _DELETE:
        return _Seen(f"DELETE KEY {source}", apdu.data)
    return _Seen(f"MOVE KEY {source} to {reference_name(apdu.p1)}", apdu.data)


def _import(apdu: CommandApdu) -> _Seen:
    return _Seen(f"IMPORT KEY {reference_name(apdu.p2)} {number_name(KeyType, apdu.p1)}", apdu.data)


def _about_p2(name: str, *, reply: bool = False) -> Callable[[CommandApdu], _Seen]:
    return lambda apdu: _Seen(f"{name} {reference_name(apdu.p2)}", apdu.data, reply=reply)


def _bare(name: str, *, reply: bool = False) -> Callable[[CommandApdu], _Seen]:
    return lambda apdu: _Seen(name, apdu.data, reply=reply)


_PIV: Mapping[int, Callable[[CommandApdu], _Seen]] = MappingProxyType(
    {
        _VERIFY: _verify,
        0x24: _about_p2("CHANGE REFERENCE DATA"),
        0x2C: _about_p2("RESET RETRY COUNTER"),
        0x47: _about_p2("GENERATE KEY", reply=True),
        0x87: _authenticate,
        0xCB: _get_data,
        0xDB: _put_data,
        0xF6: _move,
        0xF7: _about_p2("GET METADATA", reply=True),
        0xF8: _bare("GET SERIAL", reply=True),
        0xF9: lambda apdu: _Seen(f"ATTEST {reference_name(apdu.p1)}", apdu.data, reply=True),
        0xFA: lambda apdu: _Seen(f"SET RETRIES PIN {apdu.p1}, PUK {apdu.p2}", apdu.data),
        0xFB: _bare("RESET"),
        0xFD: _bare("GET VERSION", reply=True),
        0xFE: _import,
        0xFF: _bare("SET MANAGEMENT KEY"),
    }
)

_MANAGEMENT: Mapping[int, Callable[[CommandApdu], _Seen]] = MappingProxyType(
    {
        0x16: _bare("SET MODE"),
        0x1C: _bare("WRITE CONFIGURATION"),
        0x1D: lambda apdu: _Seen(f"READ CONFIGURATION page {apdu.p1}", apdu.data, reply=True),
    }
)
