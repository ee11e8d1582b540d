# SPDX-License-Identifier: Apache-2.0
"""Ed25519 public keys for which anybody can make signatures, without any private key."""

from pivgate.errors import RefusedError

_FIELD = 2**255 - 19

# The y coordinates of the eight points of small order on edwards25519 (RFC 8032, section 5.1): of order 1, 2
# and 4, then two of order 8. The x coordinate is a sign bit in the encoding and does not matter here.
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({1, _FIELD - 1, 0, _Y_OF_ORDER_8, _FIELD - _Y_OF_ORDER_8})


def check(encoded: bytes) -> None:
    """Accept an Ed25519 key that is worth a signature.

    With a key of small order the verification equation holds for signatures that anybody can compute, so a
    request's signature proves nothing.

    Args:
        encoded: The key's 32 octets.

    Raises:
        RefusedError: The key is a point of small order.
    """
    y = (int.from_bytes(encoded, "little") & (2**255 - 1)) % _FIELD
    if y in _SMALL_ORDER:
        raise RefusedError(
            "The Ed25519 key is refused: it is a point of small order, for which anybody can sign",
            "Make the key on the device, with its own random generator.",
        )
