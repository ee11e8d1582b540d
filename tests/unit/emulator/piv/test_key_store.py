# SPDX-License-Identifier: Apache-2.0
"""Slots: filled by whom, with what, and what is then known about the key in them."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pivgate.emulator import tlv

P256, P384, RSA1024, RSA2048, RSA3072, RSA4096, ED25519, X25519 = (
    *(0x11, 0x14),
    *(0x06, 0x07, 0x05, 0x16),
    *(0xE0, 0xE1),
)
NEWER = {RSA3072, RSA4096, ED25519, X25519}
SLOTS = [0x9A, 0x9C, 0x9D, 0x9E, *range(0x82, 0x96), 0xF9]
NO_SLOTS = [0x00, 0x04, 0x80, 0x81, 0x96, 0x99, 0x9B, 0x9F, 0xF8, 0xFA, 0xFF]


def has_key(terminal, slot: int) -> bool:
    return slot in terminal.yubikey.piv.state.keys


# Who may fill a slot


def test_generating_wants_the_management_key(each):
    assert each.generate() == 0x6982
    each.verify()
    assert each.generate() == 0x6982
    assert not has_key(each, 0x9A)
    each.authenticate()
    assert each.generate() == 0x9000
    assert has_key(each, 0x9A)


def test_importing_wants_the_management_key(each):
    assert each.import_p256() == 0x6982
    each.verify()
    assert each.import_p256() == 0x6982
    assert not has_key(each, 0x9A)
    each.authenticate()
    assert each.import_p256() == 0x9000
    assert has_key(each, 0x9A)


def test_moving_and_deleting_want_the_management_key(terminal):
    terminal.authenticate()
    terminal.import_p256()
    terminal.power_cycle()
    terminal.verify()
    assert terminal.send(0xF6, 0x82, 0x9A) == 0x6982
    assert terminal.send(0xF6, 0xFF, 0x9A) == 0x6982
    assert has_key(terminal, 0x9A)
    assert not has_key(terminal, 0x82)


# What fits


@pytest.mark.parametrize("slot", NO_SLOTS)
def test_no_key_goes_where_there_is_no_slot(terminal, slot):
    terminal.authenticate()
    assert terminal.generate(slot) == 0x6A86
    assert terminal.import_p256(slot) == 0x6A86


@pytest.mark.parametrize("slot", SLOTS)
def test_every_slot_takes_a_key(terminal, slot):
    terminal.authenticate()
    assert terminal.generate(slot) == 0x9000
    assert terminal.metadata(slot) == 0x9000
    assert dict(tlv.parse(terminal.reply))[0x03] == b"\x01"
    assert terminal.import_p256(slot) == 0x9000
    assert terminal.metadata(slot) == 0x9000
    assert dict(tlv.parse(terminal.reply))[0x03] == b"\x02"


@pytest.mark.parametrize("key_type", [P256, P384, RSA1024, ED25519, X25519])
def test_firmware_decides_which_keys_can_be_made(each, key_type):
    each.authenticate()
    known = key_type not in NEWER or each.firmware.version >= (5, 7, 0)
    assert each.generate(0x9A, key_type) == (0x9000 if known else 0x6A80)
    assert has_key(each, 0x9A) == known


@pytest.mark.parametrize("key_type", [RSA3072, RSA4096])
def test_long_rsa_keys_are_unknown_before_5_7(new_terminal, key_type):
    for version in ("4.3.7", "5.2.7", "5.4.3"):
        terminal = new_terminal(version)
        terminal.authenticate()
        assert terminal.generate(0x9A, key_type) == 0x6A80


def test_unknown_algorithm_is_refused(terminal):
    terminal.authenticate()
    for key_type in (0x00, 0x03, 0x08, 0x12, 0x15, 0xFF):
        assert terminal.generate(0x9A, key_type) == 0x6A80
        assert terminal.send(0xFE, key_type, 0x9A, tlv.build(0x06, bytes(31) + b"\1")) == 0x6A86


@pytest.mark.parametrize("policies", [{"pin": 4}, {"pin": 5}, {"pin": 6}, {"touch": 4}, {"pin": 255}])
def test_policies_that_the_key_cannot_keep_are_refused(each, policies):
    each.authenticate()
    assert each.generate(**policies) == 0x6A80
    assert each.import_p256(**policies) == 0x6A80
    assert not has_key(each, 0x9A)


# Keys from outside


def elements(key) -> tuple[int, bytes]:
    """Return algorithm and elements of a key, as IMPORT ASYMMETRIC wants them."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers, half = key.private_numbers(), key.key_size // 16
        values = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
        data = b"".join(tlv.build(tag, value.to_bytes(half, "big")) for tag, value in enumerate(values, 1))
        return {1024: RSA1024, 2048: RSA2048, 3072: RSA3072, 4096: RSA4096}[key.key_size], data
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = key.key_size // 8
        scalar = key.private_numbers().private_value.to_bytes(size, "big")
        return {256: P256, 384: P384}[key.key_size], tlv.build(0x06, scalar)
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return (
        (ED25519, tlv.build(0x07, raw))
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else (X25519, tlv.build(0x08, raw))
    )


