# SPDX-License-Identifier: Apache-2.0
"""The smart card service, and the YubiKeys in this machine. Reading them spends no try of any PIN."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.errors import PivgateError
from pivgate.yubikey.find import NoServiceError, Seen, survey
from pivgate.yubikey.report import Report, read_report

_SBIN: Final = "/usr/sbin:/usr/local/sbin:/sbin"
_YUBICO: Final = "1050"  # USB vendor number


@dataclass(frozen=True)
class Card:
    """A card in a reader.

    Attributes:
        reader: The reader's name.
        report: What the YubiKey says of itself, or why it does not.
    """

    reader: str
    report: Report | Trouble

    @property
    def name(self) -> str:
        """What people call it."""
        if isinstance(self.report, Trouble):
            return f"card in {self.reader}"
        return f"YubiKey {self.report.serial or 'without a serial number'}"


@dataclass(frozen=True)
class CardFacts:
    """Cards and the service for them.

    Attributes:
        installed: Whether pcscd is installed.
        service: Why it does not answer; None if it does.
        cards: Every card in a reader.
        plugged: How many YubiKeys the machine has on USB, with or without a smart card side.
    """

    installed: bool
    service: Trouble | None
    cards: tuple[Card, ...]
    plugged: int


def gather_cards(place: Place) -> CardFacts:
    """Look at every card."""
    folders = f"{place.environment.get('PATH', '')}:{_SBIN}".split(":")
    installed = any((place.root / folder.lstrip("/") / "pcscd").is_file() for folder in folders if folder)
    plugged = _plugged(place.root)
    try:
        cards = tuple(_card(each) for each in survey())
    except NoServiceError as error:
        return CardFacts(installed, Trouble.of(error), (), plugged)
    return CardFacts(installed, None, cards, plugged)


def _card(seen: Seen) -> Card:
    if seen.device is None:
        error = seen.error
        if isinstance(error, PivgateError):
            return Card(seen.reader, Trouble.of(error))
        return Card(seen.reader, Trouble(str(error), "Pull it out and put it in again.", ""))
    try:
        return Card(seen.reader, read_report(seen.device))
    except PivgateError as error:
        return Card(seen.reader, Trouble.of(error))


def _plugged(root: Path) -> int:
    count = 0
    for path in (root / "sys/bus/usb/devices").glob("*/idVendor"):
        try:
            count += path.read_text().strip() == _YUBICO
        except OSError:  # pulled out in between
            continue
    return count
