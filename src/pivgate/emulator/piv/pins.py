# SPDX-License-Identifier: Apache-2.0
"""PIN and PUK: proving them, changing them, and what their tries cost.

Sources: SP 800-73-4 part 2 sections 3.2.1 to 3.2.3, Yubico's "The PIV PIN, PUK, and management key".
"""

import hmac
from dataclasses import replace

from pivgate.emulator.apdu import StatusError, StatusWord
from pivgate.emulator.piv.commands import (
    ChangeReference,
    ForgetPin,
    QueryPin,
    ResetRetryCounter,
    SetRetries,
    VerifyPin,
)
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.references import Secret
from pivgate.emulator.piv.session import Trace
from pivgate.emulator.piv.state import Reference, factory_secrets

_SHORTEST = 6
_PADDING = b"\xff"
_MOST_TRIES_SHOWN = 0x0F
_TEXT_ONLY_SINCE = (5, 7, 0)
"""From 5.7 a new PIN or PUK is text: a byte above 7F is refused (Yubico, "Change reference data")."""
_FIRST_NOT_ASCII = 0x80


def verify_pin(device: Device, command: VerifyPin) -> bytes:
    """Verify the PIN.

    Raises:
        StatusError: 63Cx wrong, x tries left; 6983 blocked.
    """
    _prove(device, Secret.PIN, command.pin)
    device.session.pin_verified = True
    device.session.after = Trace(pin_verified=True)
    return b""


def query_pin(device: Device, _command: QueryPin) -> bytes:
    """Say whether the PIN is verified.

    Raises:
        StatusError: It is not: 63Cx with the tries left, or 6983 blocked.
    """
    if device.session.pin_verified:
        return b""
    reference = device.state.secrets[Secret.PIN]
    raise StatusError(
        StatusWord.AUTHENTICATION_METHOD_BLOCKED if reference.blocked else _tries_left(reference)
    )


def forget_pin(device: Device, _command: ForgetPin) -> bytes:
    """Take back the verification of the PIN."""
    device.session.pin_verified = False
    return b""


def change_reference(device: Device, command: ChangeReference) -> bytes:
    """Replace PIN or PUK.

    The present value is judged first, so that a bad new one costs a try like any other guess. Success is no
    verification of the PIN.

    Raises:
        StatusError: 63Cx or 6983 as for the PIN; 6985 for a new value that cannot be one.
    """
    _prove(device, command.secret, command.present)
    _set(device, command.secret, command.new)
    return b""


def reset_retry_counter(device: Device, command: ResetRetryCounter) -> bytes:
    """Set a new PIN, blocked or not, with the help of the PUK.

    Raises:
        StatusError: 63Cx or 6983 for the PUK; 6985 for a new PIN that cannot be one.
    """
    _prove(device, Secret.PUK, command.puk)
    _set(device, Secret.PIN, command.new_pin)
    return b""


def set_retries(device: Device, command: SetRetries) -> bytes:
    """Set the numbers of tries, which returns PIN and PUK to their factory values."""
    device.state.secrets = factory_secrets(command.pin, command.puk)
    # The PIN that was verified is no longer the PIN.
    device.session.pin_verified = False
    return b""


def _prove(device: Device, secret: Secret, value: bytes) -> None:
    """Compare a value with the stored one; the try is spent before, and given back after.

    Raises:
        StatusError: 63Cx or 6983.
    """
    reference = device.state.secrets[secret]
    if reference.blocked:
        raise StatusError(StatusWord.AUTHENTICATION_METHOD_BLOCKED)
    spent = replace(reference, left=reference.left - 1)
    device.state.secrets[secret] = spent
    if not hmac.compare_digest(reference.value, value):
        if secret is Secret.PIN:
            device.session.pin_verified = False
        raise StatusError(_tries_left(spent))
    device.state.secrets[secret] = replace(reference, left=reference.total)


def _set(device: Device, secret: Secret, value: bytes) -> None:
    text = value.rstrip(_PADDING)
    too_short = len(text) < _SHORTEST
    not_text = device.firmware.version >= _TEXT_ONLY_SINCE and any(byte >= _FIRST_NOT_ASCII for byte in text)
    if too_short or not_text or _PADDING in text:
        raise StatusError(StatusWord.CONDITIONS_NOT_SATISFIED)
    total = device.state.secrets[secret].total
    device.state.secrets[secret] = Reference(value, total, total)


def _tries_left(reference: Reference) -> int:
    return StatusWord.VERIFY_FAILED | min(reference.left, _MOST_TRIES_SHOWN)
