# SPDX-License-Identifier: Apache-2.0
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.client.conftest import Bench
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from pivgate.client.key import CardKey
from pivgate.errors import DeviceError, RefusedError, SecretError
from pivgate.yubikey.session import open_piv


def sign(key: CardKey) -> None:
    public_key = key.certificate.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(key.sign(b"message", hashes.SHA256(), None), b"message", ec.ECDSA(hashes.SHA256()))


def test_the_pin_is_asked_for_once(bench: Bench) -> None:
    key = bench.key()
    assert bench.asked == []
    for _ in range(3):
        sign(key)
    assert bench.asked == [3]
    assert key.signatures == 3
    assert key.seconds > 0


def test_a_wrong_pin_is_not_tried_again(bench: Bench) -> None:
    key = bench.key("999999")
    with pytest.raises(SecretError, match="2 tries are left"):
        sign(key)
    with pytest.raises(SecretError, match="1 try is left"):
        sign(key)
    assert bench.asked == [3, 2]  # it was forgotten, and asked for anew
    with pytest.raises(SecretError, match="Only one try is left"):
        sign(key)
    assert bench.asked == [3, 2]
    assert key.signatures == 0


def test_no_pin_where_the_key_demands_none(bench: Bench) -> None:
    with bench.device.open() as connection:
        piv = open_piv(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        public_key = piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.NEVER)
        piv.put_certificate(SLOT.AUTHENTICATION, bench.authority.issue("alice", public_key))
    sign(bench.key())
    assert bench.asked == []


def test_a_touch_is_announced(bench: Bench) -> None:
    touches: list[bool] = []
    sign(bench.key(on_touch=lambda: touches.append(True)))
    assert touches == []
    with bench.device.open() as connection:
        piv = open_piv(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        public_key = piv.generate_key(
            SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE, TOUCH_POLICY.CACHED
        )
        piv.put_certificate(SLOT.AUTHENTICATION, bench.authority.issue("alice", public_key))
    sign(bench.key(on_touch=lambda: touches.append(True)))
    assert touches == [True]


def test_a_key_that_was_pulled_out(bench: Bench) -> None:
    key = bench.key()
    bench.device.yubikey.remove()
    with pytest.raises(DeviceError):
        sign(key)
    bench.device.yubikey.insert()
    sign(key)


def test_no_certificate_no_login(bench: Bench) -> None:
    with bench.device.open() as connection:
        piv = open_piv(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        piv.delete_certificate(SLOT.AUTHENTICATION)
    with pytest.raises(RefusedError, match="holds no certificate"):
        bench.key()
