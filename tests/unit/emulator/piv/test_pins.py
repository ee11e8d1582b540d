# SPDX-License-Identifier: Apache-2.0
"""PIN and PUK: what opens, what does not, and what a wrong guess costs."""

import dataclasses

import pytest

from pivgate.emulator.firmware import FIRMWARE

PIN, PUK = 0x80, 0x81


def test_right_pin_is_taken(each):
    assert each.verify() == 0x9000
    assert each.query() == 0x9000


@pytest.mark.parametrize(
    "guess", [b"123457", b"12345", b"1234567", b"123456\x00", b"", b"12345678", b"223456"]
)
def test_wrong_pin_costs_a_try(each, guess):
    assert each.verify(guess) == 0x63C2
    assert each.query() == 0x63C2


def test_wrong_pin_takes_back_the_verification(terminal):
    terminal.verify()
    assert terminal.verify(b"654321") == 0x63C2
    assert terminal.query() == 0x63C2


def test_right_pin_gives_all_tries_back(terminal):
    terminal.verify(b"654321")
    terminal.verify(b"654321")
    assert terminal.query() == 0x63C1
    assert terminal.verify() == 0x9000
    terminal.power_cycle()
    assert terminal.query() == 0x63C3


def test_tries_left_survive_without_power(terminal):
    terminal.verify(b"654321")
    terminal.power_cycle()
    assert terminal.query() == 0x63C2


def test_the_last_wrong_guess_blocks_and_then_the_right_pin_is_refused(each):
    assert [each.verify(b"654321") for _ in range(4)] == [0x63C2, 0x63C1, 0x63C0, 0x6983]
    assert each.verify() == 0x6983
    assert each.query() == 0x6983
    each.power_cycle()
    assert each.verify() == 0x6983


def test_a_blocked_pin_stays_blocked_by_changing_it(terminal):
    terminal.block_pin()
    assert terminal.change(PIN, b"123456", b"654321") == 0x6983
    assert terminal.verify(b"654321") == 0x6983


def test_a_verification_can_be_taken_back(terminal):
    terminal.verify()
    assert terminal.raw("00 20 FF 80") == 0x9000
    assert terminal.query() == 0x63C3


def test_power_off_and_another_application_take_the_verification_back(terminal):
    terminal.verify()
    terminal.power_cycle()
    assert terminal.query() == 0x63C3
    terminal.verify()
    terminal.select_other()
    terminal.select()
    assert terminal.query() == 0x63C3


def test_changed_pin_replaces_the_old_one(each):
    assert each.change(PIN, b"123456", b"77777777") == 0x9000
    assert each.verify(b"123456") == 0x63C2
    assert each.verify(b"77777777") == 0x9000


def test_changing_the_pin_verifies_nothing(terminal):
    terminal.change(PIN, b"123456", b"654321")
    assert terminal.query() == 0x63C3


def test_changing_the_pin_with_a_wrong_one_costs_a_try_and_the_verification(terminal):
    terminal.verify()
    assert terminal.change(PIN, b"111111", b"654321") == 0x63C2
    assert terminal.query() == 0x63C2
    assert terminal.verify(b"654321") == 0x63C1
    assert terminal.verify() == 0x9000


def test_changed_puk_replaces_the_old_one(each):
    assert each.change(PUK, b"12345678", b"87654321") == 0x9000
    assert each.unblock(b"12345678") == 0x63C2
    assert each.unblock(b"87654321") == 0x9000


def test_changing_the_puk_with_a_wrong_one_costs_its_tries_and_leaves_the_pin_alone(terminal):
    terminal.verify()
    assert [terminal.change(PUK, b"wrong!", b"87654321") for _ in range(4)] == [
        0x63C2,
        0x63C1,
        0x63C0,
        0x6983,
    ]
    assert terminal.change(PUK, b"12345678", b"87654321") == 0x6983
    assert terminal.query() == 0x9000
    assert terminal.unblock() == 0x6983


def test_puk_does_not_stand_for_the_pin_nor_the_pin_for_the_puk(terminal):
    assert terminal.verify(b"12345678") == 0x63C2
    assert terminal.unblock(b"123456") == 0x63C2
    assert terminal.change(PUK, b"123456", b"87654321") == 0x63C1


def test_puk_unblocks_the_pin(each):
    each.block_pin()
    assert each.unblock(new=b"654321") == 0x9000
    assert each.query() == 0x63C3
    assert each.verify(b"123456") == 0x63C2
    assert each.verify(b"654321") == 0x9000


def test_wrong_puk_leaves_the_pin_as_it_is(terminal):
    terminal.block_pin()
    assert terminal.unblock(b"87654321", b"654321") == 0x63C2
    assert terminal.verify(b"654321") == 0x6983
    assert terminal.verify(b"123456") == 0x6983


