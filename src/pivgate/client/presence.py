# SPDX-License-Identifier: Apache-2.0
"""Notice that a key was pulled out, without opening it: other programs use it meanwhile."""

import threading
from collections.abc import Callable

from smartcard.scard import (
    SCARD_E_TIMEOUT,
    SCARD_S_SUCCESS,
    SCARD_SCOPE_USER,
    SCARD_STATE_PRESENT,
    SCARD_STATE_UNAWARE,
    SCardEstablishContext,
    SCardGetStatusChange,
    SCardReleaseContext,
)

from pivgate.errors import DeviceError
from pivgate.yubikey.find import Device, PcscDevice

_LOOK_EVERY = 500
"""Milliseconds after which the service is asked again at the latest."""

_COUNTER = 16
"""pcsc-lite counts insertions and removals in the upper half of the state (pcsclite(3))."""


class Watch:
    """Watches over one key in a thread of its own.

    Args:
        device: The key.
        on_gone: Told once when it is gone, or when the service is.
    """

    def __init__(self, device: Device, on_gone: Callable[[DeviceError], None]) -> None:
        self._device = device
        self._on_gone = on_gone
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch; only what PC/SC knows of can be watched."""
        if isinstance(self._device, PcscDevice):
            threading.Thread(target=self._watch, args=(str(self._device.reader),), daemon=True).start()

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self, reader: str) -> None:
        result, context = SCardEstablishContext(SCARD_SCOPE_USER)
        first: int | None = None
        state = SCARD_STATE_UNAWARE
        while result == SCARD_S_SUCCESS and not self._ended.is_set():
            result, states = SCardGetStatusChange(context, _LOOK_EVERY, [(reader, state)])
            if result == SCARD_E_TIMEOUT:
                result = SCARD_S_SUCCESS
                continue
            if result != SCARD_S_SUCCESS:
                break
            state = states[0][1]
            first = state >> _COUNTER if first is None else first
            if not state & SCARD_STATE_PRESENT or state >> _COUNTER != first:
                break
        SCardReleaseContext(context)
        if not self._ended.is_set():
            self._on_gone(
                DeviceError(
                    f"YubiKey {self._device.serial} was pulled out, or the smart card service has ended",
                    "Plug it in and run the same command again.",
                )
            )
