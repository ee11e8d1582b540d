# SPDX-License-Identifier: Apache-2.0
"""The management key: both protocols, four algorithms, and every way not to know it."""

import os

import pytest

from pivgate.emulator import tlv

TDES, AES128, AES192, AES256 = 0x03, 0x08, 0x0A, 0x0C
LENGTHS = {TDES: 24, AES128: 16, AES192: 24, AES256: 32}
BLOCKS = {TDES: 8, AES128: 16, AES192: 16, AES256: 16}
CHUID = 0x5FC102


def managed(terminal) -> bool:
    """Whether the card now takes us for its manager: it lets us write an object, or refuses with 6982."""
    status = terminal.put(CHUID, b"\x01")
    assert status in (0x9000, 0x6982)
    return status == 0x9000


def witness_of(terminal) -> bytes:
    assert terminal.send(0x87, terminal.key_type, 0x9B, bytes.fromhex("7C028000")) == 0x9000
    return tlv.unwrap(0x80, tlv.unwrap(0x7C, terminal.reply))


def answer_witness(terminal, witness: bytes) -> int:
    template = tlv.build(0x80, witness) + tlv.build(0x81, bytes(BLOCKS[terminal.key_type]))
    return terminal.send(0x87, terminal.key_type, 0x9B, tlv.build(0x7C, template))


def test_factory_key_authenticates_mutually(each):
    assert not managed(each)
    assert each.authenticate() == 0x9000
    assert managed(each)


def test_factory_key_authenticates_singly(each):
    assert each.authenticate_single() == 0x9000
    assert managed(each)


@pytest.mark.parametrize("position", [0, 7, 8, 16, 23])
def test_wrong_key_of_the_right_type_is_refused(each, position):
    wrong = bytearray.fromhex("0102030405060708" * 3)
    wrong[position] ^= 0x10
    assert each.authenticate(bytes(wrong)) == 0x6982
    assert not managed(each)
    assert each.authenticate_single(bytes(wrong)) == 0x6982
    assert not managed(each)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 17, 32])
