# SPDX-License-Identifier: Apache-2.0
"""What no sequence of commands can do, and what every sequence must do."""

import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pivgate.emulator import tlv
from pivgate.emulator.piv.state import dump

PIN, PUK = 0x80, 0x81
SCALAR = 0x1234567
DIGEST = bytes(range(32))
SLOTS = st.sampled_from([0x9A, 0x9C, 0x9D, 0x9E, 0x82, 0x95, 0xF9])
INSTRUCTIONS = [
    0x20,
    0x24,
    0x2C,
    0x47,
    0x87,
    0xCB,
    0xDB,
    0xF6,
    0xF7,
    0xF8,
    0xF9,
    0xFA,
    0xFB,
    0xFD,
    0xFE,
    0xFF,
]
PARAMETERS = st.sampled_from(
    [
        0x00,
        0x03,
        0x07,
        0x0A,
        0x11,
        0x3F,
        0x80,
        0x81,
        0x82,
        0x95,
        0x96,
        0x9A,
        0x9B,
        0x9C,
        0x9E,
        0xE0,
        0xF9,
        0xFE,
        0xFF,
    ]
)
TAGS = st.sampled_from(
    [0x01, 0x05, 0x06, 0x07, 0x53, 0x5C, 0x7C, 0x80, 0x81, 0x82, 0x85, 0x9B, 0xAA, 0xAB, 0xAC]
)
BODIES = st.recursive(
    st.binary(max_size=40),
    lambda inner: st.lists(st.tuples(TAGS, inner), max_size=3).map(
        lambda fields: b"".join(tlv.build(tag, value) for tag, value in fields)
    ),
    max_leaves=5,
)
COMMANDS = st.tuples(st.sampled_from(INSTRUCTIONS), PARAMETERS, PARAMETERS, BODIES)


def machine(new_terminal, base):
    """Give a state machine its terminal, and return its test."""

    class Machine(base):
        def __init__(self) -> None:
            super().__init__()
            self.terminal = new_terminal("5.7.4")
            self.prepare()

    Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
    return Machine


class Thief(RuleBasedStateMachine):
    """Has the key and everything but what he must not have; remembers what the card has told him."""

    def prepare(self) -> None:
        """Set the scene."""
        self.heard = [bytes(16), b""]

    def listen(self) -> None:
        self.heard.append(self.terminal.reply[-16:])

    @rule(guess=st.binary(min_size=6, max_size=8))
    def guess_pin(self, guess):
        self.terminal.verify(guess if guess.rstrip(b"\xff") != b"7391482" else b"000000")

    @rule(puk=st.binary(min_size=8, max_size=8), new=st.sampled_from([b"111111", b""]))
    def guess_puk(self, puk, new):
        self.terminal.unblock(puk if puk != b"90210456" else b"00000000", new)

    @rule(secret=st.sampled_from([PIN, PUK]))
    def change_blindly(self, secret):
        self.terminal.change(secret, b"000000", b"111111")

    @rule()
    def begin_mutual(self):
        self.terminal.send(0x87, 0x0A, 0x9B, bytes.fromhex("7C028000"))
        self.listen()

    @rule()
    def begin_single(self):
        self.terminal.send(0x87, 0x0A, 0x9B, bytes.fromhex("7C028100"))
        self.listen()

    @rule(data=st.data())
    def answer_with_what_was_heard(self, data):
        self.terminal.answer(data.draw(st.sampled_from(self.heard)), 0x0A)
        self.listen()

    @rule(data=st.data())
    def answer_mutually_with_what_was_heard(self, data):
        witness, challenge = (data.draw(st.sampled_from(self.heard)) for _ in range(2))
        template = tlv.build(0x80, witness) + tlv.build(0x81, challenge)
        self.terminal.send(0x87, 0x0A, 0x9B, tlv.build(0x7C, template))
        self.listen()

    @rule(command=COMMANDS)
    def send_anything(self, command):
        # RESET would give the thief a new key; what it asks for is tried below.
        if command[0] != 0xFB:
            self.terminal.send(*command)

    @precondition(
        lambda self: any(secret.left for secret in self.terminal.yubikey.piv.state.secrets.values())
    )
    @rule()
    def reset_too_early(self):
        assert self.terminal.reset() == 0x6985

    @rule()
    def switch_power(self):
        self.terminal.power_cycle()

    @rule()
    def switch_applications(self):
        self.terminal.select_other()
        self.terminal.select()


