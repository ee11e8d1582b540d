# SPDX-License-Identifier: Apache-2.0
"""Every error of yubikit and pyscard becomes one that says what to do."""

import dataclasses

import pytest
from smartcard.Exceptions import CardConnectionException, NoCardException
from yubikit.core import ApplicationNotAvailableError, BadResponseError, NotSupportedError
from yubikit.core.smartcard import ApduError

from pivgate.emulator.management import Capability
from pivgate.errors import DeviceError
from pivgate.yubikey.pins import reset_pin
from pivgate.yubikey.session import spoken_errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (CardConnectionException("gone"), "pulled out"),
        (NoCardException("gone", -1), "pulled out"),
        (ApplicationNotAvailableError(), "switched off"),
        (ApduError(b"", 0x6982), "not touched in time"),
        (ApduError(b"", 0x6A84), "no room"),
        (ApduError(b"", 0x6581), "could not write"),
        (ApduError(b"", 0x6F00), "6F00"),
        (BadResponseError("odd"), "makes no sense"),
        (NotSupportedError("not this one"), "cannot do that: not this one"),
    ],
)
def test_errors_are_spoken(error, message):
    with pytest.raises(DeviceError, match=message) as caught, spoken_errors():
        raise error
    assert caught.value.hint
    assert caught.value.__cause__ is error


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ValueError, match="a bug"), spoken_errors():
        raise ValueError("a bug")


def test_piv_switched_off(make_bench):
    bench = make_bench("5.7.4")
    state = bench.key.management.state
    bench.key.management.state = dataclasses.replace(state, usb_enabled=state.usb_enabled & ~Capability.PIV)
    with pytest.raises(DeviceError, match="switched off") as caught:
        reset_pin(bench.device, "12345678", "neu+2026")
    assert "pivgate key provision" in caught.value.hint
