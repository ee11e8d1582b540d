# SPDX-License-Identifier: Apache-2.0
"""What a key says of itself, read without changing or spending anything."""

import dataclasses

import pytest
from yubikit.core import InvalidPinError
from yubikit.piv import PivSession

from pivgate.emulator.management import Capability
from pivgate.errors import DeviceError
from pivgate.yubikey.report import read_report


def test_a_factory_key(bench):
    report = read_report(bench.device)
    shown = bench.key.firmware.metadata
    assert (report.serial, report.firmware) == (12345678, bench.key.firmware.version)
    assert report.piv_supported
    assert not report.locked
    piv = report.piv
    assert piv.pin_tries == 3
    assert piv.puk_tries == (3 if shown else None)
    assert (piv.pin_is_factory, piv.puk_is_factory) == ((True, True) if shown else (None, None))
    assert piv.management_key_is_factory
    assert not piv.management_key_is_stored
    assert (piv.slot.certificate, piv.slot.key, piv.slot.unreadable) == (None, None, False)


@pytest.mark.parametrize(
    ("firmware", "model", "form_factor"),
    [
        ("4.3.7", "YubiKey 4", "Unknown"),
        ("5.2.7", "YubiKey 5 NFC", "Keychain (USB-A)"),
        ("5.7.4", "YubiKey 5C NFC", "Keychain (USB-C)"),
    ],
)
def test_model_and_form(make_bench, firmware, model, form_factor):
    report = read_report(make_bench(firmware).device)
    assert (report.model, report.form_factor) == (model, form_factor)


def test_a_provisioned_key(bench):
    certificate = bench.provision().certificate
    before = bench.snapshot()
    piv = read_report(bench.device).piv
    assert bench.snapshot() == before
    shown = bench.key.firmware.metadata
    assert (piv.pin_is_factory, piv.puk_is_factory) == ((False, False) if shown else (None, None))
    assert not piv.management_key_is_factory
    assert piv.management_key_is_stored
    assert piv.slot.certificate == certificate
    assert piv.slot.key.public_key == certificate.public_key()


def test_tries_that_were_spent(bench):
    for left in (2, 1, 0):
        with bench.session() as connection, pytest.raises(InvalidPinError):
            PivSession(connection).verify_pin("00000000")
        for _ in range(2):
            assert read_report(bench.device).piv.pin_tries == left


def test_a_puk_blocked_on_purpose(bench):
    bench.prepare(lambda piv: piv.put_object(0x5FFF00, bytes.fromhex("8003810101")))
    assert read_report(bench.device).piv.puk_tries == (3 if bench.key.firmware.metadata else 0)


def test_piv_switched_off(make_bench):
    bench = make_bench("5.7.4")
    state = bench.key.management.state
    without = state.usb_enabled & ~Capability.PIV
    bench.key.management.state = dataclasses.replace(state, usb_enabled=without, lock_code=b"\1" * 16)
    report = read_report(bench.device)
    assert report.piv is None
    assert report.piv_supported
    assert report.locked


def test_pulled_out(bench):
    bench.key.remove()
    with pytest.raises(DeviceError, match="pulled out"):
        read_report(bench.device)
