# SPDX-License-Identifier: Apache-2.0
"""The device around the application: what it is, what it stores, what this session proved, and its finger."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.firmware import Firmware
from pivgate.emulator.piv.references import TouchPolicy
from pivgate.emulator.piv.session import Session
from pivgate.emulator.piv.state import PivState

TOUCH_CACHE_SECONDS = 15
"""For how long a touch counts under policy "cached" (Yubico, "PIN and touch policies")."""


@dataclass
class Device:
    """Everything that a command may look at or change.

    Attributes:
        firmware: What the device can do.
        serial: Serial number.
        randomness: Source of random bytes.
        clock: Seconds that only grow.
        touch: Waits for a finger; False when none came in time.
        state: What survives without power.
        session: What the present session has proved.
        touched_at: When a finger was last there; a touch outlives the session, but not the power.
    """

    firmware: Firmware
    serial: int
    randomness: Callable[[int], bytes]
    clock: Callable[[], float]
    touch: Callable[[], bool]
    state: PivState
    session: Session = field(default_factory=Session)
    touched_at: float | None = None

    def demand_touch(self, policy: TouchPolicy) -> None:
        """Wait for a touch if the policy wants one now.

        Raises:
            StatusError: 6982, nobody touched the device in time.
        """
        if policy is TouchPolicy.NEVER or (policy is TouchPolicy.CACHED and self._touched_lately()):
            return
        if not self.touch():
            raise StatusError(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
        self.touched_at = self.clock()

    def _touched_lately(self) -> bool:
        return self.touched_at is not None and self.clock() - self.touched_at <= TOUCH_CACHE_SECONDS
