# SPDX-License-Identifier: Apache-2.0
"""Find the YubiKeys in this machine, and pick one without ever guessing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from smartcard import System
from smartcard.Exceptions import (
    CardConnectionException,
    NoCardException,
    SmartcardException,
)
from smartcard.ExclusiveConnectCardConnection import (
    ExclusiveConnectCardConnection,
)
from smartcard.pcsc.PCSCExceptions import (
    EstablishContextException,
    ListReadersException,
)
from ykman.pcsc import ScardSmartCardConnection
from yubikit.core import YUBIKEY
from yubikit.core.smartcard import SmartCardConnection
from yubikit.support import get_name

from pivgate.errors import DeviceError
from pivgate.yubikey.session import read_device_info

_GRABBERS = frozenset({"scdaemon", "gsd-smartcard", "keepassxc", "yubikey-agent", "pkcs11-register"})
"""Programs known to keep a smart card open for themselves."""


class Device(Protocol):
    """A YubiKey that can be opened."""

    @property
    def serial(self) -> int | None:
        """The serial number printed on it; None for the few that hide it."""

    @property
    def description(self) -> str:
        """Model and firmware, for a list."""

    def open(self) -> SmartCardConnection:
        """Connect to it; the connection is a context manager. To be used within ``spoken_errors``.

        Raises:
            DeviceError: Another program holds it.
            SmartcardException: It is not there any more.
        """


@dataclass(frozen=True)
class PcscDevice:
    """A YubiKey behind the machine's PC/SC service."""

    reader: Any
    serial: int | None
    description: str

    def open(self) -> SmartCardConnection:
        """Connect to it."""
        return _connect(self.reader)


class NoServiceError(DeviceError):
    """There is no PC/SC service, or it does not answer."""


class HeldError(DeviceError):
    """Another program has the card open for itself alone."""


@dataclass(frozen=True)
class Seen:
    """A reader with a card in it.

    Attributes:
        reader: Its name.
        device: The YubiKey in it; None when the card cannot be used.
        error: Why not.
    """

    reader: str
    device: PcscDevice | None
    error: DeviceError | SmartcardException | None = None


def survey(readers: Callable[[], Sequence[Any]] = System.readers) -> list[Seen]:
    """Look into every reader; those without a card are left out.

    A YubiKey is told by its management application, not by the name of its reader: over NFC, and through
    a virtual reader, the name is the reader's.

    Args:
        readers: Lists pyscard readers.

    Raises:
        NoServiceError: There is no PC/SC service.
    """
    try:
        listed = readers()
    except (EstablishContextException, ListReadersException) as error:
        raise NoServiceError(
            f"The smart card service (PC/SC) of this machine does not answer: {error}",
            "Start it with `sudo systemctl start pcscd.socket`; if it is missing, `sudo apt install pcscd`.",
        ) from error
    found = []
    for reader in listed:
        try:
            with _connect(reader) as connection:
                info = read_device_info(connection)
        except NoCardException:
            continue
        except (DeviceError, SmartcardException) as error:
            found.append(Seen(str(reader), None, error))
            continue
        name = get_name(info, YUBIKEY.YK4)
        device = PcscDevice(reader, info.serial, f"{name}, firmware {info.version}")
        found.append(Seen(str(reader), device))
    return found


def pcsc_devices(readers: Callable[[], Sequence[Any]] = System.readers) -> list[Device]:
    """Find the YubiKeys behind the PC/SC service.

    Args:
        readers: Lists pyscard readers.

    Raises:
        DeviceError: There is no PC/SC service, or there are cards but none is a YubiKey.
    """
    seen = survey(readers)
    devices: list[Device] = [each.device for each in seen if each.device is not None]
    strangers = [f"{each.reader}: {each.error}" for each in seen if each.device is None]
    if strangers and not devices:
        raise DeviceError(
            f"No YubiKey can be used here. {'. '.join(strangers)}", "Put in a YubiKey and try again."
        )
    return devices


def select(devices: Sequence[Device], serial: int | None = None) -> Device:
    """Pick the one key that is meant.

    Args:
        devices: The keys that are there.
        serial: The serial number asked for, or None to take the only one.

    Raises:
        DeviceError: There is none, not that one, or several and no serial was given.
    """
    listed = "; ".join(f"{device.serial or 'no serial'} ({device.description})" for device in devices)
    if not devices:
        raise DeviceError(
            "There is no YubiKey in this machine",
            "Plug one in and run the same command again. "
            "If one is plugged in, its smart card side is off: `ykman config usb --enable PIV`.",
        )
    if serial is not None:
        for device in devices:
            if device.serial == serial:
                return device
        raise DeviceError(f"There is no YubiKey {serial} in this machine", f"These are here: {listed}.")
    if len(devices) > 1:
        raise DeviceError(
            f"There are {len(devices)} YubiKeys in this machine",
            f"Say which one is meant with --serial, or pull the others out: {listed}.",
        )
    return devices[0]


def _connect(reader: Any) -> SmartCardConnection:
    """Open a reader, for us alone if possible.

    ykman's own way kills programs that hold the card; here they are named instead.
    """
    try:
        return _attach(ExclusiveConnectCardConnection(reader.createConnection()))
    except NoCardException:
        raise
    except SmartcardException:
        pass
    try:
        return _attach(reader.createConnection())
    except NoCardException:
        raise
    except CardConnectionException as error:
        holders = _holders()
        raise HeldError(
            f"The card in {reader} cannot be opened: {error}",
            f"It may be held by {', '.join(holders)}: stop that and try again."
            if holders
            else "Pull it out, plug it in again and run the same command.",
        ) from error


def _attach(connection: Any) -> SmartCardConnection:
    return ScardSmartCardConnection(connection)


def _holders(processes: Path = Path("/proc")) -> list[str]:
    names = set()
    for path in processes.glob("[0-9]*/comm"):
        try:
            names.add(path.read_text().strip())
        except OSError:  # it has ended meanwhile
            continue
    return sorted(names & _GRABBERS)
