# SPDX-License-Identifier: Apache-2.0
"""The whole key: its applications on one card, its power, and the world's hand that plugs and touches it."""

import os
import time
from collections.abc import Callable

from pivgate.emulator.attestation import AttestationIdentity, factory_identity
from pivgate.emulator.card import Card
from pivgate.emulator.firmware import Capability, Firmware
from pivgate.emulator.management import ManagementApplet
from pivgate.emulator.otp import OtpApplet
from pivgate.emulator.piv.applet import PivApplet

Randomness = Callable[[int], bytes]
Log = Callable[[bytes, bytes], None]


class EmulatedYubiKey:
    """A YubiKey fresh from the factory, plugged in.

    Args:
        firmware: What it can do.
        serial: Serial number, printed on a real one; 1 to 2^32 - 1.
        randomness: Where it gets random bytes from.
        clock: Seconds that only grow, for the 15 seconds of a cached touch.
        touch: Asked whenever the key blinks; False when nobody touched it in time.
        attestation: What the factory put into slot f9; by default this process's factory.

    Attributes:
        card: The card in it, for whoever speaks APDUs without a connection.
        log: Called with every command and its reply.
        store: Called after every command, before its reply goes out: what a reply promised must be kept.
    """

    def __init__(
        self,
        firmware: Firmware,
        serial: int,
        *,
        randomness: Randomness = os.urandom,
        clock: Callable[[], float] = time.monotonic,
        touch: Callable[[], bool] = lambda: True,
        attestation: AttestationIdentity | None = None,
    ) -> None:
        self.firmware = firmware
        self.serial = serial
        self.attestation = attestation or factory_identity(firmware)
        self.log: Log | None = None
        self.store: Callable[[], None] | None = None
        self.management = ManagementApplet(firmware, serial, self._ask_for_reboot)
        self.piv = PivApplet(firmware, serial, self.attestation, randomness, clock, touch)
        otp = OtpApplet(firmware, serial)
        self.card = Card((self.piv, self.management, otp), firmware.atr, self._available)
        self._needs = {self.piv.aid: Capability.PIV, otp.aid: Capability.OTP}
        self._inserted = True
        self._insertions = 1
        self._reboot = False

    @property
    def inserted(self) -> bool:
        """Whether the key is in its port."""
        return self._inserted

    @property
    def insertions(self) -> int:
        """How often the key has been given power; a connection lives as long as this number."""
        return self._insertions

    @property
    def visible(self) -> bool:
        """Whether a card reader appears: plugged in, and with its smart card interface on."""
        return self._inserted and self.management.state.smart_card_enabled

    def insert(self) -> None:
        """Plug the key in; nothing happens when it is plugged in."""
        if not self._inserted:
            self._inserted = True
            self._insertions += 1

    def remove(self) -> None:
        """Pull the key out: what was not stored is forgotten."""
        self._inserted = False
        self.card.reset()

    def transmit(self, raw: bytes) -> bytes:
        """Answer one command APDU, and reboot after it if it asked for that."""
        reply = self.card.transmit(raw)
        if self.store is not None:
            self.store()
        if self.log is not None:
            self.log(raw, reply)
        if self._reboot:
            self._reboot = False
            self.remove()
            self.insert()
        return reply

    def _ask_for_reboot(self) -> None:
        self._reboot = True

    def _available(self, aid: bytes) -> bool:
        return self._needs.get(aid, Capability(0)) in self.management.state.usb_enabled
