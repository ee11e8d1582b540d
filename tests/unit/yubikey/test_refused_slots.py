# SPDX-License-Identifier: Apache-2.0
"""What provisioning refuses to overwrite, and which keys it cannot use; the key is then as it was."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.piv import (
    KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    PivSession,
)

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.management import Capability
from pivgate.errors import DeviceError
from pivgate.yubikey.algorithms import LeafAlgorithm
from pivgate.yubikey.plan import Touch

OLD = ["4.3.7", "5.2.7"]
NEW = ["5.4.3", "5.7.4"]
SLOT_9A = SLOT.AUTHENTICATION


def put_foreign_certificate(bench):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    certificate = bench.enrolment.authority.issue("mallory", key)
    bench.prepare(lambda piv: piv.put_certificate(SLOT_9A, certificate))
    return certificate


def test_a_foreign_certificate_is_not_touched(bench):
    put_foreign_certificate(bench)
    error = bench.refused(DeviceError, "CN=mallory")
    assert "--replace" in error.hint
    assert bench.enrolment.calls == []
    assert bench.asked == []


def test_a_foreign_certificate_is_replaced_on_demand(bench):
    foreign = put_foreign_certificate(bench)
    assert bench.provision(replace=True).certificate != foreign


def test_a_refusal_is_no_beginning(bench):
    put_foreign_certificate(bench)
    bench.refused(DeviceError, "not ours")
    bench.refused(DeviceError, "not ours")


def test_a_foreign_key_without_certificate_is_not_touched(bench):
    bench.prepare(lambda piv: piv.generate_key(SLOT_9A, KEY_TYPE.ECCP256, PIN_POLICY.ONCE))
    for _ in range(2):
        error = bench.refused(DeviceError, "key pair of unknown origin")
        assert "--replace" in error.hint
    assert bench.enrolment.begun is None


def test_a_foreign_key_without_certificate_is_replaced_on_demand(bench):
    bench.prepare(lambda piv: piv.generate_key(SLOT_9A, KEY_TYPE.ECCP256, PIN_POLICY.ONCE))
    foreign = bench.key.piv.state.keys[SLOT_9A]
    bench.provision(replace=True)
    assert bench.key.piv.state.keys[SLOT_9A] != foreign


@pytest.mark.parametrize("firmware", NEW)
def test_an_imported_key_is_not_touched(make_bench, firmware):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: piv.put_key(SLOT_9A, ec.generate_private_key(ec.SECP256R1())))
    bench.refused(DeviceError, "key pair of unknown origin")


@pytest.mark.parametrize("firmware", OLD)
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_an_imported_key_that_the_firmware_hides_is_not_touched(make_bench, firmware, curve):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: piv.put_key(SLOT_9A, ec.generate_private_key(curve)))
    imported = bench.key.piv.state.keys[SLOT_9A]
    for _ in range(2):
        with pytest.raises(DeviceError, match="not made in it"):
            bench.provision()
        assert bench.key.piv.state.keys[SLOT_9A] == imported
    bench.provision(replace=True)
    assert bench.key.piv.state.keys[SLOT_9A] != imported


@pytest.mark.parametrize("firmware", OLD)
def test_a_hidden_key_that_wants_a_touch_is_found_too(make_bench, firmware):
    bench = make_bench(firmware, touch=lambda: False)
    bench.prepare(lambda piv: piv.put_key(SLOT_9A, ec.generate_private_key(ec.SECP256R1()), 0, 2))
    with pytest.raises(DeviceError, match="not made in it"):
        bench.provision()


@pytest.mark.parametrize(
    "change",
    [{"algorithm": LeafAlgorithm.P384}, {"touch": Touch.CACHED}],
    ids=["other algorithm", "other touch policy"],
)
def test_a_pair_that_the_plan_would_not_have_made_is_unknown(bench, change):
    bench.enrolment.begun = True
    bench.prepare(lambda piv: piv.generate_key(SLOT_9A, KEY_TYPE.ECCP256, PIN_POLICY.ONCE))
    bench.refused(DeviceError, "unknown origin", **change)


def test_a_pair_with_another_pin_policy_is_unknown(bench):
    bench.enrolment.begun = True
    bench.prepare(lambda piv: piv.generate_key(SLOT_9A, KEY_TYPE.ECCP256, PIN_POLICY.NEVER))
    bench.refused(DeviceError, "unknown origin")


@pytest.mark.parametrize("firmware", NEW)
def test_an_imported_pair_is_never_taken_for_ours(make_bench, firmware):
    bench = make_bench(firmware)
    bench.enrolment.begun = True
    private_key = ec.generate_private_key(ec.SECP256R1())
    bench.prepare(lambda piv: piv.put_key(SLOT_9A, private_key, PIN_POLICY.ONCE, 1))
    bench.refused(DeviceError, "unknown origin")


def test_a_pair_other_than_the_certified_one_is_unknown(bench):
    bench.provision()
    with bench.session() as connection:
        piv = PivSession(connection)
        data = bench.key.piv.state
        piv.authenticate(data.management.key)
        piv.generate_key(SLOT_9A, KEY_TYPE.ECCP256, PIN_POLICY.ONCE)
    bench.refused(DeviceError, "unknown origin")


def test_something_that_is_no_certificate_is_not_touched(bench):
    bench.prepare(lambda piv: piv.put_object(OBJECT_ID.AUTHENTICATION, b"\x70\x03abc\x71\x01\x00"))
    bench.refused(DeviceError, "not a certificate")
    assert bench.provision(replace=True).changed


@pytest.mark.parametrize("firmware", ["4.3.7", "5.2.7", "5.4.3"])
def test_firmware_that_cannot_make_the_key(make_bench, firmware):
    bench = make_bench(firmware)
    error = bench.refused(DeviceError, "cannot make ed25519", algorithm=LeafAlgorithm.ED25519)
    assert "p384" in error.hint


def test_rsa_on_roca_firmware(make_bench):
    bench = make_bench(dataclasses.replace(FIRMWARE["4.3.7"], version=(4, 3, 4)))
    error = bench.refused(DeviceError, "ROCA", algorithm=LeafAlgorithm.RSA2048)
    assert "p384, p256" in error.hint
    assert bench.provision().changed


def test_firmware_without_attestation(make_bench):
    bench = make_bench(dataclasses.replace(FIRMWARE["4.3.7"], version=(4, 2, 8)))
    bench.refused(DeviceError, "too old")


@pytest.mark.parametrize("firmware", ["5.2.7", "5.4.3", "5.7.4"])
def test_piv_switched_off_and_locked(make_bench, firmware):
    bench = make_bench(firmware)
    state = bench.key.management.state
    bench.key.management.state = dataclasses.replace(
        state, usb_enabled=state.usb_enabled & ~Capability.PIV, lock_code=b"\1" * 16
    )
    error = bench.refused(DeviceError, "configuration code")
    assert "ykman config usb --enable PIV" in error.hint


def test_a_key_without_piv(make_bench):
    firmware = FIRMWARE["5.7.4"]
    bench = make_bench(dataclasses.replace(firmware, usb_supported=firmware.usb_supported & ~Capability.PIV))
    bench.refused(DeviceError, "has no PIV application")