def test_wrong_answers_of_any_length_are_refused(each, length):
    for answer in (bytes(length), os.urandom(length)):
        witness_of(each)
        assert answer_witness(each, answer) == 0x6982
        assert each.send(0x87, each.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
        assert each.answer(answer) == 0x6982
        assert not managed(each)


def test_part_of_a_right_answer_is_refused(terminal):
    assert terminal.send(0x87, terminal.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
    challenge = tlv.unwrap(0x81, tlv.unwrap(0x7C, terminal.reply))
    right = terminal.encrypt(challenge)
    assert terminal.answer(right[:-1]) == 0x6982
    assert not managed(terminal)


def test_answer_without_a_question_is_refused(each):
    block = BLOCKS[each.key_type]
    assert each.answer(bytes(block)) == 0x6982
    assert each.answer(b"") == 0x6982
    assert answer_witness(each, bytes(block)) == 0x6982
    assert answer_witness(each, b"") == 0x6982
    assert not managed(each)


def test_an_answer_serves_once(terminal):
    assert terminal.send(0x87, terminal.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
    right = terminal.encrypt(tlv.unwrap(0x81, tlv.unwrap(0x7C, terminal.reply)))
    assert terminal.answer(right) == 0x9000
    terminal.select_other()
    terminal.select()
    assert terminal.answer(right) == 0x6982
    assert not managed(terminal)


def test_a_second_guess_needs_a_second_question(terminal):
    assert terminal.send(0x87, terminal.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
    right = terminal.encrypt(tlv.unwrap(0x81, tlv.unwrap(0x7C, terminal.reply)))
    assert terminal.answer(bytes(16)) == 0x6982
    assert terminal.answer(right) == 0x6982


def test_question_and_answer_stand_next_to_each_other(terminal):
    assert terminal.send(0x87, terminal.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
    right = terminal.encrypt(tlv.unwrap(0x81, tlv.unwrap(0x7C, terminal.reply)))
    terminal.send(0xFD)
    assert terminal.answer(right) == 0x6982


def test_the_witness_as_sent_does_not_answer_single_authentication(each):
    """The card itself sends the encryption of its witness: it proves nothing in the other protocol."""
    encrypted = witness_of(each)
    assert each.answer(encrypted) == 0x6982
    assert not managed(each)


def test_the_challenge_as_sent_does_not_answer_mutual_authentication(each):
    assert each.send(0x87, each.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
    challenge = tlv.unwrap(0x81, tlv.unwrap(0x7C, each.reply))
    assert answer_witness(each, challenge) == 0x6982
    assert each.send(0x87, each.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
    challenge = tlv.unwrap(0x81, tlv.unwrap(0x7C, each.reply))
    assert answer_witness(each, each.encrypt(challenge)) == 0x6982
    assert not managed(each)


def test_the_card_encrypts_no_challenge_before_the_host_has_proved_itself(terminal):
    """Else anyone could have a challenge of single authentication answered by the card itself."""
    challenge = tlv.build(0x81, os.urandom(16))
    for template in (tlv.build(0x82) + challenge, challenge + tlv.build(0x82), challenge):
        assert terminal.send(0x87, terminal.key_type, 0x9B, tlv.build(0x7C, template)) == 0x6A80
        assert terminal.reply == b""


def test_wrong_answer_takes_back_what_was_proved(terminal):
    terminal.authenticate()
    assert terminal.authenticate(bytes(24)) == 0x6982
    assert not managed(terminal)


def test_power_off_and_another_application_take_back_what_was_proved(terminal):
    terminal.authenticate()
    terminal.power_cycle()
    assert not managed(terminal)
    terminal.authenticate()
    terminal.select_other()
    terminal.select()
    assert not managed(terminal)


def test_a_question_does_not_outlive_power_or_the_application(terminal):
    for end in (terminal.power_cycle, lambda: (terminal.select_other(), terminal.select())):
        assert terminal.send(0x87, terminal.key_type, 0x9B, bytes.fromhex("7C028100")) == 0x9000
        right = terminal.encrypt(tlv.unwrap(0x81, tlv.unwrap(0x7C, terminal.reply)))
        end()
        assert terminal.answer(right) == 0x6982


def test_pin_does_not_manage_and_management_does_not_verify(terminal):
    terminal.verify()
    assert not managed(terminal)
    terminal.power_cycle()
    terminal.authenticate()
    assert terminal.query() == 0x63C3


def test_another_type_of_key_is_told_apart(each):
    for key_type in LENGTHS.keys() - {each.key_type}:
        for ask in ("7C028000", "7C028100"):
            assert each.send(0x87, key_type, 0x9B, bytes.fromhex(ask)) == 0x6A80
    each.send(0x87, each.key_type, 0x9B, bytes.fromhex("7C028100"))
    other = AES128 if each.key_type == TDES else TDES
    assert each.answer(bytes(16), other) == 0x6A80
    template = tlv.build(0x80, bytes(16)) + tlv.build(0x81, bytes(BLOCKS[other]))
    assert each.send(0x87, other, 0x9B, tlv.build(0x7C, template)) == 0x6A80


def test_aes_192_does_not_take_a_triple_des_key_of_the_same_length(terminal):
    """Firmware 5.7 has the same 24 bytes as factory key, and another algorithm."""
    assert terminal.authenticate(key_type=TDES) == 0x6A80
    assert terminal.authenticate(key_type=AES192) == 0x9000


def test_algorithm_zero_is_triple_des(new_terminal):
    terminal = new_terminal("5.4.3")
    assert terminal.raw("00 87 00 9B 04 7C 02 81 00 00") == 0x9000
    assert terminal.reply.hex().startswith("7c0a8108")


@pytest.mark.parametrize("key_type", LENGTHS)
def test_every_type_of_key_can_be_set_where_the_firmware_knows_it(each, key_type):
    key = os.urandom(LENGTHS[key_type])
    each.authenticate()
    if key_type not in each.firmware.management_key_types:
        assert each.set_management_key(key_type, key) == 0x6A80
        assert each.authenticate() == 0x9000
        return
    assert each.set_management_key(key_type, key) == 0x9000
    assert managed(each), "who sets a new key stays its manager"
    each.power_cycle()
    wrong = bytes([key[0] ^ 0x80]) + key[1:]
    for protocol in (each.authenticate, each.authenticate_single):
        assert protocol(wrong, key_type) == 0x6982
        assert not managed(each)
        assert protocol(key, key_type) == 0x9000
        assert managed(each)
        each.power_cycle()


def test_old_key_is_refused_after_a_new_one(terminal):
    terminal.authenticate()
    assert terminal.set_management_key(AES192, os.urandom(24)) == 0x9000
    terminal.power_cycle()
    assert terminal.authenticate() == 0x6982
    assert terminal.authenticate_single() == 0x6982


def test_setting_the_key_wants_the_present_one(each):
    key = os.urandom(24)
    assert each.set_management_key(each.key_type, key) == 0x6982
    each.verify()
    assert each.set_management_key(each.key_type, key) == 0x6982
    assert each.authenticate(key) == 0x6982
    assert each.authenticate() == 0x9000


@pytest.mark.parametrize("length", [0, 1, 8, 15, 17, 23, 25, 31, 33])
def test_key_of_a_wrong_length_is_refused(terminal, length):
    terminal.authenticate()
    for key_type in LENGTHS:
        assert terminal.set_management_key(key_type, bytes(length)) == 0x6A80
    assert terminal.authenticate() == 0x9000


# Touch


@pytest.mark.parametrize("protocol", ["authenticate", "authenticate_single"])
def test_touch_policy_always_wants_a_touch_for_every_authentication(terminal, protocol):
    key = os.urandom(24)
    terminal.authenticate()
    assert terminal.finger.asked == 0
    terminal.set_management_key(AES192, key, touch=0xFE)
    terminal.power_cycle()
    for count in (1, 2):
        assert getattr(terminal, protocol)(key) == 0x9000
        assert terminal.finger.asked == count
    terminal.finger.willing = False
    assert getattr(terminal, protocol)(key) == 0x6982
    assert not managed(terminal)


def test_touch_policy_cached_wants_one_in_fifteen_seconds(terminal):
    key = os.urandom(24)
    terminal.authenticate()
    terminal.set_management_key(AES192, key, touch=0xFD)
    for seconds, count in ((0, 1), (15, 1), (0.5, 2)):
        terminal.clock.now += seconds
        assert terminal.authenticate(key) == 0x9000
        assert terminal.finger.asked == count


def test_wrong_key_is_not_worth_a_touch(terminal):
    key = os.urandom(24)
    terminal.authenticate()
    terminal.set_management_key(AES192, key, touch=0xFE)
    assert terminal.authenticate(bytes(24)) == 0x6982
    assert terminal.finger.asked == 0
