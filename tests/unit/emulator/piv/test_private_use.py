# SPDX-License-Identifier: Apache-2.0
"""Signing, decrypting and agreeing: when the key is free, and what it then makes."""

import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pivgate.emulator import tlv

PIN, PUK = 0x80, 0x81
NEVER, ONCE, ALWAYS = 1, 2, 3
TOUCH_NEVER, TOUCH_ALWAYS, TOUCH_CACHED = 1, 2, 3
P256, P384, RSA1024, RSA2048, RSA3072, RSA4096, ED25519, X25519 = (
    *(0x11, 0x14),
    *(0x06, 0x07, 0x05, 0x16),
    *(0xE0, 0xE1),
)
GENERATOR = (ec.derive_private_key(1, ec.SECP256R1()).public_key()).public_bytes(
    Encoding.X962, PublicFormat.UncompressedPoint
)
CLOSED = 0x6982


def managed_key(terminal, **how):
    """Put a key in a slot, then forget everything that was proved on the way."""
    assert terminal.authenticate() == 0x9000
    assert terminal.import_p256(**how) == 0x9000
    terminal.power_cycle()


def uses(terminal, slot=0x9A):
    """Return what the key says to signing and to agreeing, each in its own state of the PIN."""
    return {terminal.sign(slot), terminal.agree(GENERATOR, slot)}


# PIN policies


def test_key_wants_the_pin_unless_told_otherwise(each):
    managed_key(each)
    assert uses(each) == {CLOSED}
    assert each.reply == b""
    each.verify(b"654321")
    assert uses(each) == {CLOSED}
    each.verify()
    assert uses(each) == {0x9000}
    assert uses(each) == {0x9000}


@pytest.mark.parametrize(
    ("slot", "policy", "effect"),
    [
        *((slot, 0, ONCE) for slot in (0x9A, 0x9D, 0x82, 0x95)),
        (0x9C, 0, ALWAYS),
        (0x9E, 0, NEVER),
        *((slot, policy, policy) for slot in (0x9A, 0x9C, 0x9E) for policy in (NEVER, ONCE, ALWAYS)),
    ],
)
def test_pin_policies(each, slot, policy, effect):
    managed_key(each, slot=slot, pin=policy)
    without = each.sign(slot)
    each.verify()
    after = [each.sign(slot), each.sign(slot)]
    assert (without, after) == {
        NEVER: (0x9000, [0x9000, 0x9000]),
        ONCE: (CLOSED, [0x9000, 0x9000]),
        ALWAYS: (CLOSED, [0x9000, CLOSED]),
    }[effect]


def test_policy_always_wants_the_pin_again_for_agreeing(terminal):
    managed_key(terminal, pin=ALWAYS)
    terminal.verify()
    assert terminal.agree(GENERATOR) == 0x9000
    assert terminal.agree(GENERATOR) == CLOSED
    assert terminal.sign() == CLOSED


@pytest.mark.parametrize(
    "between",
    [
        lambda terminal: terminal.get(0x7E),
        lambda terminal: terminal.query(),
        lambda terminal: terminal.send(0xFD),
        lambda terminal: terminal.raw("00 00 00 00"),
        lambda terminal: terminal.sign(0x9C),
        lambda terminal: terminal.change(PUK, b"12345678", b"12345678"),
        lambda terminal: terminal.change(PIN, b"123456", b"123456"),
        lambda terminal: terminal.verify(b"wrong!"),
    ],
    ids=[
        "get data",
        "query",
        "version",
        "unknown",
        "sign elsewhere",
        "change PUK",
        "change PIN",
        "wrong PIN",
    ],
)
def test_policy_always_wants_the_pin_immediately_before(terminal, between):
    managed_key(terminal, pin=ALWAYS)
    terminal.verify()
    between(terminal)
    assert terminal.sign() == CLOSED
    terminal.verify()
    assert terminal.sign() == 0x9000


def test_a_failed_use_takes_the_pin_of_policy_always(terminal):
    managed_key(terminal, pin=ALWAYS)
    terminal.verify()
    assert terminal.sign(data=bytes(33)) == 0x6A80
    assert terminal.sign() == CLOSED


@pytest.mark.parametrize(
    "end",
    [
        lambda terminal: terminal.power_cycle(),
        lambda terminal: (terminal.select_other(), terminal.select()),
        lambda terminal: terminal.raw("00 20 FF 80"),
        lambda terminal: terminal.verify(b"wrong!"),
        lambda terminal: terminal.change(PIN, b"wrong!", b"654321"),
    ],
    ids=["power off", "other application", "taken back", "wrong PIN", "wrong PIN to change it"],
)
@pytest.mark.parametrize("policy", [ONCE, ALWAYS])
def test_what_ends_a_verification_ends_the_use_of_keys(each, end, policy):
    managed_key(each, pin=policy)
    each.verify()
    end(each)
    assert each.sign() == CLOSED


