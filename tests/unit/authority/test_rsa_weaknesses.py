# SPDX-License-Identifier: Apache-2.0
"""The fingerprint of ROCA and its neighbours, on moduli made to have them and on moduli made not to."""

from math import isqrt, prod

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from hypothesis import given, settings
from hypothesis import strategies as st

from pivgate.authority.rsa_weaknesses import check, has_close_primes, has_small_factor, is_roca
from pivgate.errors import RefusedError

# The number of primes in M by the size of the modulus, as published (ACM CCS 2017, table 1).
PRIMES_IN_M = {512: 39, 1024: 71, 2048: 126, 4096: 225}


def first_primes(number: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < number:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def flawed_factor(m: int, bits: int, k: int, a: int) -> int:
    """Return k * M + (65537^a mod M). Whether it is prime makes no difference to the fingerprint."""
    return ((1 << (bits - 1)) // m + k) * m + pow(65537, a, m)


@pytest.mark.parametrize("size", PRIMES_IN_M)
@given(st.integers(1, 2**30), st.integers(1, 2**30), st.integers(1, 2**60), st.integers(1, 2**60))
@settings(max_examples=25)
def test_every_modulus_of_the_flawed_form_is_found(size: int, k: int, q: int, a: int, b: int) -> None:
    m = prod(first_primes(PRIMES_IN_M[size]))
    assert is_roca(flawed_factor(m, size // 2, k, a) * flawed_factor(m, size // 2, q, b))


@pytest.fixture(scope="module")
def sound_modulus() -> int:
    return rsa.generate_private_key(65537, 2048).public_key().public_numbers().n


def test_a_sound_modulus_is_not_accused(sound_modulus: int) -> None:
    assert not is_roca(sound_modulus)
    assert not has_small_factor(sound_modulus)
    assert not has_close_primes(sound_modulus)


def test_one_prime_of_the_flawed_form_is_not_enough() -> None:
    m = prod(first_primes(126))
    modulus = flawed_factor(m, 1024, 3, 5) * (2**1023 + 1155)
    assert not is_roca(modulus)


@pytest.mark.parametrize("factor", first_primes(39))
def test_each_small_factor_is_found(sound_modulus: int, factor: int) -> None:
    assert has_small_factor(sound_modulus * factor)


@given(st.integers(2**500, 2**501), st.integers(0, 2**200))
def test_two_numbers_close_together_are_found(p: int, distance: int) -> None:
    assert has_close_primes((p | 1) * ((p | 1) + 2 * distance))


def test_a_square_is_found() -> None:
    assert has_close_primes((2**521 - 1) ** 2)


def test_the_search_ends_after_a_hundred_rounds() -> None:
    q = 2**400 + 1
    for rounds, found in ((90, True), (110, False)):
        # Fermat's method needs about (p - q)^2 / (8 * sqrt(n)) rounds.
        p = q + 2 * isqrt(2 * rounds * q)
        assert has_close_primes(p * q) is found


@pytest.mark.parametrize("exponent", [1, 2, 3, 17, 65536, 65539, 2**32 + 1])
def test_only_the_exponent_of_yubikeys(sound_modulus: int, exponent: int) -> None:
    check(RSAPublicNumbers(65537, sound_modulus))
    with pytest.raises(RefusedError, match=f"exponent {exponent} "):
        check(RSAPublicNumbers(exponent, sound_modulus))
