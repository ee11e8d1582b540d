# SPDX-License-Identifier: Apache-2.0
"""PIN, PUK and management key: wrong, blocked, unknown, or against the rules."""

import pytest
from ykman.piv import OBJECT_ID_PIVMAN_PROTECTED_DATA, PivmanData, derive_management_key, pivman_set_mgm_key
from yubikit.core import InvalidPinError, Tlv
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY,
    MANAGEMENT_KEY_TYPE,
    SLOT,
    PivSession,
)

from pivgate.emulator.piv.references import Secret
from pivgate.errors import DeviceError, InputError, SecretError

OLD = ["4.3.7", "5.2.7"]
NEW = ["5.4.3", "5.7.4"]
SLOT_9A = SLOT.AUTHENTICATION


@pytest.mark.parametrize(
    ("pin", "match"),
    [
        ("12345", "6 to 8"),
        ("123456789", "6 to 8"),
        ("123456", "factory"),
        ("12345678", "factory"),
        ("schön12", "ASCII"),
    ],
)
def test_a_new_pin_that_breaks_a_rule(bench, pin, match):
    bench.new_pin = pin
    bench.refused(InputError, match)


@pytest.mark.parametrize(
    ("puk", "match"),
    [("12345", "6 to 8"), ("12345678", "factory"), ("123456", "factory"), ("73-Luft", "same as the PIN")],
)
def test_a_new_puk_that_breaks_a_rule(bench, puk, match):
    bench.new_puk = puk
    bench.refused(InputError, match)


@pytest.mark.parametrize("firmware", NEW)
def test_a_new_puk_that_is_the_pin_set_before(make_bench, firmware):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: piv.change_pin("123456", bench.pin))
    bench.new_puk = bench.pin
    bench.refused(InputError, "same as the PIN")


def test_a_wrong_pin_says_how_many_tries_are_left(bench):
    bench.prepare(lambda piv: piv.change_pin("123456", "someones"))
    with pytest.raises(SecretError, match=r"Wrong PIN; \d tr(y is|ies are) left") as caught:
        bench.provision()
    assert str(bench.tries()[0]) in caught.value.message
    assert bench.key.piv.state.secrets[Secret.PIN].left >= 1


@pytest.mark.parametrize("firmware", NEW)
def test_tries_are_shown_before_the_pin_is_asked(make_bench, firmware):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: piv.change_pin("123456", bench.pin))
    spend(bench, 1)
    bench.provision()
    assert "PIN, 2 tries" in bench.asked
    assert "new PIN" not in bench.asked


def spend(bench, times):
    for _ in range(times):
        with bench.session() as connection, pytest.raises(InvalidPinError):
            PivSession(connection).verify_pin("00000000")


def test_the_last_try_is_not_used(bench):
    bench.prepare(lambda piv: piv.change_pin("123456", bench.pin))
    spend(bench, 2)
    before = bench.tries()
    for _ in range(3):
        with pytest.raises(SecretError, match="one try is left") as caught:
            bench.provision()
    assert "--use-last-try" in caught.value.hint
    assert bench.tries() == before
    assert bench.asked == []


def test_the_last_try_is_used_on_demand(bench):
    bench.prepare(lambda piv: piv.change_pin("123456", bench.pin))
    spend(bench, 2)
    assert bench.provision(use_last_try=True).changed
    assert bench.tries() == (3, 3)


@pytest.mark.parametrize("firmware", OLD)
def test_with_tries_missing_only_the_user_tries_pins(make_bench, firmware):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: piv.change_pin("123456", bench.pin))
    spend(bench, 1)
    bench.provision()
    assert bench.asked[0] == "PIN, 2 tries"
    assert bench.tries() == (3, 3)


@pytest.mark.parametrize("firmware", OLD)
def test_a_user_who_answers_the_factory_pin_gets_a_new_one(make_bench, firmware):
    bench = make_bench(firmware)
    spend(bench, 1)
    bench.pin = "123456"
    bench.provision()
    assert bench.secret(Secret.PIN) == bench.new_pin
    assert bench.secret(Secret.PUK) == bench.new_puk


def test_a_blocked_pin(bench):
    spend(bench, 3)
    with pytest.raises(SecretError, match="PIN is blocked") as caught:
        bench.provision()
    assert "pivgate key reset-pin" in caught.value.hint


def block_puk(bench):
    with bench.session() as connection:
        piv = PivSession(connection)
        for _ in range(3):
            with pytest.raises(InvalidPinError):
                piv.unblock_pin("00000000", "000000")


@pytest.mark.parametrize("firmware", NEW)
def test_a_blocked_puk(make_bench, firmware):
    bench = make_bench(firmware)
    block_puk(bench)
    with pytest.raises(SecretError, match="PUK is blocked") as caught:
        bench.provision()
    assert "ykman piv reset" in caught.value.hint


