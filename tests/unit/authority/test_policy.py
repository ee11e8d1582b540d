# SPDX-License-Identifier: Apache-2.0
"""Which keys get a certificate, by kind, by strength and by the firmware that is said to have made them."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa, x448, x25519

from pivgate.authority.policy import (
    NO_BROWSER_TAKES_ED25519,
    RSA_SIZES,
    Firmware,
    check_kind,
    check_public_key,
)
from pivgate.authority.request import Request
from pivgate.errors import RefusedError

RequestOf = Callable[[str], Request]


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa-2048"])
@pytest.mark.parametrize("firmware", [None, (5, 7, 4), (5, 4, 3), (4, 3, 5)])
def test_sound_keys_need_no_advice(request_of: RequestOf, kind: str, firmware: Firmware | None) -> None:
    assert check_public_key(request_of(kind).public_key, firmware) == ()


@pytest.mark.parametrize("size", RSA_SIZES)
def test_the_sizes_that_yubikeys_make(size: int) -> None:
    assert check_public_key(rsa.generate_private_key(65537, size).public_key(), (5, 7, 0)) == ()


def test_ed25519_comes_with_advice(request_of: RequestOf) -> None:
    advice = check_public_key(request_of("ed25519").public_key, (5, 7, 0))
    assert advice == (NO_BROWSER_TAKES_ED25519,)
    assert "p384" in advice[0].hint


@pytest.mark.parametrize("key", [x25519.X25519PrivateKey, x448.X448PrivateKey])
def test_keys_that_cannot_sign(key: type[x25519.X25519PrivateKey | x448.X448PrivateKey]) -> None:
    with pytest.raises(RefusedError, match="cannot sign") as caught:
        check_public_key(key.generate().public_key(), None)
    assert "p384" in caught.value.hint


def test_what_is_no_key_at_all() -> None:
    with pytest.raises(RefusedError, match="not known here"):
        check_kind("a text")


ROCA_RANGE = [(4, 2, 0), (4, 2, 7), (4, 3, 1), (4, 3, 4)]
AROUND_IT = [(4, 1, 9), (4, 3, 5), (4, 4, 0), (5, 1, 0)]


@pytest.mark.parametrize("firmware", ROCA_RANGE)
def test_rsa_made_by_flawed_firmware(request_of: RequestOf, firmware: Firmware) -> None:
    with pytest.raises(RefusedError, match="YSA-2017-01") as caught:
        check_public_key(request_of("rsa-2048").public_key, firmware)
    assert "p384" in caught.value.hint


@pytest.mark.parametrize("firmware", AROUND_IT)
def test_rsa_made_by_sound_firmware(request_of: RequestOf, firmware: Firmware) -> None:
    check_public_key(request_of("rsa-2048").public_key, firmware)


@pytest.mark.parametrize("firmware", ROCA_RANGE)
def test_elliptic_curves_of_flawed_firmware_are_sound(request_of: RequestOf, firmware: Firmware) -> None:
    check_public_key(request_of("p384").public_key, firmware)


def test_a_key_that_the_device_cannot_have_made(request_of: RequestOf) -> None:
    with pytest.raises(RefusedError, match=r"firmware 5\.4\.3 cannot have made an Ed25519 key"):
        check_public_key(request_of("ed25519").public_key, (5, 4, 3))
    with pytest.raises(RefusedError, match=r"firmware 3\.5\.0 cannot have made a P-384 key"):
        check_public_key(request_of("p384").public_key, (3, 5, 0))
    check_public_key(request_of("p256").public_key, (3, 5, 0))
    check_public_key(request_of("p384").public_key, (4, 0, 0))


@pytest.mark.parametrize("size", [3072, 4096])
def test_large_rsa_keys_are_only_made_since_5_7(size: int) -> None:
    public_key = rsa.generate_private_key(65537, size).public_key()
    with pytest.raises(RefusedError, match=rf"cannot have made an RSA key of {size} bits"):
        check_public_key(public_key, (5, 6, 9))
    check_public_key(public_key, None)
