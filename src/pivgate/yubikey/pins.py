# SPDX-License-Identifier: Apache-2.0
"""PIN and PUK: what they may be, how many tries are left, and how to get out of a blocked one.

The PIN opens the private key; the PUK sets a new PIN. Both are 6 to 8 bytes, filled up with FF (SP 800-73-4
part 2, section 2.4.3; https://docs.yubico.com/yesdk/users-manual/application-piv/pin-puk-mgmt-key.html).
"""

from yubikit.core import InvalidPinError, NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import PivSession

from pivgate.errors import InputError, SecretError
from pivgate.yubikey.find import Device
from pivgate.yubikey.session import open_piv, spoken_errors

FACTORY_PIN = "123456"
FACTORY_PUK = "12345678"
_SHORTEST, _LONGEST = 6, 8

RESET_PIN = "Set a new PIN with the PUK: `pivgate key reset-pin`."
RESET_PIV = (
    "The only way out is to reset PIV, which deletes all its keys and certificates: `ykman piv reset`, "
    "then provision the key again."
)


def check_new_pin(pin: str) -> None:
    """Check the rules for a new PIN.

    Raises:
        InputError: It breaks one.
    """
    _check_form("PIN", pin)
    if pin in (FACTORY_PIN, FACTORY_PUK):
        raise InputError(f"{pin} is a factory value, which everybody knows", "Choose another PIN.")


def check_new_puk(puk: str, pin: str) -> None:
    """Check the rules for a new PUK.

    Args:
        puk: The new PUK.
        pin: The PIN that will be in force: who has seen the one must not know the other.

    Raises:
        InputError: It breaks one.
    """
    _check_form("PUK", puk)
    if puk in (FACTORY_PIN, FACTORY_PUK):
        raise InputError(f"{puk} is a factory value, which everybody knows", "Choose another PUK.")
    if puk == pin:
        raise InputError("The PUK is the same as the PIN", "Choose another PUK.")


def _check_form(name: str, value: str) -> None:
    if not (value.isascii() and value.isprintable()):
        raise InputError(
            f"A {name} of other than ASCII letters, digits and signs is typed differently on other systems",
            f"Choose another {name}.",
        )
    if not _SHORTEST <= len(value) <= _LONGEST:
        raise InputError(
            f"A {name} has {_SHORTEST} to {_LONGEST} characters, this one has {len(value)}",
            f"Choose another {name}.",
        )


def pin_tries(piv: PivSession) -> int:
    """Read how often a wrong PIN may still be given; this spends nothing.

    Without metadata (firmware below 5.3) it is right only before the PIN was verified in this session.
    """
    return piv.get_pin_attempts()


def puk_tries(piv: PivSession) -> int | None:
    """Read how often a wrong PUK may still be given; None where firmware below 5.3 does not tell."""
    try:
        return piv.get_puk_metadata().attempts_remaining
    except NotSupportedError:
        return None


def check_tries(name: str, tries: int | None, *, use_last_try: bool) -> None:
    """Stop before a PIN or PUK would be blocked.

    Raises:
        SecretError: No try is left, or only the last one and nobody said to use it.
    """
    if tries == 0:
        raise blocked(name)
    if tries == 1 and not use_last_try:
        raise SecretError(
            f"Only one try is left for the {name}; a wrong one blocks it",
            f"If you are sure of the {name}, run the command again with --use-last-try. "
            + (f"Otherwise: {RESET_PIN}" if name == "PIN" else RESET_PIV),
        )


def blocked(name: str) -> SecretError:
    """Say that a PIN or PUK is blocked, and the way out."""
    return SecretError(f"The {name} is blocked", RESET_PIN if name == "PIN" else RESET_PIV)


def wrong(name: str, tries: int) -> SecretError:
    """Say that a PIN or PUK was wrong, and how many tries are left."""
    if tries == 0:
        return SecretError(f"Wrong {name}, and now it is blocked", RESET_PIN if name == "PIN" else RESET_PIV)
    return SecretError(
        f"Wrong {name}; {tries} {'try is' if tries == 1 else 'tries are'} left",
        f"Run the same command again with the right {name}.",
    )


def verify_pin(piv: PivSession, pin: str) -> None:
    """Verify the PIN.

    Raises:
        SecretError: It is wrong, with the tries left, or blocked.
    """
    if not pin or len(pin.encode()) > _LONGEST:
        raise SecretError(
            "That cannot be the PIN: it has 6 to 8 characters", "No try was spent. Run it again."
        )
    try:
        piv.verify_pin(pin)
    except InvalidPinError as error:
        raise wrong("PIN", error.attempts_remaining) from error


def change_pin(piv: PivSession, old: str, new: str) -> None:
    """Replace a PIN.

    Raises:
        SecretError: The old one is wrong, or the key does not take the new one.
    """
    try:
        piv.change_pin(old, new)
    except InvalidPinError as error:
        raise wrong("PIN", error.attempts_remaining) from error
    except ApduError as error:
        raise _not_taken("PIN", error) from error


def change_puk(piv: PivSession, old: str, new: str) -> None:
    """Replace a PUK.

    Raises:
        SecretError: The old one is wrong, or the key does not take the new one.
    """
    try:
        piv.change_puk(old, new)
    except InvalidPinError as error:
        raise wrong("PUK", error.attempts_remaining) from error
    except ApduError as error:
        raise _not_taken("PUK", error) from error


def _not_taken(name: str, error: ApduError) -> Exception:
    if error.sw in (SW.CONDITIONS_NOT_SATISFIED, SW.INCORRECT_PARAMETERS):
        return SecretError(
            f"The YubiKey does not take this {name}: it is too simple",
            f"Choose a {name} without repeated or consecutive characters.",
        )
    return error


def reset_pin(device: Device, puk: str, new_pin: str, *, use_last_try: bool = False) -> None:
    """Set a new PIN with the PUK; it also ends the blocking of the PIN.

    Raises:
        InputError: The new PIN breaks a rule.
        SecretError: The PUK is wrong or blocked.
        DeviceError: The key cannot be used.
    """
    check_new_pin(new_pin)
    if not puk or len(puk.encode()) > _LONGEST:
        raise SecretError(
            "That cannot be the PUK: it has 6 to 8 characters", "No try was spent. Run it again."
        )
    if puk == new_pin:
        raise InputError("The PIN is the same as the PUK", "Choose another PIN.")
    with spoken_errors(), device.open() as connection:
        piv = open_piv(connection)
        check_tries("PUK", puk_tries(piv), use_last_try=use_last_try)
        try:
            piv.unblock_pin(puk, new_pin)
        except InvalidPinError as error:
            raise wrong("PUK", error.attempts_remaining) from error
        except ApduError as error:
            raise _not_taken("PIN", error) from error
