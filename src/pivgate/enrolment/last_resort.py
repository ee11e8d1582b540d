# SPDX-License-Identifier: Apache-2.0
"""Take a certificate out of the access tree with nothing but the tree, when the registry does not help."""

from pivgate.settings import Home

# As many digits as the registry asks for at least: fewer would fit many a name.
_DIGITS = 8


def admitted(home: Home, beginning: str) -> tuple[str, ...]:
    """Return the fingerprints in the access tree that begin so.

    Args:
        home: Whose tree it is.
        beginning: Eight hexadecimal digits or more; colons and case do not matter. Nothing begins with less.
    """
    digits = beginning.replace(":", "").lower()
    if len(digits) < _DIGITS:
        return ()
    return tuple(sorted({path.name for path in home.access.glob("*/*") if path.name.startswith(digits)}))