KEYS = [
    rsa.generate_private_key(65537, 1024),  # noqa: S505 - the card takes it
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ed25519.Ed25519PrivateKey.generate(),
    x25519.X25519PrivateKey.generate(),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_imported_key_is_that_key(terminal, key):
    algorithm, data = elements(key)
    terminal.authenticate()
    assert terminal.send(0xFE, algorithm, 0x9A, data) == 0x9000
    stored = terminal.yubikey.piv.state.keys[0x9A].private_key
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert stored.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_elements_that_are_no_such_key_are_refused(terminal, key):
    algorithm, data = elements(key)
    fields = tlv.parse(data)
    others = [bytes(value) for _, value in fields]
    terminal.authenticate()
    bad = [
        b"",
        data[:-1],
        data + tlv.build(0x09, b"\1"),
        data + data[: len(tlv.build(*fields[0]))],
        *(b"".join(tlv.build(tag, value) for tag, value in fields if tag != gone) for gone, _ in fields),
        b"".join(tlv.build(tag, value[:-1]) for tag, value in fields),
        b"".join(tlv.build(tag, b"\0" + value) for tag, value in fields),
        b"".join(tlv.build(tag + 0x20, value) for tag, value in fields),
    ]
    if algorithm not in (ED25519, X25519):  # every 32 bytes are such a key
        bad += [b"".join(tlv.build(tag, bytes(len(value))) for tag, value in fields)]
        bad += [b"".join(tlv.build(tag, b"\xff" * len(value)) for tag, value in fields)]
    if len(fields) > 1:
        for position, (_, value) in enumerate(fields):
            changed = list(others)
            changed[position] = bytes([value[0] ^ 1]) + value[1:]
            bad.append(b"".join(tlv.build(tag, changed[i]) for i, (tag, _) in enumerate(fields)))
    for wrong in bad:
        assert terminal.send(0xFE, algorithm, 0x9A, wrong) == 0x6A80, wrong.hex()
    for another in {RSA1024, RSA2048, RSA3072, P256, P384, ED25519, X25519} - {algorithm}:
        assert terminal.send(0xFE, another, 0x9A, data) == 0x6A80
    assert not has_key(terminal, 0x9A)


def test_shorter_rsa_key_cannot_pass_for_a_longer_one(terminal):
    _, data = elements(KEYS[0])
    padded = b"".join(tlv.build(tag, value.rjust(128, b"\0")) for tag, value in tlv.parse(data))
    terminal.authenticate()
    assert terminal.send(0xFE, RSA2048, 0x9A, padded) == 0x6A80
    assert not has_key(terminal, 0x9A)


def test_import_takes_only_what_the_firmware_knows(new_terminal):
    for version in ("4.3.7", "5.2.7", "5.4.3"):
        terminal = new_terminal(version)
        terminal.authenticate()
        for key in KEYS[-2:]:
            algorithm, data = elements(key)
            assert terminal.send(0xFE, algorithm, 0x9A, data) == 0x6A80


def test_p256_scalar_zero_or_the_order_is_no_key(terminal):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    terminal.authenticate()
    assert terminal.import_p256(scalar=0) == 0x6A80
    assert terminal.import_p256(scalar=order) == 0x6A80
    assert terminal.import_p256(scalar=order - 1) == 0x9000


# Attestation


def test_generated_key_is_attested_and_an_imported_one_is_not(each):
    each.authenticate()
    assert each.attest() == 0x6A82
    each.import_p256()
    assert each.attest() == 0x6A82
    each.generate()
    each.power_cycle()
    assert each.attest() == 0x9000


@pytest.mark.parametrize("slot", [*NO_SLOTS, 0xF9])
def test_nothing_else_is_attested(terminal, slot):
    assert terminal.attest(slot) == 0x6A86


def test_key_without_attester_cannot_attest(terminal):
    terminal.authenticate()
    terminal.generate()
    terminal.put(0x5FFF01, b"not a certificate")
    assert terminal.attest() == 0x6985
    terminal.put(0x5FFF01, b"")
    assert terminal.attest() == 0x6985


@pytest.mark.parametrize("key_type", [ED25519, X25519, None])
def test_attestation_key_must_be_able_to_sign_certificates(terminal, key_type):
    terminal.authenticate()
    terminal.generate()
    if key_type is None:
        assert terminal.send(0xF6, 0xFF, 0xF9) == 0x9000
    else:
        terminal.generate(0xF9, key_type)
    assert terminal.attest() == 0x6985


# Moving and deleting


def test_moved_key_keeps_its_policies_and_origin(terminal):
    terminal.authenticate()
    terminal.generate(0x9A, P384, pin=3, touch=2)
    terminal.metadata(0x9A)
    before = terminal.reply
    assert terminal.send(0xF6, 0x82, 0x9A) == 0x9000
    assert terminal.metadata(0x9A) == 0x6A88
    assert terminal.metadata(0x82) == 0x9000
    assert terminal.reply == before
    assert terminal.attest(0x82) == 0x9000
    assert terminal.attest(0x9A) == 0x6A82


def test_move_does_not_overwrite(terminal):
    terminal.authenticate()
    terminal.import_p256(0x9A, 1)
    terminal.import_p256(0x82, 2)
    terminal.metadata(0x82)
    before = terminal.reply
    assert terminal.send(0xF6, 0x82, 0x9A) == 0x6A80
    assert terminal.send(0xF6, 0x9A, 0x9A) == 0x6A80
    terminal.metadata(0x82)
    assert terminal.reply == before
    assert has_key(terminal, 0x9A)


def test_nothing_is_moved_or_deleted_from_an_empty_slot(terminal):
    terminal.authenticate()
    assert terminal.send(0xF6, 0x82, 0x9A) == 0x6A88
    assert terminal.send(0xF6, 0xFF, 0x9A) == 0x6A88


def test_attestation_key_can_be_deleted_and_not_moved(terminal):
    terminal.authenticate()
    terminal.import_p256(0x9A)
    assert terminal.send(0xF6, 0x82, 0xF9) == 0x6A86
    assert terminal.send(0xF6, 0xF9, 0x9A) == 0x6A86
    assert terminal.send(0xF6, 0xFF, 0xF9) == 0x9000
    assert terminal.send(0xF6, 0xF9, 0x9A) == 0x6A86
    assert not has_key(terminal, 0xF9)
    assert has_key(terminal, 0x9A)


@pytest.mark.parametrize("slot", NO_SLOTS[:-1])
def test_move_knows_the_slots(terminal, slot):
    terminal.authenticate()
    terminal.import_p256(0x9A)
    assert terminal.send(0xF6, slot, 0x9A) == 0x6A86
    assert terminal.send(0xF6, 0x9A, slot) == 0x6A86
    assert terminal.send(0xF6, 0xFF, slot) == 0x6A86


def test_deleted_key_is_gone(terminal):
    terminal.authenticate()
    terminal.import_p256(0x9A, pin=1)
    assert terminal.sign() == 0x9000
    assert terminal.send(0xF6, 0xFF, 0x9A) == 0x9000
    assert terminal.sign() == 0x6A80
    assert terminal.metadata(0x9A) == 0x6A88


@pytest.mark.parametrize("version", ["4.3.7", "5.2.7", "5.4.3"])
def test_older_firmware_cannot_move(new_terminal, version):
    terminal = new_terminal(version)
    terminal.authenticate()
    terminal.import_p256()
    assert terminal.send(0xF6, 0x82, 0x9A) == 0x6D00
    assert terminal.send(0xF6, 0xFF, 0x9A) == 0x6D00
    assert has_key(terminal, 0x9A)
