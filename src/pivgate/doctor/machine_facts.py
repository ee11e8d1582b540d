# SPDX-License-Identifier: Apache-2.0
"""The machine's clock: whether the kernel counts it as synchronised, and who would do that."""

import ctypes
from dataclasses import dataclass
from typing import Final

from pivgate.doctor.place import Place

_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC, include/uapi/linux/timex.h

_SERVICES: Final = (
    ("systemd-timesyncd", ("usr/lib/systemd/systemd-timesyncd", "lib/systemd/systemd-timesyncd")),
    ("chrony", ("usr/sbin/chronyd",)),
    ("ntpd", ("usr/sbin/ntpd",)),
)


class _Timex(ctypes.Structure):
    """What adjtimex(2) fills in, up to the one member that is read; all zero, it sets nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("most_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("more", ctypes.c_byte * 256),
    )


@dataclass(frozen=True)
class MachineFacts:
    """The clock.

    Attributes:
        synchronised: What the kernel says; None where it does not tell.
        service: What is installed to keep it right; empty if nothing is known to be.
    """

    synchronised: bool | None
    service: str


def gather_machine(place: Place) -> MachineFacts:
    """Ask the kernel; nothing is set."""
    service = next(
        (name for name, paths in _SERVICES if any((place.root / path).exists() for path in paths)), ""
    )
    return MachineFacts(_synchronised(), service)


def _synchronised() -> bool | None:
    library = ctypes.CDLL(None)
    timex = _Timex()
    if not hasattr(library, "adjtimex") or library.adjtimex(ctypes.byref(timex)) < 0:
        return None
    return not timex.status & _UNSYNCHRONISED
