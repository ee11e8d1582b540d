# SPDX-License-Identifier: Apache-2.0
"""Waits until a PC/SC service tells of its cards: a little after it has given them power."""

import os
import time
from collections.abc import Mapping

from pivgate.errors import DeviceError


def await_cards(environment: Mapping[str, str], number: int, patience: float) -> None:
    """Return when the service says that so many cards are in its readers.

    Args:
        environment: How the service is found; this process asks no other from now on.
        number: Of cards.
        patience: Seconds.

    Raises:
        DeviceError: It does not say so in time, or does not answer.
    """
    os.environ.update(environment)
    from smartcard.scard import (
        SCARD_S_SUCCESS,
        SCARD_SCOPE_USER,
        SCARD_STATE_MUTE,
        SCARD_STATE_PRESENT,
        SCARD_STATE_UNAWARE,
        SCardEstablishContext,
        SCardGetStatusChange,
        SCardListReaders,
        SCardReleaseContext,
    )

    def present(context: object) -> int:
        _, names = SCardListReaders(context, [])
        _, states = SCardGetStatusChange(context, 0, [(name, SCARD_STATE_UNAWARE) for name in names])
        return sum(
            bool(state & SCARD_STATE_PRESENT) and not state & SCARD_STATE_MUTE for _, state, _ in states
        )

    deadline = time.monotonic() + patience
    # A service that was started just now does not listen yet.
    result, context = SCardEstablishContext(SCARD_SCOPE_USER)
    while result != SCARD_S_SUCCESS:
        if time.monotonic() > deadline:
            raise DeviceError("The PC/SC service does not answer", "Run the same command again.")
        time.sleep(0.01)
        result, context = SCardEstablishContext(SCARD_SCOPE_USER)
    try:
        while present(context) < number:
            if time.monotonic() > deadline:
                raise DeviceError("The PC/SC service does not see the keys", "Run the same command again.")
            time.sleep(0.01)
    finally:
        SCardReleaseContext(context)