class ThiefWithoutPin(Thief):
    """Knows the management key, and neither PIN nor PUK."""

    def prepare(self) -> None:
        super().prepare()
        self.public_key = ec.derive_private_key(SCALAR, ec.SECP256R1()).public_key()
        assert self.terminal.authenticate() == 0x9000
        assert self.terminal.import_p256(0x9A, SCALAR, pin=2) == 0x9000
        assert self.terminal.put(0x5FC109, b"protected") == 0x9000
        assert self.terminal.change(PIN, b"123456", b"7391482") == 0x9000
        assert self.terminal.change(PUK, b"12345678", b"90210456") == 0x9000
        self.terminal.power_cycle()

    @rule()
    def manage(self):
        self.terminal.authenticate()

    @rule(destination=SLOTS)
    def move(self, destination):
        self.terminal.send(0xF6, destination, 0x9A)

    @rule(slot=SLOTS)
    def replace_by_an_open_key(self, slot):
        self.terminal.import_p256(slot, 99, pin=1)

    @rule(pin=st.integers(1, 3))
    def set_retries(self, pin):
        assert self.terminal.send(0xFA, pin, 3) == 0x6982

    @rule(slot=SLOTS, exercise=st.booleans())
    def use(self, slot, exercise):
        if exercise:
            self.terminal.agree(b"\4" + bytes(64), slot)
            return
        if self.terminal.sign(slot, data=DIGEST) != 0x9000:
            return
        try:
            self.public_key.verify(self.terminal.result, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))
        except InvalidSignature:
            return
        raise AssertionError("the key signed without its PIN")

    @rule()
    def read_what_is_protected(self):
        assert self.terminal.get(0x5FC109) == 0x6982


class ThiefWithoutManagementKey(Thief):
    """Knows PIN and PUK, but not the management key."""

    def prepare(self) -> None:
        super().prepare()
        assert self.terminal.authenticate() == 0x9000
        assert self.terminal.import_p256(0x9A, SCALAR, pin=2) == 0x9000
        assert self.terminal.put(0x5FC102, b"chuid") == 0x9000
        assert self.terminal.set_management_key(0x0A, os.urandom(24)) == 0x9000
        self.terminal.power_cycle()
        self.managed = self.snapshot()

    def snapshot(self):
        document = dump(self.terminal.yubikey.piv.state)
        return document["management_key"], document["keys"], document["objects"]

    @rule()
    def verify(self):
        self.terminal.verify()

    @rule()
    def unblock(self):
        self.terminal.unblock()

    @rule()
    def manage_with_the_factory_key(self):
        assert self.terminal.authenticate() == 0x6982

    @rule(slot=SLOTS)
    def fill(self, slot):
        assert self.terminal.generate(slot) == 0x6982
        assert self.terminal.import_p256(slot) == 0x6982

    @rule(slot=SLOTS)
    def move(self, slot):
        self.terminal.send(0xF6, slot, 0x9A)
        self.terminal.send(0xF6, 0xFF, slot)

    @rule(value=st.binary(max_size=5))
    def put(self, value):
        assert self.terminal.put(0x5FC102, value) == 0x6982

    @rule()
    def set_key(self):
        assert self.terminal.set_management_key(0x0A, bytes(24)) == 0x6982

    @rule()
    def set_retries(self):
        assert self.terminal.send(0xFA, 9, 9) == 0x6982

    @invariant()
    def nothing_was_managed(self):
        assert self.snapshot() == self.managed


