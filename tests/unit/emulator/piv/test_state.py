# SPDX-License-Identifier: Apache-2.0
"""The stored state: to JSON and back without loss, and nothing damaged taken for a state."""

import copy
import json

import pytest

from pivgate.emulator.piv.state import dump, restore


@pytest.fixture
def document(terminal):
    terminal.authenticate()
    terminal.verify()
    terminal.send(0xFA, 5, 7)
    for slot, key_type in ((0x9A, 0x11), (0x9C, 0x14), (0x9D, 0x06), (0x9E, 0xE0), (0x82, 0xE1)):
        assert terminal.generate(slot, key_type, pin=1 + slot % 3, touch=1 + slot % 2) == 0x9000
    terminal.import_p256(0x95)
    terminal.put(0x5FC109, b"\x00\xff")
    terminal.set_management_key(0x0C, bytes(range(32)), touch=0xFD)
    terminal.change(0x80, b"123456", b"654321")
    terminal.verify(b"wrong!")
    return json.loads(json.dumps(dump(terminal.yubikey.piv.state)))


def test_a_dump_restores_to_the_same(document):
    assert dump(restore(document)) == document


def test_restored_key_behaves_as_before(terminal, new_terminal, document):
    other = new_terminal("5.7.4")
    other.yubikey.piv.state = restore(document)
    for reference in (0x80, 0x81, 0x9B, 0x9A, 0x9C, 0x9D, 0x9E, 0x82, 0x95, 0xF9):
        assert (other.metadata(reference), other.reply) == (terminal.metadata(reference), terminal.reply)
    assert other.verify(b"654321") == 0x9000
    assert other.authenticate(bytes(range(32)), 0x0C) == 0x9000
    assert other.get(0x5FC109) == 0x9000
    assert other.reply == b"\x53\x02\x00\xff"
    assert other.attest(0x9A) == 0x9000
    assert other.attest(0x95) == 0x6A82


def test_factory_state_restores_too(each):
    assert dump(restore(dump(each.yubikey.piv.state))) == dump(each.yubikey.piv.state)


def change(*path, to):
    def apply(document):
        *front, last = path
        for step in front:
            document = document[step]
        document[last] = to

    return apply


def drop(*path):
    def apply(document):
        *front, last = path
        for step in front:
            document = document[step]
        del document[last]

    return apply


DAMAGE = {
    "no secrets": drop("secrets"),
    "no PUK": drop("secrets", "puk"),
    "short PIN": change("secrets", "pin", "value", to="313233343536"),
    "PIN not hexadecimal": change("secrets", "pin", "value", to="zz"),
    "more tries left than there are": change("secrets", "pin", "left", to=6),
    "tries below zero": change("secrets", "pin", "left", to=-1),
    "no tries at all": lambda document: document["secrets"]["pin"].update(total=0, left=0),
    "too many tries": change("secrets", "puk", "total", to=256),
    "unknown management key": change("management_key", "type", to="DES"),
    "management key of another length": change("management_key", "key", to="00" * 24),
    "unknown touch policy": change("management_key", "touch_policy", to="SOMETIMES"),
    "a key where there is no slot": lambda document: document["keys"].update({"9b": document["keys"]["9a"]}),
    "a slot that is no number": lambda document: document["keys"].update({"PIV": document["keys"]["9a"]}),
    "a key that is none": change("keys", "9a", "private_key", to="3000"),
    "default PIN policy": change("keys", "9a", "pin_policy", to="DEFAULT"),
    "default touch policy": change("keys", "9a", "touch_policy", to="DEFAULT"),
    "unknown PIN policy": change("keys", "9a", "pin_policy", to="SOMETIMES"),
    "objects in a list": change("objects", to=[]),
    "an object that is not hexadecimal": change("objects", "5fc109", to="xx"),
    "a curve of another kind": change(
        "keys",
        "9a",
        "private_key",
        to="302e0201010420" + "00" * 31 + "01" + "a00706052b8104000a",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found(document, damage):
    damaged = copy.deepcopy(document)
    damage(damaged)
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        restore(damaged)