@pytest.mark.parametrize("policy", [ONCE, ALWAYS])
def test_only_the_pin_frees_a_key(terminal, policy):
    managed_key(terminal, pin=policy)
    terminal.authenticate()
    assert terminal.sign() == CLOSED
    terminal.unblock()
    assert terminal.sign() == CLOSED
    terminal.change(PIN, b"123456", b"123456")
    assert terminal.sign() == CLOSED


def test_blocked_pin_closes_the_key_for_good(terminal):
    managed_key(terminal)
    terminal.verify()
    terminal.block_pin()
    terminal.verify()
    assert terminal.sign() == CLOSED


# Touch policies


@pytest.mark.parametrize(
    ("policy", "asked"), [(0, 0), (TOUCH_NEVER, 0), (TOUCH_ALWAYS, 4), (TOUCH_CACHED, 1)]
)
def test_touch_policies(each, policy, asked):
    managed_key(each, touch=policy)
    each.verify()
    assert uses(each) | uses(each) == {0x9000}
    assert each.finger.asked == asked


@pytest.mark.parametrize("policy", [TOUCH_ALWAYS, TOUCH_CACHED])
def test_no_touch_in_time_no_signature(each, policy):
    managed_key(each, touch=policy)
    each.verify()
    each.finger.willing = False
    assert uses(each) == {CLOSED}
    assert each.reply == b""
    assert each.finger.asked == 2
    each.finger.willing = True
    assert uses(each) == {0x9000}


def test_a_touch_is_good_for_fifteen_seconds_and_no_more(terminal):
    managed_key(terminal, touch=TOUCH_CACHED)
    terminal.verify()
    asked = []
    for seconds in (0, 15, 15.1, 14.9, 0.3):
        terminal.clock.now += seconds
        terminal.finger.willing = True
        assert terminal.sign() == 0x9000
        asked.append(terminal.finger.asked)
    assert asked == [1, 1, 2, 2, 3]


def test_a_refused_touch_is_not_remembered(terminal):
    managed_key(terminal, touch=TOUCH_CACHED)
    terminal.verify()
    terminal.finger.willing = False
    assert [terminal.sign(), terminal.sign()] == [CLOSED, CLOSED]
    assert terminal.finger.asked == 2


def test_a_touch_outlives_the_session_but_not_the_power(terminal):
    managed_key(terminal, touch=TOUCH_CACHED)
    terminal.verify()
    terminal.sign()
    terminal.select_other()
    terminal.select()
    terminal.verify()
    terminal.sign()
    assert terminal.finger.asked == 1
    terminal.power_cycle()
    terminal.verify()
    terminal.sign()
    assert terminal.finger.asked == 2


def test_no_touch_is_asked_for_without_pin_or_key(terminal):
    managed_key(terminal, touch=TOUCH_ALWAYS)
    assert terminal.sign() == CLOSED
    terminal.verify()
    assert terminal.sign(key_type=P384) == 0x6A80
    assert terminal.sign(0x9C) == 0x6A80
    assert terminal.finger.asked == 0


# Which key


@pytest.mark.parametrize("asked_for", [P384, RSA1024, RSA2048, RSA3072, RSA4096, ED25519, X25519])
def test_wrong_key_type_for_the_slot_is_refused(terminal, asked_for):
    managed_key(terminal, pin=NEVER)
    assert terminal.sign(key_type=asked_for) == 0x6A80
    assert terminal.agree(GENERATOR, key_type=asked_for) == 0x6A80
    assert terminal.sign(key_type=P256) == 0x9000


def test_empty_slot_is_refused(each):
    each.verify()
    for slot in (0x9A, 0x9C, 0x9D, 0x9E, 0x82, 0x95):
        assert uses(each, slot) == {0x6A80}


def test_attestation_key_signs_and_decrypts_nothing_for_anyone(each):
    each.verify()
    assert each.sign(0xF9, RSA2048, bytes(256)) == 0x6A86


# What it makes