def test_a_puk_blocked_on_purpose(bench):
    block_puk(bench)
    data = PivmanData()
    data.puk_blocked = True
    bench.prepare(lambda piv: piv.put_object(0x5FFF00, data.get_bytes()))
    bench.provision()
    (event,) = [event for event in bench.events if event.name == "puk"]
    assert "on purpose" in event.detail
    assert bench.tries()[1] == 0


@pytest.mark.parametrize("firmware", OLD)
def test_a_puk_that_the_firmware_does_not_show_is_not_tried(make_bench, firmware):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: (piv.change_pin("123456", bench.pin), piv.change_puk("12345678", "someones")))
    result = bench.provision()
    assert bench.secret(Secret.PUK) == "someones"
    assert bench.tries() == (3, 3)
    assert "ykman piv access change-puk" in " ".join(result.advice)


def test_a_pin_and_puk_that_were_set_before_stay(make_bench):
    bench = make_bench("5.7.4")
    bench.prepare(lambda piv: (piv.change_pin("123456", bench.pin), piv.change_puk("12345678", "someones")))
    bench.provision()
    assert bench.secret(Secret.PUK) == "someones"
    assert bench.secret(Secret.PIN) == bench.pin
    assert bench.asked == ["PIN, 3 tries"]


def change_management_key(bench, key, **options):
    kind = MANAGEMENT_KEY_TYPE(bench.key.piv.state.management.key_type)
    bench.prepare(lambda piv: pivman_set_mgm_key(piv, key, kind, **options))


def test_an_unknown_management_key_is_asked_for(bench):
    change_management_key(bench, b"k" * 24)
    with pytest.raises(SecretError, match="management key") as caught:
        bench.provision()
    assert "ykman piv reset" in caught.value.hint
    assert "management key" in bench.asked
    bench.management_key = b"k" * 24
    assert bench.provision().changed
    assert bench.key.piv.state.management.key != b"k" * 24


@pytest.mark.parametrize("wrong", [b"w" * 24, b"w" * 16], ids=["wrong key", "wrong length"])
def test_a_wrong_management_key(bench, wrong):
    change_management_key(bench, b"k" * 24)
    bench.management_key = wrong
    with pytest.raises(SecretError, match="not the management key"):
        bench.provision()
    assert bench.tries() == (3, 3)


def test_a_management_key_stored_by_ykman_stays(bench):
    change_management_key(bench, b"k" * 24, store_on_device=True)
    bench.provision()
    assert bench.key.piv.state.management.key == b"k" * 24


@pytest.mark.parametrize("stored_too", [False, True])
def test_a_management_key_derived_from_the_pin_is_replaced(bench, stored_too):
    data = PivmanData()
    data.salt = b"s" * 16
    data.mgm_key_protected = stored_too
    derived = derive_management_key(bench.pin, data.salt)

    def derive(piv):
        piv.put_object(0x5FFF00, data.get_bytes())
        if stored_too:
            piv.put_object(OBJECT_ID_PIVMAN_PROTECTED_DATA, bytes(Tlv(0x88, Tlv(0x89, derived))))
        piv.set_management_key(MANAGEMENT_KEY_TYPE(bench.key.piv.state.management.key_type), derived)
        piv.change_pin("123456", bench.pin)

    bench.prepare(derive)
    bench.provision()
    assert bench.key.piv.state.management.key != derived
    with bench.session() as connection:
        left = PivmanData(PivSession(connection).get_object(0x5FFF00))
    assert left.salt is None
    assert left.has_stored_key


def test_a_note_that_the_management_key_is_stored_is_not_believed_of_the_factory_key(bench):
    data = PivmanData()
    data.mgm_key_protected = True
    bench.prepare(lambda piv: piv.put_object(0x5FFF00, data.get_bytes()))
    bench.provision()
    assert bench.key.piv.state.management.key != DEFAULT_MANAGEMENT_KEY


def test_what_ykman_noted_besides_is_kept(bench):
    noted = bytes(Tlv(0x80, Tlv(0x81, b"\x00") + Tlv(0x83, b"\x01\x02\x03\x04")))
    bench.prepare(lambda piv: piv.put_object(0x5FFF00, noted))
    bench.provision()
    with bench.session() as connection:
        raw = PivSession(connection).get_object(0x5FFF00)
    assert Tlv.parse_dict(Tlv.unpack(0x80, raw))[0x83] == b"\x01\x02\x03\x04"


def test_printed_information_of_somebody_else_is_not_touched(bench):
    printed = bytes(Tlv(0x01, b"Mallory") + Tlv(0x02, b"Department"))
    bench.prepare(lambda piv: piv.put_object(OBJECT_ID_PIVMAN_PROTECTED_DATA, printed))
    with pytest.raises(DeviceError, match="printed information"):
        bench.provision()
    assert bench.key.piv.state.objects[0x5FC109] == printed
    assert bench.key.piv.state.management.key == DEFAULT_MANAGEMENT_KEY
    bench.provision(replace=True)
    assert bench.key.piv.state.objects[0x5FC109] != printed