class SecretsModel(RuleBasedStateMachine):
    """PIN and PUK, told by a model of three lines a command."""

    GUESSES = st.sampled_from([b"123456", b"12345678", b"654321", b"abcdefgh"])

    def prepare(self) -> None:
        self.value = {PIN: b"123456", PUK: b"12345678"}
        self.left = {PIN: 3, PUK: 3}
        self.verified = False
        assert self.terminal.authenticate() == 0x9000
        assert self.terminal.import_p256(0x9A, SCALAR, pin=2) == 0x9000
        self.terminal.power_cycle()

    def expect(self, secret: int, guess: bytes) -> int:
        if self.left[secret] == 0:
            return 0x6983
        if guess == self.value[secret]:
            self.left[secret] = 3
            return 0x9000
        self.left[secret] -= 1
        if secret == PIN:
            self.verified = False
        return 0x63C0 | self.left[secret]

    @rule(guess=GUESSES)
    def verify(self, guess):
        expected = self.expect(PIN, guess)
        self.verified |= expected == 0x9000
        assert self.terminal.verify(guess) == expected

    @rule(secret=st.sampled_from([PIN, PUK]), guess=GUESSES, new=GUESSES)
    def change(self, secret, guess, new):
        expected = self.expect(secret, guess)
        if expected == 0x9000:
            self.value[secret] = new
        assert self.terminal.change(secret, guess, new) == expected

    @rule(guess=GUESSES, new=GUESSES)
    def unblock(self, guess, new):
        expected = self.expect(PUK, guess)
        if expected == 0x9000:
            self.value[PIN], self.left[PIN] = new, 3
        assert self.terminal.unblock(guess, new) == expected

    @rule()
    def power(self):
        self.verified = False
        self.terminal.power_cycle()

    @precondition(lambda self: self.left[PIN] or self.left[PUK])
    @rule()
    def reset(self):
        assert self.terminal.reset() == 0x6985

    @precondition(lambda self: not self.left[PIN] and not self.left[PUK])
    @rule()
    def reset_for_good(self):
        assert self.terminal.reset() == 0x9000
        self.prepare()

    @invariant()
    def the_card_knows_what_we_know(self):
        expected = 0x9000 if self.verified else 0x63C0 | self.left[PIN] if self.left[PIN] else 0x6983
        assert self.terminal.query() == expected
        assert self.terminal.sign() == (0x9000 if self.verified else 0x6982)
        assert self.terminal.metadata(PUK) == 0x9000
        assert self.terminal.reply[-1] == self.left[PUK]


def run(base, new_terminal):
    tested = machine(new_terminal, base)
    run_state_machine_as_test(tested, settings=tested.TestCase.settings)


def test_without_the_pin_no_sequence_of_commands_yields_a_signature(new_terminal):
    run(ThiefWithoutPin, new_terminal)


def test_without_the_management_key_no_sequence_of_commands_changes_keys_or_objects(new_terminal):
    run(ThiefWithoutManagementKey, new_terminal)


def test_tries_and_verification_are_as_the_model_says(new_terminal):
    run(SecretsModel, new_terminal)


@settings(max_examples=300, deadline=None)
@given(version=st.sampled_from(["4.3.7", "5.7.4"]), commands=st.lists(COMMANDS, min_size=1, max_size=6))
def test_the_applet_survives_any_command(new_terminal, version, commands):
    terminal = new_terminal(version)
    terminal.authenticate()
    terminal.verify()
    for command in commands:
        status = terminal.send(*command)
        assert status == 0x9000 or status >> 8 in (0x63, 0x67, 0x69, 0x6A, 0x6D)
        assert status == 0x9000 or terminal.reply == b""


@settings(deadline=None)
@given(command=COMMANDS)
def test_a_refused_command_changes_nothing_but_tries(new_terminal, command):
    terminal = new_terminal("5.7.4")
    terminal.authenticate()
    before = dump(terminal.yubikey.piv.state)
    if terminal.send(*command) != 0x9000:
        after = dump(terminal.yubikey.piv.state)
        for secret in after["secrets"].values():
            secret["left"] = 3
        assert after == before
