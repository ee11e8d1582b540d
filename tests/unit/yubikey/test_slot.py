# SPDX-License-Identifier: Apache-2.0
"""What slot 9a holds, told by each firmware in its own way."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from yubikit.core.smartcard import ApduError
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY, PivSession

from pivgate.errors import DeviceError
from pivgate.yubikey.slot import holds_hidden_key, read_slot, same_key, spki

SLOT_9A = SLOT.AUTHENTICATION


def read(bench):
    with bench.session() as connection:
        return read_slot(PivSession(connection))


@pytest.mark.parametrize("key_type", [KEY_TYPE.ECCP256, KEY_TYPE.ECCP384, KEY_TYPE.RSA2048])
@pytest.mark.parametrize(
    ("pin_policy", "touch_policy"),
    [(PIN_POLICY.ONCE, TOUCH_POLICY.NEVER), (PIN_POLICY.NEVER, TOUCH_POLICY.CACHED)],
)
def test_a_key_made_in_it(bench, key_type, pin_policy, touch_policy):
    made = []
    bench.prepare(lambda piv: made.append(piv.generate_key(SLOT_9A, key_type, pin_policy, touch_policy)))
    key = read(bench).key
    assert spki(key.public_key) == spki(made[0])
    assert (key.generated, key.pin_policy, key.touch_policy) == (True, pin_policy, touch_policy)


def test_an_imported_key(bench):
    bench.prepare(lambda piv: piv.put_key(SLOT_9A, ec.generate_private_key(ec.SECP256R1())))
    key = read(bench).key
    if bench.key.firmware.metadata:
        assert not key.generated
    else:
        assert key is None


def test_a_key_that_cannot_sign_has_no_public_key_for_us(make_bench):
    bench = make_bench("5.7.4")
    bench.prepare(lambda piv: piv.generate_key(SLOT_9A, KEY_TYPE.X25519))
    assert read(bench).key.public_key is None
    bench.refused(DeviceError, "unknown origin")


@pytest.mark.parametrize("compress", [False, True])
def test_a_certificate_plain_or_compressed(bench, compress):
    certificate = bench.enrolment.authority.issue("x", ec.generate_private_key(ec.SECP256R1()).public_key())
    bench.prepare(lambda piv: piv.put_certificate(SLOT_9A, certificate, compress))
    assert read(bench).certificate == certificate


@pytest.mark.parametrize("data", ["7003616263710100", "70036162637101ff", "7005", "710100", "70020102710101"])
def test_something_else_in_the_place_of_the_certificate(bench, data):
    bench.prepare(lambda piv: piv.put_object(0x5FC105, bytes.fromhex(data)))
    contents = read(bench)
    assert contents.unreadable
    assert contents.certificate is None


@pytest.mark.parametrize("method", ["get_certificate", "get_slot_metadata"])
def test_a_slot_that_cannot_be_read_is_not_taken_for_empty(make_bench, monkeypatch, method):
    def broken(*_arguments):
        raise ApduError(b"", 0x6F00)

    bench = make_bench("5.7.4")
    monkeypatch.setattr(PivSession, method, broken)
    bench.refused(DeviceError, "6F00")


@pytest.mark.parametrize("firmware", ["4.3.7", "5.2.7"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - as somebody may have
    ],
    ids=["p256", "p384", "rsa2048", "rsa1024"],
)
def test_a_hidden_key_of_any_kind_is_found_by_trying(make_bench, firmware, make):
    bench = make_bench(firmware)
    bench.prepare(lambda piv: piv.put_key(SLOT_9A, make()))
    bench.prepare(lambda piv: check(piv, True))


def check(piv, expected):
    assert holds_hidden_key(piv) is expected


def test_an_empty_slot_hides_nothing(bench):
    bench.prepare(lambda piv: check(piv, False))


def test_same_key(bench):
    certificate = bench.provision().certificate
    key = read(bench).key
    other = bench.enrolment.authority.issue("x", ec.generate_private_key(ec.SECP256R1()).public_key())
    assert same_key(certificate, key)
    assert not same_key(other, key)
    assert not same_key(None, key)
    assert not same_key(certificate, None)