@pytest.mark.parametrize("slot", [0x9A, 0x9C, 0x9D, 0x9E, *range(0x82, 0x96)])
def test_every_slot_signs(terminal, slot):
    terminal.authenticate()
    assert terminal.generate(slot, P256) == 0x9000
    public = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(), tlv.unwrap(0x86, tlv.unwrap(0x7F49, terminal.reply))
    )
    digest = os.urandom(32)
    terminal.verify()
    assert terminal.sign(slot, P256, digest) == 0x9000
    public.verify(terminal.result, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize(
    ("key_type", "curve", "hash_"),
    [(P256, ec.SECP256R1(), hashes.SHA256()), (P384, ec.SECP384R1(), hashes.SHA384())],
)
def test_ecdsa_takes_digests_up_to_the_size_of_the_key(each, key_type, curve, hash_):
    each.authenticate()
    each.generate(0x9A, key_type, pin=NEVER)
    public = ec.EllipticCurvePublicKey.from_encoded_point(
        curve, tlv.unwrap(0x86, tlv.unwrap(0x7F49, each.reply))
    )
    size = hash_.digest_size
    for length in (1, 20, size - 1, size):
        digest = os.urandom(length)
        assert each.sign(0x9A, key_type, digest) == 0x9000
        public.verify(each.result, digest.rjust(size, b"\0"), ec.ECDSA(Prehashed(hash_)))
    for length in (0, size + 1, 64):
        assert each.sign(0x9A, key_type, bytes(length)) == 0x6A80


def test_ed25519_signs_messages_of_any_length(terminal):
    terminal.authenticate()
    terminal.generate(0x9A, ED25519, pin=NEVER)
    public = ed25519.Ed25519PublicKey.from_public_bytes(tlv.unwrap(0x86, tlv.unwrap(0x7F49, terminal.reply)))
    for message in (b"", b"a", os.urandom(2000)):
        assert terminal.sign(0x9A, ED25519, message) == 0x9000
        public.verify(terminal.result, message)
    assert terminal.agree(bytes([9]) + bytes(31), 0x9A, ED25519) == 0x6A80


@pytest.mark.parametrize("key_type", [RSA1024, RSA2048])
def test_rsa_is_the_bare_operation(each, key_type):
    each.authenticate()
    each.generate(0x9A, key_type, pin=NEVER)
    fields = dict(tlv.parse(tlv.unwrap(0x7F49, each.reply)))
    n, e = (int.from_bytes(fields[tag], "big") for tag in (0x81, 0x82))
    size = n.bit_length() // 8
    public = rsa.RSAPublicNumbers(e, n).public_key()
    for block in (bytes(size), os.urandom(size - 1).rjust(size, b"\0"), (n - 1).to_bytes(size, "big")):
        assert each.sign(0x9A, key_type, block) == 0x9000
        assert len(each.result) == size
        assert pow(int.from_bytes(each.result, "big"), e, n) == int.from_bytes(block, "big")
    secret = public.encrypt(b"a secret", padding.PKCS1v15())
    assert each.sign(0x9A, key_type, secret) == 0x9000
    assert each.result.endswith(b"\0a secret")
    for bad in (b"", bytes(size - 1), bytes(size + 1), n.to_bytes(size, "big"), b"\xff" * size):
        assert each.sign(0x9A, key_type, bad) == 0x6A80
    assert each.agree(bytes(size), 0x9A, key_type) == 0x6A80


@pytest.mark.parametrize(("key_type", "curve"), [(P256, ec.SECP256R1()), (P384, ec.SECP384R1())])
def test_ecdh_agrees_with_the_other_side(each, key_type, curve):
    each.authenticate()
    each.generate(0x9D, key_type, pin=NEVER)
    point = tlv.unwrap(0x86, tlv.unwrap(0x7F49, each.reply))
    ours = ec.generate_private_key(curve)
    peer = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert each.agree(peer, 0x9D, key_type) == 0x9000
    card = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    assert each.result == ours.exchange(ec.ECDH(), card)


def test_ecdh_refuses_points_that_are_none(terminal):
    managed_key(terminal, pin=NEVER)
    compressed = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    off_curve = GENERATOR[:-1] + bytes([GENERATOR[-1] ^ 1])
    for peer in (
        *(b"", GENERATOR[:-1], GENERATOR + b"\0", off_curve, bytes(65), b"\x05" + GENERATOR[1:]),
        compressed.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
    ):
        assert terminal.agree(peer) == 0x6A80


def test_x25519_agrees_and_cannot_sign(terminal):
    terminal.authenticate()
    terminal.generate(0x9A, X25519, pin=NEVER)
    card = x25519.X25519PublicKey.from_public_bytes(tlv.unwrap(0x86, tlv.unwrap(0x7F49, terminal.reply)))
    ours = x25519.X25519PrivateKey.generate()
    peer = ours.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert terminal.agree(peer, 0x9A, X25519) == 0x9000
    assert terminal.result == ours.exchange(card)
    assert terminal.sign(0x9A, X25519, bytes(32)) == 0x6A80
    for bad in (b"", bytes(31), bytes(33), bytes(32)):
        assert terminal.agree(bad, 0x9A, X25519) == 0x6A80
