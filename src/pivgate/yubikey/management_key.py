# SPDX-License-Identifier: Apache-2.0
"""The management key: whoever has it may write keys and certificates.

It ends up random and stored in the YubiKey itself, readable only after the PIN, so that the holder has one
secret to remember. The form is that of Yubico's own tools (objects 5FFF00 and 5FC109), which go on working.
Trying a management key spends nothing: it has no counter.
"""

from collections.abc import Callable
from enum import StrEnum

from ykman.piv import (
    OBJECT_ID_PIVMAN_DATA,
    OBJECT_ID_PIVMAN_PROTECTED_DATA,
    PivmanData,
    PivmanProtectedData,
    derive_management_key,
    get_pivman_data,
    get_pivman_protected_data,
)
from yubikit.core import NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, MANAGEMENT_KEY_TYPE, PivSession

from pivgate.errors import DeviceError, SecretError

_AES_SINCE = (5, 4, 2)


class Source(StrEnum):
    """Where the management key in force came from."""

    FACTORY = "factory"
    STORED = "stored on the key"
    DERIVED = "derived from the PIN"
    GIVEN = "given"


def best_type(firmware: tuple[int, int, int]) -> MANAGEMENT_KEY_TYPE:
    """Return the strongest type that a firmware can be set to; what is in force is read, not guessed."""
    return MANAGEMENT_KEY_TYPE.AES256 if firmware >= _AES_SINCE else MANAGEMENT_KEY_TYPE.TDES


def read_pivman(piv: PivSession) -> PivmanData:
    """Read the public part of what Yubico's tools note on a key."""
    data = get_pivman_data(piv)
    if isinstance(data.pin_timestamp, tuple):
        # ykman 5.9 keeps the unpacked tuple and then cannot write it back.
        data.pin_timestamp = data.pin_timestamp[0]
    return data


def is_factory(piv: PivSession) -> bool:
    """Tell whether the factory's management key is in force: asked of metadata, else by trying it."""
    try:
        return piv.get_management_key_metadata().default_value
    except NotSupportedError:
        return _opens(piv, DEFAULT_MANAGEMENT_KEY)


def is_protected(piv: PivSession) -> bool:
    """Tell whether a management key of its own is stored on the key, protected by the PIN."""
    pivman = read_pivman(piv)
    return pivman.has_stored_key and not pivman.has_derived_key and not is_factory(piv)


def authenticate(
    piv: PivSession, *, verify_pin: Callable[[], str], ask: Callable[[], bytes | None]
) -> Source:
    """Authenticate with the management key, wherever it is.

    Args:
        piv: An open session.
        verify_pin: Verifies the PIN and returns it; called only when the factory's key is not in force.
        ask: Asks for the management key, the last resort; None means that nobody knows it.

    Returns:
        Which one it was.

    Raises:
        SecretError: None of them opens.
    """
    if _opens(piv, DEFAULT_MANAGEMENT_KEY):
        return Source.FACTORY
    pin = verify_pin()
    # One that is derived and stored as well is as weak as the PIN: it is told first, and replaced.
    salt = read_pivman(piv).salt
    if salt is not None and _opens(piv, derive_management_key(pin, salt)):
        return Source.DERIVED
    stored = _protected_data(piv, replace=True).key
    if stored is not None and _opens(piv, stored):
        return Source.STORED
    given = ask()
    if given is None:
        raise SecretError(
            "The management key of this YubiKey was changed and is not stored on it",
            f"Give it when asked, in hexadecimal ({piv.management_key_type.name}). If nobody knows it, "
            "reset PIV, which deletes all its keys: `ykman piv reset`.",
        )
    if not _opens(piv, given):
        raise SecretError(
            "That is not the management key of this YubiKey",
            f"It is a {piv.management_key_type.name} key of {piv.management_key_type.key_len} bytes. "
            "Run the same command again; there is no limit of tries.",
        )
    return Source.GIVEN


def _opens(piv: PivSession, key: bytes) -> bool:
    if len(key) != piv.management_key_type.key_len:
        return False
    try:
        piv.authenticate(key)
    except ApduError as error:
        if error.sw in (SW.SECURITY_CONDITION_NOT_SATISFIED, SW.INCORRECT_PARAMETERS):
            return False
        raise
    return True


def _protected_data(piv: PivSession, *, replace: bool) -> PivmanProtectedData:
    try:
        return get_pivman_protected_data(piv)
    except ValueError as error:
        if replace:
            return PivmanProtectedData()
        raise DeviceError(
            "The place where the management key is stored holds something else: printed information (5FC109)",
            "If it is not needed any more, run the same command again with --replace.",
        ) from error


def protect(
    piv: PivSession,
    source: Source,
    firmware: tuple[int, int, int],
    randomness: Callable[[int], bytes],
    *,
    replace: bool,
) -> None:
    """Put a random management key in force and store it on the YubiKey, protected by the PIN.

    The PIN must have been verified and the management key in force given. The new key is stored before it is
    set: wherever this is interrupted, either the old one is still in force or the stored one is.

    Args:
        piv: An open session.
        source: Which management key was in force.
        firmware: Decides what kinds it knows.
        randomness: Makes that many random bytes.
        replace: Whether something else in the place of the stored key may be overwritten.

    Raises:
        DeviceError: Something else is in the place of the stored key.
    """
    if source is not Source.STORED:
        kind = best_type(firmware)
        protected = _protected_data(piv, replace=replace)
        protected.key = randomness(kind.key_len)
        piv.put_object(OBJECT_ID_PIVMAN_PROTECTED_DATA, protected.get_bytes())
        piv.set_management_key(kind, protected.key)
    pivman = read_pivman(piv)
    pivman.mgm_key_protected = True
    pivman.salt = None
    piv.put_object(OBJECT_ID_PIVMAN_DATA, pivman.get_bytes())
