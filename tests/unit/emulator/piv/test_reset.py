# SPDX-License-Identifier: Apache-2.0
"""RESET: not before both PIN and PUK are blocked, and then everything but the attestation key."""

import os

import pytest

from pivgate.emulator import tlv


def use_it(terminal) -> None:
    """Leave something of every kind behind."""
    terminal.authenticate()
    terminal.verify()
    terminal.send(0xFA, 5, 6)
    terminal.generate(0x9A)
    terminal.generate(0x95)
    terminal.put(0x5FC102, b"chuid")
    terminal.put(0x5FFF00, b"data")
    key_type = int(max(terminal.firmware.management_key_types))
    terminal.set_management_key(key_type, os.urandom(32 if key_type == 0x0C else 24))


def test_reset_is_refused_while_a_try_is_left(each):
    use_it(each)
    assert each.reset() == 0x6985
    each.block_pin()
    assert each.reset() == 0x6985, "only the PIN is blocked"
    each.unblock()
    each.block_puk()
    assert each.reset() == 0x6985, "only the PUK is blocked"
    assert each.get(0x5FC102) == 0x9000
    each.verify()
    assert each.sign() == 0x9000
    each.block_pin()
    assert each.reset() == 0x9000


def test_reset_returns_to_the_factory(each):
    use_it(each)
    each.block_pin()
    each.block_puk()
    assert each.reset() == 0x9000
    assert each.query() == 0x63C3
    assert each.sign() == 0x6A80
    assert each.attest() == 0x6A82
    assert each.get(0x5FC102) == 0x6A82
    assert each.get(0x5FFF00) == 0x6A82
    assert each.unblock() == 0x9000
    assert each.verify() == 0x9000
    assert each.sign(0x95) == 0x6A80
    assert each.authenticate() == 0x9000


def test_reset_ends_the_session(terminal):
    terminal.authenticate()
    terminal.block_pin()
    terminal.block_puk()
    assert terminal.reset() == 0x9000
    assert terminal.put(0x5FC102, b"x") == 0x6982


def test_reset_needs_no_key_and_no_pin(terminal):
    terminal.block_pin()
    terminal.block_puk()
    terminal.power_cycle()
    assert terminal.reset() == 0x9000


def test_attestation_survives(each):
    each.get(0x5FFF01)
    before = each.reply
    use_it(each)
    each.block_pin()
    each.block_puk()
    each.reset()
    each.get(0x5FFF01)
    assert each.reply == before
    each.authenticate()
    each.generate()
    assert each.attest() == 0x9000


@pytest.mark.parametrize(
    ("p1", "p2", "data", "expected"), [(1, 0, b"", 0x6A86), (0, 1, b"", 0x6A86), (0, 0, b"x", 0x6700)]
)
def test_reset_has_no_parameters(terminal, p1, p2, data, expected):
    terminal.block_pin()
    terminal.block_puk()
    assert terminal.send(0xFB, p1, p2, data) == expected
    assert terminal.verify() == 0x6983


def test_reset_restores_the_factory_type_of_the_management_key(new_terminal):
    terminal = new_terminal("5.4.3")
    use_it(terminal)
    terminal.block_pin()
    terminal.block_puk()
    terminal.reset()
    terminal.metadata(0x9B)
    assert dict(tlv.parse(terminal.reply))[1] == b"\x03"
