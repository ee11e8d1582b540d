# SPDX-License-Identifier: Apache-2.0
"""PIN and PUK: rules, tries, and a new PIN with the PUK."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yubikit.core import InvalidPinError
from yubikit.piv import PivSession

from pivgate.emulator.piv.references import Secret
from pivgate.errors import InputError, SecretError
from pivgate.yubikey.pins import (
    change_pin,
    change_puk,
    check_new_pin,
    check_new_puk,
    check_tries,
    reset_pin,
    verify_pin,
    wrong,
)

NEW_PIN = "neu+2026"


def fail(bench, times, attempt):
    for _ in range(times):
        with bench.session() as connection, pytest.raises(InvalidPinError):
            attempt(PivSession(connection))


def wrong_pin(piv):
    piv.verify_pin("00000000")


def wrong_puk(piv):
    piv.unblock_pin("00000000", "000000")


def test_the_puk_sets_a_new_pin_on_a_blocked_key(bench):
    bench.provision()
    fail(bench, 3, wrong_pin)
    reset_pin(bench.device, bench.new_puk, NEW_PIN)
    assert bench.secret(Secret.PIN) == NEW_PIN
    assert bench.tries() == (3, 3)


def test_a_wrong_puk_says_how_many_tries_are_left(bench):
    with pytest.raises(SecretError, match="Wrong PUK; 2 tries are left"):
        reset_pin(bench.device, "00000000", NEW_PIN)


@pytest.mark.parametrize("firmware", ["5.4.3", "5.7.4"])
def test_the_last_try_of_the_puk_is_used_only_on_demand(make_bench, firmware):
    bench = make_bench(firmware)
    fail(bench, 2, wrong_puk)
    with pytest.raises(SecretError, match="one try is left") as caught:
        reset_pin(bench.device, "12345678", NEW_PIN)
    assert "--use-last-try" in caught.value.hint
    assert "ykman piv reset" in caught.value.hint
    assert bench.tries()[1] == 1
    reset_pin(bench.device, "12345678", NEW_PIN, use_last_try=True)
    assert bench.secret(Secret.PIN) == NEW_PIN


def test_a_blocked_puk_leaves_only_a_reset(bench):
    fail(bench, 3, wrong_puk)
    with pytest.raises(SecretError, match="blocked") as caught:
        reset_pin(bench.device, "12345678", NEW_PIN)
    assert "ykman piv reset" in caught.value.hint


@pytest.mark.parametrize("pin", ["123456", "short", "much too long", "ohne\tTab"])
def test_a_new_pin_that_breaks_a_rule_spends_no_try(bench, pin):
    before = bench.snapshot()
    with pytest.raises(InputError):
        reset_pin(bench.device, "00000000", pin)
    assert bench.snapshot() == before


def test_a_new_pin_that_is_the_puk(bench):
    before = bench.snapshot()
    with pytest.raises(InputError, match="same as the PUK"):
        reset_pin(bench.device, "87654321", "87654321")
    assert bench.snapshot() == before


@pytest.mark.parametrize("puk", ["", "123456789"])
def test_what_cannot_be_the_puk_spends_no_try(bench, puk):
    before = bench.snapshot()
    with pytest.raises(SecretError, match="cannot be the PUK") as caught:
        reset_pin(bench.device, puk, NEW_PIN)
    assert "No try was spent" in caught.value.hint
    assert bench.snapshot() == before


@pytest.mark.parametrize("pin", ["", "123456789", "ÄÖÜäö"])
def test_what_cannot_be_the_pin_spends_no_try(bench, pin):
    before = bench.snapshot()
    with bench.session() as connection, pytest.raises(SecretError, match="cannot be the PIN"):
        verify_pin(PivSession(connection), pin)
    assert bench.snapshot() == before


def test_the_last_wrong_pin_says_the_way_out():
    error = wrong("PIN", 0)
    assert "blocked" in error.message
    assert "pivgate key reset-pin" in error.hint
    assert "ykman piv reset" in wrong("PUK", 0).hint
    assert "1 try is left" in wrong("PIN", 1).message


@pytest.mark.parametrize(
    ("tries", "use_last_try", "stops"),
    [
        (0, False, True),
        (0, True, True),
        (1, False, True),
        (1, True, False),
        (2, False, False),
        (None, False, False),
    ],
)
def test_when_no_try_is_made(tries, use_last_try, stops):
    if stops:
        with pytest.raises(SecretError):
            check_tries("PIN", tries, use_last_try=use_last_try)
    else:
        check_tries("PIN", tries, use_last_try=use_last_try)


@given(st.text(alphabet=[chr(code) for code in range(0x20, 0x7F)], min_size=6, max_size=8))
def test_anything_printable_of_the_right_length_may_be_a_pin(pin):
    if pin not in ("123456", "12345678"):
        check_new_pin(pin)
        check_new_puk(pin, "not that")


@given(st.text(max_size=12))
def test_any_text_is_judged(pin):
    printable = pin.isascii() and pin.isprintable()
    if printable and 6 <= len(pin) <= 8 and pin not in ("123456", "12345678"):
        check_new_pin(pin)
    else:
        with pytest.raises(InputError):
            check_new_pin(pin)


@pytest.fixture
def strict_bench(make_bench, monkeypatch):
    """A key that finds every new PIN and PUK too simple, as one with PIN complexity switched on may."""
    monkeypatch.setattr("pivgate.emulator.piv.pins._SHORTEST", 9)
    return make_bench("5.7.4")


def test_a_pin_that_the_key_finds_too_simple(strict_bench):
    with pytest.raises(SecretError, match="does not take this PIN: it is too simple") as caught:
        reset_pin(strict_bench.device, "12345678", NEW_PIN)
    assert "consecutive" in caught.value.hint
    with strict_bench.session() as connection, pytest.raises(SecretError, match="take this PIN"):
        change_pin(PivSession(connection), "123456", NEW_PIN)


def test_a_puk_that_the_key_finds_too_simple(strict_bench):
    with pytest.raises(SecretError, match="does not take this PUK"):
        strict_bench.provision()
    assert strict_bench.tries() == (3, 3)


@pytest.mark.parametrize(("change", "name"), [(change_pin, "PIN"), (change_puk, "PUK")])
def test_a_change_with_the_wrong_old_value(bench, change, name):
    with bench.session() as connection, pytest.raises(SecretError, match=f"Wrong {name}; 2 tries"):
        change(PivSession(connection), "00000000", NEW_PIN)


@pytest.mark.parametrize(("change", "name"), [(change_pin, "PIN"), (change_puk, "PUK")])
def test_a_change_of_something_blocked(bench, change, name):
    fail(bench, 3, wrong_pin if name == "PIN" else wrong_puk)
    with bench.session() as connection, pytest.raises(SecretError, match="blocked"):
        change(PivSession(connection), "00000000", NEW_PIN)
