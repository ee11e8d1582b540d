# SPDX-License-Identifier: Apache-2.0
"""Provisioning from the factory state, judged by Yubico's own tools."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from ykman import piv as ykman_piv
from yubikit.core.smartcard import ApduError
from yubikit.management import CAPABILITY
from yubikit.piv import MANAGEMENT_KEY_TYPE, OBJECT_ID, SLOT, Chuid, PivSession

from pivgate.emulator.management import Capability
from pivgate.emulator.piv.references import PinPolicy, Secret, TouchPolicy
from pivgate.yubikey.algorithms import LeafAlgorithm
from pivgate.yubikey.plan import StepState, Touch
from pivgate.yubikey.provision import STEPS


def test_a_factory_key_ends_with_a_certificate_in_force(bench):
    result = bench.provision()
    assert result.changed
    assert result.certificate == bench.enrolment.active
    assert bench.enrolment.calls == ["begin", "certify", "activate"]
    assert bench.enrolment.begun == result.facts
    assert result.facts.serial == 12345678
    assert result.facts.firmware == bench.key.firmware.version
    assert bench.asked == ["new PIN", "new PUK"]
    assert (bench.secret(Secret.PIN), bench.secret(Secret.PUK)) == (bench.new_pin, bench.new_puk)
    assert bench.tries() == (3, 3)


def test_ykman_finds_nothing_to_complain_about(bench):
    result = bench.provision()
    with bench.session() as connection:
        piv = PivSession(connection)
        data = ykman_piv.get_pivman_data(piv)
        assert data.has_stored_key
        assert not data.has_derived_key
        info = ykman_piv.get_piv_info(piv)
        assert "Management key is stored on the YubiKey, protected by PIN." in info
        assert not [line for line in info if isinstance(line, str) and "WARNING" in line]
        assert ykman_piv.list_certificates(piv) == {SLOT.AUTHENTICATION: result.certificate}
        piv.verify_pin(bench.new_pin)
        assert ykman_piv.check_key(piv, SLOT.AUTHENTICATION, result.certificate.public_key())
        piv.authenticate(ykman_piv.get_pivman_protected_data(piv).key)
        piv.unblock_pin(bench.new_puk, "another1")


def test_the_management_key_is_the_best_the_firmware_knows(bench):
    bench.provision()
    with bench.session() as connection:
        kind = PivSession(connection).management_key_type
    expected = MANAGEMENT_KEY_TYPE.AES256 if bench.key.firmware.metadata else MANAGEMENT_KEY_TYPE.TDES
    assert kind == expected


def test_the_key_pair_demands_the_pin_once_and_no_touch(bench):
    bench.provision()
    pair = bench.key.piv.state.keys[SLOT.AUTHENTICATION]
    assert pair.generated
    assert (pair.pin_policy, pair.touch_policy) == (PinPolicy.ONCE, TouchPolicy.NEVER)


def test_touch_is_demanded_when_chosen_and_the_user_is_told(bench):
    bench.provision(touch=Touch.CACHED)
    assert bench.key.piv.state.keys[SLOT.AUTHENTICATION].touch_policy == TouchPolicy.CACHED
    told = [event.name for event in bench.events if "touch" in event.detail]
    assert told == ["certificate", "proof"]


def test_each_step_is_shown_when_it_starts_and_when_it_is_done(bench):
    bench.provision()
    names = [step.name for step in STEPS]
    finished = [event.name for event in bench.events if event.state is not StepState.STARTED]
    assert finished == names
    started = [event.name for event in bench.events if event.state is StepState.STARTED]
    assert started == [step.name for step in STEPS if step.act and step.name != "piv"]
    assert all(event.detail for event in bench.events if event.state is not StepState.STARTED)


def test_a_finished_key_is_left_as_it_is(bench):
    first = bench.provision()
    before = bench.snapshot()
    bench.enrolment.calls.clear()
    second = bench.provision()
    assert not second.changed
    assert second.certificate == first.certificate
    assert second.advice == first.advice
    assert bench.snapshot() == before
    assert bench.asked == []
    assert bench.enrolment.calls == []
    acting = {step.name for step in STEPS if step.act}
    assert {event.name for event in bench.events if event.state is StepState.SKIPPED} == acting


def test_a_finished_key_is_left_as_it_is_with_replace_too(bench):
    bench.provision()
    before = bench.snapshot()
    assert not bench.provision(replace=True).changed
    assert bench.snapshot() == before


@pytest.mark.parametrize(
    ("firmware", "algorithm", "kind"),
    [
        ("4.3.7", LeafAlgorithm.P384, ec.EllipticCurvePublicKey),
        ("4.3.7", LeafAlgorithm.RSA2048, rsa.RSAPublicKey),
        ("5.7.4", LeafAlgorithm.P384, ec.EllipticCurvePublicKey),
        ("5.7.4", LeafAlgorithm.RSA2048, rsa.RSAPublicKey),
        ("5.7.4", LeafAlgorithm.ED25519, ed25519.Ed25519PublicKey),
    ],
)
def test_every_kind_of_key_can_be_asked_for(make_bench, firmware, algorithm, kind):
    result = make_bench(firmware).provision(algorithm=algorithm)
    assert isinstance(result.certificate.public_key(), kind)


def test_the_result_says_what_is_wrong_with_old_firmware(bench):
    advice = " ".join(bench.provision().advice)
    assert ("YSA-2024-03" in advice) == (bench.key.firmware.version < (5, 7, 0))


def test_the_result_warns_of_ed25519(make_bench):
    (advice,) = make_bench("5.7.4").provision(algorithm=LeafAlgorithm.ED25519).advice
    assert "No browser" in advice


@pytest.mark.parametrize("firmware", ["5.2.7", "5.4.3", "5.7.4"])
def test_piv_is_switched_on_and_the_rest_stays_as_it_was(make_bench, firmware):
    bench = make_bench(firmware)
    state = bench.key.management.state
    without = state.usb_enabled & ~Capability.PIV & ~Capability.OTP
    bench.key.management.state = type(state)(without, state.nfc_enabled)
    bench.provision()
    assert bench.key.management.state.usb_enabled == without | Capability.PIV
    assert bench.events[1].name == "piv"
    assert bench.events[1].state is StepState.STARTED
    assert CAPABILITY.PIV == Capability.PIV


def test_a_certificate_for_a_reset_key_is_made_anew(bench):
    first = bench.provision()
    bench.key.piv.state.reset(bench.key.firmware)
    second = bench.provision()
    assert second.certificate != first.certificate
    assert bench.enrolment.active == second.certificate
    assert bench.tries() == (3, 3)


def test_a_certificate_that_has_ended_is_made_anew_for_the_same_key(bench):
    bench.provision()
    short = bench.enrolment.authority.issue("alice", bench.enrolment.issued[0].public_key(), days=0)
    bench.enrolment.issued = [short]
    bench.enrolment.active = short
    with bench.session() as connection:
        piv = PivSession(connection)
        piv.verify_pin(bench.new_pin)
        piv.authenticate(ykman_piv.get_pivman_protected_data(piv).key)
        piv.put_certificate(SLOT.AUTHENTICATION, short)
    later = short.not_valid_after_utc.replace(hour=20)
    result = bench.provision(now=lambda: later)
    assert result.certificate != short
    assert result.certificate.public_key() == short.public_key()


def test_a_new_certificate_gives_the_card_a_new_name(bench):
    bench.provision()
    first = _objects(bench)
    bench.key.piv.state.keys.pop(SLOT.AUTHENTICATION)
    bench.provision(replace=True)
    second = _objects(bench)
    assert Chuid.from_bytes(first[0]).guid != Chuid.from_bytes(second[0]).guid
    assert first[1] == second[1], "the capability container is only added where there is none"


def _objects(bench):
    with bench.session() as connection:
        piv = PivSession(connection)
        return piv.get_object(OBJECT_ID.CHUID), piv.get_object(OBJECT_ID.CAPABILITY)


def test_the_factory_pin_and_management_key_are_of_no_use_any_more(bench):
    bench.provision()
    with bench.session() as connection:
        piv = PivSession(connection)
        with pytest.raises(ValueError, match="Invalid PIN"):
            piv.verify_pin("123456")
        if len(bytes(24)) == piv.management_key_type.key_len:
            with pytest.raises(ApduError):
                piv.authenticate(bytes.fromhex("0102030405060708" * 3))
