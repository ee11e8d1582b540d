# SPDX-License-Identifier: Apache-2.0
"""Data objects: who writes, who reads, what fits."""

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from pivgate.emulator import tlv

CHUID, CCC, PRINTED, KEY_HISTORY = 0x5FC102, 0x5FC107, 0x5FC109, 0x5FC10C
PROTECTED = [0x5FC103, 0x5FC108, PRINTED, 0x5FC121]
OPEN = [
    0x5F0000,
    0x5FC101,
    CHUID,
    0x5FC105,
    0x5FC106,
    CCC,
    0x5FC10A,
    0x5FC10B,
    KEY_HISTORY,
    0x5FC10D,
    0x5FC120,
]
OPEN += [0x5FC122, 0x5FC123, 0x5FFF00, 0x5FFF10, 0x5FFFFF]


@pytest.mark.parametrize("object_id", OPEN + PROTECTED)
def test_writing_wants_the_management_key(each, object_id):
    assert each.put(object_id, b"\x01\x02") == 0x6982
    each.verify()
    assert each.put(object_id, b"\x01\x02") == 0x6982
    assert each.get(object_id) == 0x6A82
    each.authenticate()
    assert each.put(object_id, b"\x01\x02") == 0x9000
    assert each.get(object_id) == 0x9000
    assert each.reply == b"\x53\x02\x01\x02"


@pytest.mark.parametrize("object_id", PROTECTED)
def test_protected_objects_want_the_pin_and_do_not_even_say_if_they_exist(each, object_id):
    assert each.get(object_id) == 0x6982
    each.authenticate()
    each.put(object_id, b"secret")
    assert each.get(object_id) == 0x6982
    assert each.reply == b""
    each.verify(b"654321")
    assert each.get(object_id) == 0x6982
    each.verify()
    assert each.get(object_id) == 0x9000
    assert each.get(object_id) == 0x9000
    each.power_cycle()
    assert each.get(object_id) == 0x6982


@pytest.mark.parametrize("object_id", OPEN)
def test_other_objects_are_for_everyone(terminal, object_id):
    assert terminal.get(object_id) == 0x6A82
    terminal.authenticate()
    terminal.put(object_id, b"seen")
    terminal.power_cycle()
    assert terminal.get(object_id) == 0x9000


def test_writing_nothing_deletes(terminal):
    terminal.authenticate()
    terminal.put(CHUID, b"x")
    assert terminal.put(CHUID, b"") == 0x9000
    assert terminal.get(CHUID) == 0x6A82
    assert terminal.put(CHUID, b"") == 0x9000


def test_discovery_is_given_and_cannot_be_written(each):
    assert each.get(0x7E) == 0x9000
    assert each.reply.hex() == "7e124f0ba0000003080000100001005f2f024000"
    each.authenticate()
    assert each.put(0x7E, b"x") == 0x6A80
    assert each.get(0x7E) == 0x9000
    assert each.reply.hex().endswith("4000")


@pytest.mark.parametrize("object_id", [0x01, 0x7E, 0x7F61, 0x5EFFFF, 0x600000, 0xFFFFFF])
def test_there_are_no_objects_outside_the_range(terminal, object_id):
    terminal.authenticate()
    terminal.verify()
    assert terminal.put(object_id, b"x") == 0x6A80
    assert terminal.get(object_id) == (0x9000 if object_id == 0x7E else 0x6A82)


def test_factory_has_the_attestation_certificate_and_nothing_else(each):
    assert each.get(0x5FFF01) == 0x9000
    fields = dict(tlv.parse(tlv.unwrap(0x53, each.reply)))
    assert fields[0x71] == b"\0"
    assert x509.load_der_x509_certificate(fields[0x70]) == each.yubikey.attestation.certificate
    each.verify()
    assert {each.get(object_id) for object_id in OPEN + PROTECTED} == {0x6A82}


def test_certificate_of_3052_bytes_fits_and_a_longer_one_does_not(each):
    """Yubico, "Maximum certificate sizes"."""

    def wrapped(size: int) -> bytes:
        return tlv.build(0x70, bytes(size)) + tlv.build(0x71, b"\0") + tlv.build(0xFE)

    each.authenticate()
    name = bytes.fromhex("5C035FC105")
    fits, too_long = (name + tlv.build(0x53, wrapped(size)) for size in (3052, 3055))
    assert send_chained(each, fits) == 0x9000
    assert each.get(0x5FC105) == 0x9000
    assert each.reply == tlv.build(0x53, wrapped(3052))
    each.authenticate()
    assert send_chained(each, too_long) == 0x6700
    assert each.get(0x5FC105) == 0x9000
    assert each.reply == tlv.build(0x53, wrapped(3052))


def send_chained(terminal, data: bytes) -> int:
    while len(data) > 255:
        assert terminal.raw(bytes((0x10, 0xDB, 0x3F, 0xFF, 255)) + data[:255]) in (0x9000, 0x6700)
        data = data[255:]
    return terminal.raw(bytes((0x00, 0xDB, 0x3F, 0xFF, len(data))) + data)


def test_storage_is_limited_and_an_object_may_be_replaced_in_a_full_one(terminal):
    terminal.authenticate()
    size, used = 3000, sum(map(len, terminal.yubikey.piv.state.objects.values()))
    many = (51_200 - used) // size
    for number in range(many):
        assert terminal.put(0x5F0000 + number, bytes(size)) == 0x9000
    rest = 51_200 - used - many * size
    assert terminal.put(0x5F1000, bytes(rest + 1)) == 0x6A84
    assert terminal.get(0x5F1000) == 0x6A82
    assert terminal.put(0x5F1000, bytes(rest)) == 0x9000
    assert terminal.put(0x5F1001, b"\1") == 0x6A84
    assert terminal.put(0x5F0000, b"\1" * size) == 0x9000
    assert terminal.put(0x5F0000, bytes(size + 1)) == 0x6A84


@pytest.mark.parametrize(
    "data",
    [
        "",
        "5C",
        "5C00 5300",
        "5C035FC102",
        "5302ABCD",
        "5300 5C035FC102",
        "5C035FC102 5300 5300",
        "5C035FC102 5300 FE00",
        "5C045FC10200 5300",
        "5C035FC102 53025A",
        "5C035FC102 530000",
        "7E00",
    ],
)
def test_malformed_put_is_refused(terminal, data):
    terminal.authenticate()
    assert terminal.send(0xDB, 0x3F, 0xFF, bytes.fromhex(data)) == 0x6A80
    assert terminal.get(CHUID) == 0x6A82


@pytest.mark.parametrize(
    "data", ["", "5C", "5C00", "5C045FC10200", "5300", "5C035FC102 5300", "5C035FC10200"]
)
def test_malformed_get_is_refused(terminal, data):
    assert terminal.send(0xCB, 0x3F, 0xFF, bytes.fromhex(data)) == 0x6A80


@settings(deadline=None)
@given(value=st.binary(min_size=1, max_size=2500), object_id=st.integers(0x5F0000, 0x5FFFFF))
def test_what_was_written_is_read(new_terminal, value, object_id):
    terminal = new_terminal("5.7.4")
    terminal.authenticate()
    terminal.verify()
    assert terminal.put(object_id, value) == 0x9000
    terminal.power_cycle()
    terminal.verify()
    assert terminal.get(object_id) == 0x9000
    assert terminal.reply == tlv.build(0x53, value)
