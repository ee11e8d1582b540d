# SPDX-License-Identifier: Apache-2.0
"""All encodings of points of small order are refused, computed here from the curve's equation."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pivgate.authority import ed25519_points
from pivgate.errors import RefusedError

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def square_root(value: int) -> int | None:
    root = pow(value, (P + 3) // 8, P)
    for candidate in (root, root * ROOT_OF_MINUS_1 % P):
        if candidate * candidate % P == value % P:
            return candidate
    return None


def doubled_ordinate(x_squared: int, y: int) -> int:
    return (y * y + x_squared) * pow(1 - D * x_squared * y * y, -1, P) % P


def ordinates_of_order_8() -> set[int]:
    """Solve for the points that double to y = 0, which has order 4.

    Doubling gives y' = (y^2 + x^2) / (1 - d x^2 y^2), so x^2 = -y^2, and with the curve's equation
    -x^2 + y^2 = 1 + d x^2 y^2 this is d y^4 + 2 y^2 - 1 = 0.
    """
    found = set()
    discriminant = square_root(1 + D)
    assert discriminant is not None
    for sign in (1, -1):
        root = square_root((-1 + sign * discriminant) * pow(D, -1, P))
        if root is not None and square_root(-root * root) is not None:
            found |= {root, P - root}
    return found


ORDINATES = {0, 1, P - 1} | ordinates_of_order_8()
ENCODINGS = [
    (value | sign << 255).to_bytes(32, "little")
    for y in sorted(ORDINATES)
    for value in (y, y + P)
    if value < 2**255
    for sign in (0, 1)
]


def test_the_points_of_order_8_are_what_they_are_called() -> None:
    found = ordinates_of_order_8()
    assert len(found) == 2
    for y in found:
        assert doubled_ordinate(-y * y, y) == 0


@pytest.mark.parametrize("encoded", ENCODINGS, ids=bytes.hex)
def test_small_order_is_refused_in_every_encoding(encoded: bytes) -> None:
    with pytest.raises(RefusedError, match="small order"):
        ed25519_points.check(encoded)


def test_sound_keys_pass() -> None:
    for _ in range(20):
        ed25519_points.check(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
