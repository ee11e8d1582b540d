# SPDX-License-Identifier: Apache-2.0
"""Public RSA keys that look sound and are not: they can be factored."""

from functools import cache
from math import gcd, isqrt, prod

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from pivgate.errors import RefusedError

_MAKE_ANOTHER = "Make another key on the device; p384 is the best choice."
_EXPONENT = 65537
_FERMAT_ROUNDS = 100

# The odd primes below 168: with 2 they are the 39 whose product M the flawed library builds its primes on
# for moduli of 512 bits; for larger moduli M has more factors, and these are among them.
_PRIMES = tuple(n for n in range(3, 168, 2) if all(n % d for d in range(3, isqrt(n) + 1, 2)))


def check(numbers: RSAPublicNumbers) -> None:
    """Accept an RSA key that shows none of the known weaknesses.

    Raises:
        RefusedError: It shows one; the message says which.
    """
    if numbers.e != _EXPONENT:
        raise RefusedError(
            f"An RSA key with the public exponent {numbers.e} is refused: every YubiKey uses {_EXPONENT}",
            _MAKE_ANOTHER,
        )
    if has_small_factor(numbers.n):
        raise RefusedError("The RSA key is refused: its modulus has a small factor", _MAKE_ANOTHER)
    if is_roca(numbers.n):
        raise RefusedError(
            "The RSA key is refused: it bears the mark of the ROCA flaw (CVE-2017-15361) and can be factored",
            "YubiKeys with firmware 4.2.0 to 4.3.4 make such keys. Make a P-384 key on the device instead.",
        )
    if has_close_primes(numbers.n):
        raise RefusedError("The RSA key is refused: its two primes are close together", _MAKE_ANOTHER)


@cache
def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(_EXPONENT, exponent, prime) for exponent in range(prime - 1))


def is_roca(modulus: int) -> bool:
    """Tell whether a modulus bears the fingerprint of the flawed library.

    Its primes have the form k * M + (65537^a mod M), with M the product of the first primes, so the modulus
    is a power of 65537 modulo each of these primes. A sound modulus is so with a probability below 2^-27.
    Source: Nemec, Sys, Svenda, Klinec, Matyas: "The Return of Coppersmith's Attack", ACM CCS 2017, section 2.
    """
    return all(modulus % prime in _powers(prime) for prime in _PRIMES)


def has_small_factor(modulus: int) -> bool:
    """Tell whether a modulus can be divided by 2 or by one of the primes below 168."""
    return gcd(modulus, 2 * prod(_PRIMES)) != 1


def has_close_primes(modulus: int) -> bool:
    """Tell whether Fermat's method factors a modulus within a hundred rounds (CVE-2022-26320)."""
    a = isqrt(modulus - 1) + 1
    for _ in range(_FERMAT_ROUNDS):
        square = a * a - modulus
        if isqrt(square) ** 2 == square:
            return True
        a += 1
    return False
