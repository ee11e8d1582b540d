# SPDX-License-Identifier: Apache-2.0
"""Which firmware makes which key, and what its holder has to know."""

import pytest
from yubikit.piv import KEY_TYPE

from pivgate.errors import DeviceError, InputError
from pivgate.yubikey.algorithms import (
    LeafAlgorithm,
    advice,
    check_algorithm,
    key_type_name,
    leaf_algorithm,
    makeable,
)


def test_x25519_is_refused_with_the_reason_and_a_way_out():
    with pytest.raises(InputError, match="cannot sign") as caught:
        leaf_algorithm("X25519")
    assert "p384" in caught.value.hint
    assert "ed25519" in caught.value.hint


def test_an_unknown_algorithm_is_refused_with_the_choices():
    with pytest.raises(InputError, match="'dsa'") as caught:
        leaf_algorithm("dsa")
    assert "p384, p256, rsa2048" in caught.value.hint


@pytest.mark.parametrize("algorithm", LeafAlgorithm)
def test_every_algorithm_is_known_by_its_name_and_to_yubikit(algorithm):
    assert leaf_algorithm(str(algorithm).upper()) is algorithm
    assert key_type_name(algorithm) in KEY_TYPE.__members__


@pytest.mark.parametrize(
    ("firmware", "expected"),
    [
        ((4, 3, 0), "p384 p256"),
        ((4, 3, 4), "p384 p256"),
        ((4, 3, 5), "p384 p256 rsa2048"),
        ((4, 3, 7), "p384 p256 rsa2048"),
        ((5, 4, 3), "p384 p256 rsa2048"),
        ((5, 6, 9), "p384 p256 rsa2048"),
        ((5, 7, 0), "p384 p256 rsa2048 rsa3072 rsa4096 ed25519"),
    ],
)
def test_what_a_firmware_can_make(firmware, expected):
    assert " ".join(makeable(firmware)) == expected
    for algorithm in LeafAlgorithm:
        if algorithm in expected.split():
            check_algorithm(algorithm, firmware)
        else:
            with pytest.raises(DeviceError) as caught:
                check_algorithm(algorithm, firmware)
            assert ", ".join(expected.split()) in caught.value.hint


@pytest.mark.parametrize("firmware", [(3, 4, 9), (4, 2, 8)])
@pytest.mark.parametrize("algorithm", LeafAlgorithm)
def test_firmware_that_cannot_attest_is_too_old(firmware, algorithm):
    with pytest.raises(DeviceError, match="too old"):
        check_algorithm(algorithm, firmware)


@pytest.mark.parametrize("firmware", [(4, 2, 0), (4, 3, 4)])
def test_rsa_from_the_roca_range_is_never_makeable(firmware):
    assert LeafAlgorithm.RSA2048 not in makeable(firmware)


def test_a_roca_refusal_names_the_advisory():
    with pytest.raises(DeviceError, match="YSA-2017-01"):
        check_algorithm(LeafAlgorithm.RSA2048, (4, 3, 4))


@pytest.mark.parametrize(
    ("algorithm", "firmware", "expected"),
    [
        (LeafAlgorithm.P384, (5, 6, 9), ["YSA-2024-03"]),
        (LeafAlgorithm.P256, (4, 3, 7), ["YSA-2024-03"]),
        (LeafAlgorithm.P384, (5, 7, 0), []),
        (LeafAlgorithm.RSA2048, (5, 4, 3), []),
        (LeafAlgorithm.ED25519, (5, 7, 4), ["No browser"]),
    ],
)
def test_advice(algorithm, firmware, expected):
    texts = advice(algorithm, firmware)
    assert len(texts) == len(expected)
    for text, start in zip(texts, expected, strict=True):
        assert text.startswith(start)