def test_right_puk_gives_its_own_tries_back(terminal):
    terminal.unblock(b"wrong!")
    terminal.unblock(b"wrong!")
    assert terminal.unblock() == 0x9000
    assert terminal.unblock(b"wrong!") == 0x63C2


def test_right_puk_after_block_is_refused(each):
    each.block_puk()
    assert each.unblock() == 0x6983
    each.power_cycle()
    assert each.unblock() == 0x6983


@pytest.mark.parametrize("secret", [PIN, PUK])
@pytest.mark.parametrize("new", [b"", b"12345", b"123\xff45", b"\xff123456", b"\xff\xff\xff\xff\xff1"])
def test_new_secret_must_have_six_to_eight_bytes_and_its_padding_behind(each, secret, new):
    present = b"123456" if secret == PIN else b"12345678"
    assert each.change(secret, present, new) == 0x6985
    assert each.change(secret, present, present) == 0x9000


@pytest.mark.parametrize("new", [b"123456", b"1234567", b"12345678", b"Pa-5w0rd"])
def test_new_secret_of_six_to_eight_characters_is_taken(each, new):
    assert each.change(PIN, b"123456", new) == 0x9000
    assert each.change(PUK, b"12345678", new) == 0x9000
    assert each.verify(new) == 0x9000


def test_a_bad_new_pin_is_refused_to_the_puk_too_and_changes_nothing(terminal):
    terminal.block_pin()
    assert terminal.unblock(new=b"12345") == 0x6985
    assert terminal.query() == 0x6983


def test_the_present_value_is_judged_before_the_new_one(terminal):
    """Else a guess could be tried for nothing by asking for a change that cannot be."""
    assert terminal.change(PIN, b"111111", b"") == 0x63C2
    assert terminal.unblock(b"11111111", b"") == 0x63C2


@pytest.mark.parametrize(("version", "expected"), [("4.3.7", 0x9000), ("5.4.3", 0x9000), ("5.7.4", 0x6985)])
def test_from_5_7_a_new_secret_is_ascii(new_terminal, version, expected):
    terminal = new_terminal(version)
    assert terminal.change(PUK, b"12345678", b"1234567\x80") == expected
    assert terminal.change(PIN, b"123456", b"123456\xfe") == expected
    assert terminal.change(PIN, b"123456" if expected != 0x9000 else b"123456\xfe", b"123456\x7f") == 0x9000


@pytest.mark.parametrize(
    ("version", "expected"), [((5, 6, 9), 0x9000), ((5, 7, 0), 0x6985), ((5, 7, 1), 0x6985)]
)
def test_the_rule_of_ascii_begins_with_5_7_0(new_terminal, version, expected):
    terminal = new_terminal(dataclasses.replace(FIRMWARE["5.4.3"], version=version))
    assert terminal.change(PIN, b"123456", b"123456\x80") == expected


# Numbers of tries


def test_set_retries_wants_management_key_and_pin(each):
    assert each.send(0xFA, 5, 6) == 0x6982
    each.verify()
    assert each.send(0xFA, 5, 6) == 0x6982
    each.power_cycle()
    each.authenticate()
    assert each.send(0xFA, 5, 6) == 0x6982
    each.verify()
    assert each.send(0xFA, 5, 6) == 0x9000


def test_set_retries_returns_pin_and_puk_to_the_factory_and_forgets_the_verification(terminal):
    terminal.change(PIN, b"123456", b"654321")
    terminal.change(PUK, b"12345678", b"87654321")
    terminal.authenticate()
    terminal.verify(b"654321")
    assert terminal.send(0xFA, 5, 6) == 0x9000
    assert terminal.query() == 0x63C5
    assert terminal.verify(b"654321") == 0x63C4
    assert terminal.verify() == 0x9000
    assert terminal.unblock(b"87654321") == 0x63C5
    assert terminal.unblock() == 0x9000


def test_new_pin_has_the_tries_that_were_set(terminal):
    terminal.authenticate()
    terminal.verify()
    terminal.send(0xFA, 2, 1)
    terminal.change(PIN, b"123456", b"654321")
    assert terminal.query() == 0x63C2
    assert terminal.unblock(b"wrong!") == 0x63C0
    assert terminal.unblock() == 0x6983


def test_more_than_fifteen_tries_show_as_fifteen(terminal):
    terminal.authenticate()
    terminal.verify()
    assert terminal.send(0xFA, 255, 16) == 0x9000
    assert terminal.query() == 0x63CF
    assert terminal.verify(b"wrong!") == 0x63CF
    assert terminal.unblock(b"wrong!") == 0x63CF
    assert terminal.unblock(b"wrong!") == 0x63CE


@pytest.mark.parametrize(("pin", "puk"), [(0, 3), (3, 0), (0, 0)])
def test_no_tries_at_all_cannot_be_set(terminal, pin, puk):
    terminal.authenticate()
    terminal.verify()
    assert terminal.send(0xFA, pin, puk) == 0x6A86
    assert terminal.query() == 0x9000
